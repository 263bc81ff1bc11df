from pathlib import Path

import pytest

from tests.synth.pages.font_files import make_font
from textreel.synth.pages.errors import EmptyTextError, LayoutError, MissingGlyphsError
from textreel.synth.pages.fonts import FontFile, default_font, open_font
from textreel.synth.pages.settings import PageSettings, published
from textreel.synth.pages.treebank import treebank_tokens
from textreel.synth.pages.typeset import Typeset, typeset


@pytest.fixture
def boxes(tmp_path: Path) -> FontFile:
    """Every character is a box from the baseline up, 20 px wide at 20 px."""
    return open_font(make_font(tmp_path / "Box.ttf", "abc "))


def lines_of(document: Typeset) -> list[list[str]]:
    return [[line.text for line in page.lines] for page in document.pages]


@pytest.mark.parametrize("engine", ["basic", "raqm"])
def test_lines_are_as_wide_as_words_and_spaces_allow(boxes: FontFile, engine) -> None:
    settings = PageSettings(
        layout="published", reflow=False, words=5, engine=engine, width_px=200, height_px=100
    )
    # 160 px: three words of 20 + 20 px and one more; the last line's space counts
    document = typeset("a b c a b c", settings, fonts=(boxes,))
    assert lines_of(document) == [["a b c a", "b"], ["c"]]
    heights = [line.baseline_px for line in document.pages[0].lines]
    # ascent 16, ink ends on the baseline: each line is 16 high, the block starts at (100 - 32) / 2
    assert heights == [34 + 16, 34 + 16 + 16]
    assert document.pages[0].lines[0].x_px == 20


def test_a_first_word_that_is_too_wide_leaves_an_empty_line_and_is_cut(boxes: FontFile) -> None:
    settings = PageSettings(
        layout="published", reflow=False, words=9, width_px=100, height_px=100, margin_px=10
    )
    document = typeset("abcabc a", settings, fonts=(boxes,))
    assert lines_of(document) == [["", "abcabc", "a"]]
    assert (document.draw(0)[:, 99] < 128).any()


def test_a_page_too_tall_is_cut_at_top_and_bottom(boxes: FontFile) -> None:
    settings = PageSettings(
        layout="published", reflow=False, words=99, width_px=60, height_px=60, margin_px=5
    )
    document = typeset("a " * 9, settings, fonts=(boxes,))
    assert document.pages[0].lines[0].baseline_px < 0
    assert (document.draw(0)[0] < 128).any() and (document.draw(0)[59] < 128).any()
    assert document.page_text(0) == " ".join("a" * 9)


def test_tokens_may_come_from_elsewhere(boxes: FontFile) -> None:
    document = typeset("ab ab", published(), fonts=(boxes,), tokens=["a", "b"])
    assert lines_of(document) == [["a b"]]
    with pytest.raises(EmptyTextError, match="a sample without pictures is not made"):
        typeset("ab ab", published(), fonts=(boxes,), tokens=[])


def test_boxes_for_unknown_characters_are_not_drawn() -> None:
    with pytest.raises(MissingGlyphsError, match="lacks 2 characters: 2 of Chinese"):
        typeset("中 a 文", published(), fonts=(default_font(),))


def test_published_pages_need_raqm_or_say_so(monkeypatch, boxes: FontFile) -> None:
    monkeypatch.setattr("textreel.synth.pages.published.features.check", lambda name: False)
    with pytest.raises(LayoutError, match="were drawn by Raqm, which this Pillow does not have"):
        typeset("ab", published(), fonts=(boxes,))
    assert typeset("ab", published(engine="basic"), fonts=(boxes,)).pages


def test_tokens_follow_the_treebank() -> None:
    text = "\"I can't,\" she said (twice): it's $3.50 -- isn't it... 'quoted' e.g. gonna! End."
    assert treebank_tokens(text) == (
        "`` I ca n't , '' she said ( twice ) : it 's $ 3.50 -- is n't it ... ' quoted ' e.g. "
        "gon na ! End ."
    ).split(" ")
    assert treebank_tokens(" \n") == []
