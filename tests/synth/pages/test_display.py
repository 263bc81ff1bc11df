import pytest

from textreel.synth.pages.breaks import (
    cluster_start,
    line_breaks,
    paragraph_ends,
    sentence_ends,
    word_starts,
)
from textreel.synth.pages.display import make_display
from textreel.synth.pages.scripts import count_scripts, is_shaped, runs_right_to_left, script_of

ASCII = frozenset(range(128))


def test_plain_text_is_drawn_as_it_is() -> None:
    display = make_display("a b\nc", reflow=True, has_glyph=ASCII)
    assert (display.text, display.source, display.to_source(3)) == ("a b\nc", None, 3)


def test_every_drawn_character_knows_its_place() -> None:
    display = make_display("a\tb\r\nc\u00add\u2003e\u2028", reflow=False, has_glyph=ASCII)
    assert display.text == "a    b\ncd e\n"
    assert display.source is not None
    assert display.source.tolist() == [0, 1, 1, 1, 1, 2, 3, 5, 7, 8, 9, 10, 11]


def test_codes_stand_for_characters_without_a_glyph() -> None:
    display = make_display("x]\ue000^", reflow=False, has_glyph=ASCII, coded=frozenset({0xE000}))
    assert display.text == "x][U+E000]^"
    assert display.to_source(10) == 3


WRAPPED = "    Words and words that were wrapped at the sixtieth column\n    of a page, and go on."


def test_lines_wrapped_by_hand_become_one() -> None:
    display = make_display(WRAPPED, reflow=True, has_glyph=ASCII)
    assert display.text == WRAPPED.replace("\n    ", " ")
    place = display.text.index("of a page")
    assert display.to_source(place) == WRAPPED.index("of a page")
    assert display.to_source(place - 1) == WRAPPED.index("\n")


@pytest.mark.parametrize(
    "text",
    [
        "short\nlines\nof a poem",
        WRAPPED.replace("    of", "    Of"),
        WRAPPED.replace("    of", "    - of"),
        WRAPPED.replace("    of", "of")
        + "\n    other indentation here and there, and so on and on",
        "| " + WRAPPED,
        "def function_of_a_very_long_name(with_one, and_two, parameters):\n    return 1\n    x = 2",
    ],
)
def test_other_lines_stay(text: str) -> None:
    assert make_display(text, reflow=True, has_glyph=ASCII).text == text


def test_lines_break_between_words_and_around_chinese() -> None:
    assert line_breaks("a bc  d-e") == [(1, 2), (4, 6), (8, 8), (9, 9)]
    assert line_breaks("好。（是）a") == [(2, 2), (5, 5), (6, 6)]
    assert line_breaks("3-4") == [(3, 3)] or line_breaks("3-4") == [(2, 2), (3, 3)]
    assert line_breaks("") == [(0, 0)]


def test_sentences_end_where_readers_stop() -> None:
    text = "Dr. Lee left. He was late, e.g. by 2.5 hours! J. Smith? 是。好"
    starts = [text[at : at + 3] for at in sentence_ends(text)]
    assert starts == ["He ", "J. ", "是。好", "好"]
    assert paragraph_ends("a\n\n  b\nc") == [3, 7]
    assert word_starts(" ab c漢字") == [1, 4, 5, 6]


def test_marks_stay_with_their_letters() -> None:
    assert cluster_start("ae\u0301x", 2, first=0) == 1
    assert cluster_start("e\u0301x", 1, first=0) == 1  # or the line would stay empty
    assert cluster_start("abc", 2, first=0) == 2


def test_scripts_have_names() -> None:
    names = [script_of(c) for c in "aж漢ひ한ก😀\x00\ue000€"]
    assert names == [
        "Latin",
        "Cyrillic",
        "Chinese",
        "Japanese",
        "Korean",
        "Thai",
        "emoji",
        "control characters",
        "private use",
        "symbols",
    ]
    assert script_of("\ud800") == "lone surrogates"
    assert count_scripts("ab漢") == {"Latin": 2, "Chinese": 1}


def test_direction_and_shaping_are_seen() -> None:
    assert is_shaped("a ب") and not is_shaped("漢 Σ é")
    assert runs_right_to_left("12 ب a") and not runs_right_to_left("a ب")
    assert not runs_right_to_left("123")
