"""The `fit` layout: the text comes back whole, nothing is clipped, breaks are where they belong."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.synth.pages.font_files import make_font
from tests.synth.pages.pillow_pages import assert_whole, joined
from textreel.synth.pages.draw import PlacedLine, draw_coverage
from textreel.synth.pages.errors import EmptyTextError, LayoutError, MissingGlyphsError
from textreel.synth.pages.fonts import FontFile, default_font, open_font
from textreel.synth.pages.glyphs import glyph_book
from textreel.synth.pages.settings import PageSettings, published
from textreel.synth.pages.shaping import ShapedLine
from textreel.synth.pages.typeset import Typeset, typeset

PROSE = (
    "The quick brown fox jumps over the lazy dog, isn't it? AVATAR To. Yes! "
    'It cost $3.50 ("cheap") in well-known places — or so they say…  Two  spaces.\n\n'
)
MARKDOWN = (
    "# T\n\nText with *stars* and `code`.\n\n- one\n- two\n  - deeper\n\n1. first\n2. second\n\n"
    "| a | b |\n|--|--|\n| 1 | 2 |\n\n> quoted\n\n```python\ndef f(x):\n\treturn x  # tab\n```\n\n"
)
CODE = (
    "class A:\r\n    def f(self, x):\r\n        if x:\r\n            return [\r\n\r\n]\r\n\x0c\r\n"
)
GREEK = "Η γρήγορη αλεπού πηδάει πάνω από το τεμπέλικο σκυλί. Ναι; Όχι! "
CYRILLIC = "Съешь же ещё этих мягких французских булок, да выпей чаю. Ёлка! "
ARABIC = "هذا نص طويل باللغة العربية لاختبار الصفحات. وفيه 123 رقما. "
HEBREW = "זהו טקסט ארוך בעברית כדי לבדוק את העמודים. יש בו 123 מספרים. "
CHINESE = "这是一段很长的中文文本，用来测试分页。“好”吗？是的！（括号）"
CHINESE_CHARACTERS = "".join(sorted(set(CHINESE)))


@pytest.fixture(scope="module")
def chinese(tmp_path_factory) -> FontFile:
    return open_font(make_font(tmp_path_factory.mktemp("fonts") / "Box.ttf", CHINESE_CHARACTERS))


TEXTS = {
    "prose": PROSE * 9,
    "markdown": MARKDOWN * 5,
    "code": CODE * 8,
    "greek": GREEK * 16,
    "cyrillic": CYRILLIC * 16,
    "arabic": (ARABIC * 3 + "\n\n") * 4,
    "hebrew": (HEBREW * 3 + "\n") * 4,
    "mixed": (PROSE + GREEK + CYRILLIC) * 4 + ARABIC,
    "no spaces": "x" * 1500 + "é" * 300,
    "one word of 5,000 letters": "word" * 1250,
    "only marks": "a\u0301\u0323" * 900,
    "invisible": ("so\u00adft joi\u200dner \ufeffmark\ufe0f " * 60),
}


@pytest.mark.parametrize("name", TEXTS)
def test_pages_joined_are_the_source_and_nothing_is_clipped(name: str) -> None:
    document = typeset(TEXTS[name], PageSettings(), search=False)
    assert len(document.pages) >= 2
    assert joined(document) == TEXTS[name]
    assert_whole(document)


def test_chinese_is_the_source_and_whole(chinese: FontFile) -> None:
    document = typeset(CHINESE * 40, PageSettings(), fonts=(chinese,), search=False)
    assert joined(document) == CHINESE * 40
    assert_whole(document)
    firsts = {line.text[0] for page in document.pages for line in page.lines}
    assert firsts.isdisjoint("，。？！”）")
    lasts = {line.text[-1] for page in document.pages for line in page.lines}
    assert lasts.isdisjoint("“（")


@pytest.mark.parametrize(
    "settings",
    [
        PageSettings(margin_px=0),
        PageSettings(width_px=128, height_px=96, font_px=9, margin_px=1),
        PageSettings(font_px=33, line_spacing=1.5),
        PageSettings(words=12),
        PageSettings(characters=40),
        PageSettings(reflow=False),
    ],
    ids=str,
)
def test_any_setting_keeps_text_and_glyphs(settings: PageSettings) -> None:
    text = PROSE + MARKDOWN + GREEK
    document = typeset(text, settings, search=False)
    assert joined(document) == text
    assert_whole(document)


def lines_of(document: Typeset) -> list[str]:
    return [line.text for page in document.pages for line in page.lines]


def test_lines_of_lists_and_code_stay_as_they_are() -> None:
    text = "Do:\n- one\n- two\n\ndef f():\n    return 1\n"
    assert (
        lines_of(typeset(text, PageSettings(), search=False))
        == text.replace("\n\n", "\n").splitlines()
    )


def test_a_line_at_the_top_of_a_page_keeps_its_indentation() -> None:
    text = "def f():\n" + "    call(1)\n\n" * 40
    document = typeset(text, PageSettings(), search=False)
    tops = [page.lines[0].text for page in document.pages]
    assert tops == ["def f():"] + ["    call(1)"] * (len(tops) - 1)
    assert len(tops) > 3
    assert joined(document) == text


def test_a_paragraph_wrapped_by_hand_is_joined() -> None:
    text = (
        "The licences for most software and other practical works are designed\n"
        "to take away your freedom to share and change the works that you\n"
        "have. By contrast, this one is not.\n"
    )
    kept = lines_of(typeset(text, PageSettings(reflow=False, width_px=1000), search=False))
    assert kept == text.splitlines()
    document = typeset(text, PageSettings(width_px=1000), search=False)
    assert lines_of(document)[0].startswith(text.splitlines()[0] + " to take away your")
    assert joined(document) == text


def test_words_and_characters_limit_a_page() -> None:
    text = "one two three four five six seven"
    pages = typeset(text, PageSettings(words=3), search=False)
    assert [pages.page_text(n) for n in range(3)] == ["one two three ", "four five six ", "seven"]
    pages = typeset(text, PageSettings(characters=9), search=False)
    shown = [pages.page_text(n) for n in range(len(pages.pages))]
    assert shown == ["one two ", "three ", "four five ", "six seven"]


def test_a_page_ends_after_a_sentence_or_a_paragraph() -> None:
    text = "Aa bb cc dd ee ff gg hh ii. Jj kk ll mm nn oo pp qq.\n\nRr ss tt uu vv ww xx yy."
    by_sentence = typeset(text, PageSettings(words=10), search=False)
    assert by_sentence.page_text(0) == "Aa bb cc dd ee ff gg hh ii. "
    by_paragraph = typeset(text, PageSettings(words=19), search=False)
    assert by_paragraph.page_text(0).endswith("qq.\n\n")


def test_a_word_wider_than_a_line_is_broken_and_goes_on() -> None:
    word = "abcdefghij" * 500
    document = typeset(word, PageSettings(), search=False)
    assert "".join(lines_of(document)) == word
    assert joined(document) == word
    assert_whole(document)


def test_right_to_left_lines_stand_at_the_right() -> None:
    document = typeset("שלום", PageSettings(), search=False)
    columns = np.flatnonzero((document.draw(0) < 128).any(axis=0))
    assert 424 <= columns[-1] < 428  # of 448 px with 20 px of margin
    assert columns[0] > 300


def test_a_line_that_begins_with_latin_letters_keeps_its_paragraphs_direction() -> None:
    settings = PageSettings(width_px=300, height_px=200)
    document = typeset("זה משפט בעברית שמכיל OpenAI company שהיא.", settings, search=False)
    line = document.pages[0].lines[1]
    assert (line.text, line.direction) == ("OpenAI company שהיא.", "rtl")
    ink = document.draw(0)[line.baseline_px - 20 : line.baseline_px] < 128
    leftmost = ink[:, np.flatnonzero(ink.any(axis=0))[0]]
    assert np.flatnonzero(leftmost).min() > 15, "the full stop stands where the sentence ends"
    assert_whole(document)


@pytest.mark.parametrize("letters", ["אב", "कख"])
@pytest.mark.parametrize("shift", ["0 2000", "0 -1500", "-500 0", "500 0"])
def test_letters_that_shaping_moves_stay_on_the_page(
    tmp_path: Path, letters: str, shift: str
) -> None:
    rules = "".join(f"languagesystem {script} dflt; " for script in ("hebr", "deva", "dev2"))
    rules += f"feature kern {{ pos u{ord(letters[0]):04X} <{shift} 0 0>; }} kern;"
    font = open_font(make_font(tmp_path / "Box.ttf", letters, rules=rules))
    for text in (letters, letters[::-1]):
        assert_whole(typeset(text, PageSettings(margin_px=0), fonts=(font,), search=False))


def test_a_shaped_paragraph_is_measured_a_line_at_a_time(monkeypatch) -> None:
    measured = []
    fits = ShapedLine._fits

    def watched(line: ShapedLine, start: int, end: int) -> bool:
        measured.append(end - start)
        return fits(line, start, end)

    monkeypatch.setattr(ShapedLine, "_fits", watched)
    typeset(HEBREW * 20, PageSettings(), search=False)
    longest = max(len(line) for line in lines_of(typeset(HEBREW * 20, PageSettings())))
    assert max(measured) < 3 * longest


def test_without_raqm_arabic_is_refused_by_name(monkeypatch) -> None:
    monkeypatch.setattr("textreel.synth.pages.shaping.features.check", lambda name: False)
    with pytest.raises(MissingGlyphsError, match="Arabic needs its letters joined and ordered"):
        typeset("سلام without", PageSettings(), search=False)


def test_a_shaped_line_needs_one_font_for_all_of_it(chinese: FontFile) -> None:
    with pytest.raises(MissingGlyphsError, match="a line in Arabic has characters that no single"):
        typeset("سلام 这是", PageSettings(), fonts=(default_font(), chinese), search=False)


@pytest.mark.parametrize("text", ["", " \n\t\n ", "\u200b\ufeff"])
def test_a_text_without_anything_visible_is_refused(text: str) -> None:
    for settings in (PageSettings(), published(engine="basic")):
        with pytest.raises(EmptyTextError, match="none of them visible, has no pages"):
            typeset(text, settings, search=False)


def test_characters_without_a_font_are_refused_by_script(tmp_path: Path) -> None:
    font = open_font(make_font(tmp_path / "a.ttf", "abc "))
    with pytest.raises(MissingGlyphsError) as caught:
        typeset("ab 漢字 ж", PageSettings(), fonts=(font,), search=False)
    assert str(caught.value) == (
        "no font draws 3 different characters of the text: 2 of Chinese, 1 of Cyrillic "
        "(U+0436, U+5B57, U+6F22; fonts: a.ttf)"
    )


def test_or_their_codes_are_drawn() -> None:
    text = "a \ue000 b \x00"
    document = typeset(text, PageSettings(missing="code"), search=False)
    assert lines_of(document) == ["a [U+E000] b [U+0000]"]
    assert joined(document) == text


def test_a_second_font_draws_what_the_first_lacks(chinese: FontFile) -> None:
    document = typeset("Aa 中文", PageSettings(), fonts=(default_font(), chinese), search=False)
    assert document.fonts == (default_font(), chinese)
    alone = typeset("Aa ", PageSettings(), search=False)
    assert (document.draw(0) < 128).sum() > (alone.draw(0) < 128).sum() + 2 * 12 * 12


def test_fonts_of_the_machine_are_found_by_coverage(tmp_path: Path) -> None:
    make_font(tmp_path / "deep" / "Few-Bold.ttf", "中文这")
    some = make_font(tmp_path / "Some.ttf", "中文这")
    make_font(tmp_path / "One.ttf", "中")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    document = typeset("ab 中文", PageSettings(), folders=[tmp_path])
    assert document.fonts == (default_font(), open_font(some))
    again = typeset("ab", PageSettings(), folders=[tmp_path])
    assert again.fonts == (default_font(),)


def test_the_budget_of_visual_tokens_sets_the_size() -> None:
    text = PROSE * 12
    free = typeset(text, PageSettings(), search=False)
    assert len(free.pages) > 3
    paid = typeset(text, PageSettings(visual_tokens=300, tokens_per_page=99), search=False)
    assert len(paid.pages) <= 3
    assert paid.settings.font_px < 20
    larger = replace(paid.settings, font_px=paid.settings.font_px + 1)
    assert len(typeset(text, larger, search=False).pages) > 3
    with pytest.raises(LayoutError, match="pay for 1 pages, and the text needs"):
        typeset(text * 9, PageSettings(visual_tokens=100, tokens_per_page=99), search=False)


def test_a_page_that_can_hold_nothing_is_refused() -> None:
    small = PageSettings(width_px=60, height_px=60, font_px=40)
    with pytest.raises(LayoutError, match="holds no line of"):
        typeset("text", small, search=False)


def test_ink_beyond_the_page_is_never_lost_in_silence() -> None:
    book = glyph_book((default_font(),), size_px=20, width_px=100)
    line = PlacedLine(text="ab", x_px=80, baseline_px=20)
    with pytest.raises(LayoutError, match="1 glyphs leave the page of 100 x 40 px"):
        draw_coverage((line,), book, height_px=40)
    shaped = replace(line, shaped_by=default_font())
    with pytest.raises(LayoutError, match="ink leaves the page of 100 x 40 px"):
        draw_coverage((shaped,), book, height_px=40)


def test_tokens_are_for_the_published_layout() -> None:
    with pytest.raises(LayoutError, match="tokens have no effect on the fit layout"):
        typeset("a", PageSettings(), tokens=["a"])


def test_a_record_makes_the_same_pages_again() -> None:
    document = typeset(PROSE * 5, PageSettings(visual_tokens=300, tokens_per_page=99), search=False)
    again = Typeset.from_json(PROSE * 5, document.to_json())
    assert again == document
    assert repr(document) == "Typeset(745 characters, 2 pages of 448 x 448 px)"
    np.testing.assert_array_equal(again.frames(), document.frames())
    with pytest.raises(LayoutError, match="pages, 2 were recorded"):
        Typeset.from_json("short", document.to_json())


def test_a_record_tells_found_fonts_from_named_ones(tmp_path: Path, monkeypatch) -> None:
    found = open_font(make_font(tmp_path / "Asian.ttf", "中文\u3000"))
    monkeypatch.setattr("textreel.synth.pages.fonts.font_folders", lambda: [tmp_path])
    text = "中文\u3000中文 " * 9  # a wide space is drawn wide by named fonts only
    document = typeset(text, PageSettings())
    assert document.to_json()["fonts"] == [
        {"name": "DejaVuSans.ttf", "sha256": default_font().sha256},
        {"name": "Asian.ttf", "sha256": found.sha256, "found": True},
    ]
    assert Typeset.from_json(text, document.to_json()) == document
    named = typeset(text, PageSettings(), fonts=(default_font(), found))
    assert named.pages != document.pages
    assert Typeset.from_json(text, named.to_json()) == named


def test_a_clip_is_a_page_a_second_in_three_equal_channels() -> None:
    clip = typeset(PROSE * 9, PageSettings(ink=40, paper=200), search=False).clip(source="a book")
    assert clip.frames.shape[1:] == (3, 448, 448)
    assert clip.frame_times_s.tolist() == list(range(len(clip.frames)))
    assert clip.duration_s == len(clip.frames)
    assert (clip.frames[:, 0] == clip.frames[:, 2]).all()
    assert (clip.frames.min(), clip.frames.max()) == (40, 200)
