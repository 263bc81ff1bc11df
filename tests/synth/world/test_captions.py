import re
from random import Random

import pytest

from tests.synth.world.by_hand import PLACE_NAMES, busy_scene, look, replay, scene
from textreel.synth.world.captions import (
    event_phrase,
    frame_caption,
    global_caption,
    place_words,
    sound_caption,
    textual_frame,
)
from textreel.synth.world.scene import Event, Sound, draw_scene

SHAPES = {
    **dict.fromkeys(("circle", "disc"), "circle"),
    **dict.fromkeys(("square", "box"), "square"),
    **dict.fromkeys(("triangle", "wedge"), "triangle"),
    **dict.fromkeys(("cross", "plus"), "cross"),
}
SIZES = {
    **dict.fromkeys(("small", "little", "tiny"), "small"),
    **dict.fromkeys(("big", "large", "huge"), "big"),
}
COLOURS = {name: name for name in "red green blue yellow purple orange pink".split()}
GROUND = re.compile(r"\b(black|grey|white|brown) (?:background|ground|scene)\b")
PLACE = re.compile(
    r"(top|upper|bottom|lower) (left|right)|top|upper|bottom|lower|left|right|centre|middle"
)
CELLS = {name: cell for cell, name in PLACE_NAMES.items()} | {"middle": (1, 1)}


def cell(words: str) -> tuple[int, int]:
    return CELLS[words.replace("upper", "top").replace("lower", "bottom")]


def parse(caption: str) -> tuple[str, set[tuple]]:
    """Read a caption back: each object has one shape, colour, size and place, in one order."""
    grounds = GROUND.findall(caption)
    assert len(grounds) == 1, caption
    tokens = caption.split()
    columns = [
        [table[token] for token in tokens if token in table] for table in (SHAPES, COLOURS, SIZES)
    ]
    columns.append([cell(found.group()) for found in PLACE.finditer(caption)])
    assert len({len(column) for column in columns}) == 1, caption
    return grounds[0], set(zip(*columns, strict=True))


def test_captions_name_every_visible_object_and_no_other() -> None:
    rng = Random(1)
    empty = 0
    for _ in range(500):
        facts = draw_scene(rng)
        for time_s in (0.5, 4.5, 7.5):
            caption = frame_caption(facts.background, facts.at(time_s), rng)
            seen = {
                (t["shape"], t["colour"], t["size"], t["place"])
                for t in replay(facts, time_s)
                if t["seen"]
            }
            assert parse(caption) == (facts.background, seen), caption
            empty += not seen
            assert not re.search(r"\ba orange|\ban (?!orange)", caption)
    assert empty > 10


def test_an_empty_frame_says_so() -> None:
    hidden = (look(visible=False),)
    said = {frame_caption("brown", hidden, Random(i)).split(" , ")[0] for i in range(20)}
    assert said == {"nothing", "empty"}


def test_one_moment_is_told_in_many_ways() -> None:
    rng = Random(0)
    looks = busy_scene().objects
    assert len({frame_caption("grey", looks, rng) for _ in range(100)}) > 80


def test_a_sound_is_named_before_the_colour_of_what_makes_it() -> None:
    rng = Random(0)
    looks = busy_scene().objects
    for _ in range(50):
        assert "humming red" in frame_caption("grey", looks, rng, sounding="circle")
        assert "ing" not in frame_caption("grey", looks, rng, sounding="cross")
        assert "humming" not in frame_caption("grey", looks, rng)
    hidden = (look(visible=False), look("square", "blue"))
    assert "humming" not in frame_caption("grey", hidden, rng, sounding="circle")


@pytest.mark.parametrize("place", PLACE_NAMES)
def test_places_have_one_plain_name_and_synonyms(place: tuple[int, int]) -> None:
    assert place_words(place) == PLACE_NAMES[place]
    rng = Random(0)
    assert {cell(place_words(place, rng)) for _ in range(50)} == {place}


def test_a_textual_frame_has_a_line_for_every_visible_object() -> None:
    facts = scene(look(), look("cross", "pink", place=(2, 2), visible=False))
    frame = textual_frame(facts, 1.0, Random(0))
    assert [name for name, _ in frame.objects] == ["red circle"]
    assert "pink" not in frame.caption
    later = textual_frame(busy_scene(), 6.0, Random(0))
    assert [name for name, _ in later.objects] == ["red circle", "pink square"]
    assert "pink" in later.objects[1][1]


@pytest.mark.parametrize(
    ("kind", "detail", "told"),
    [
        ("moves", "up", "it moves up"),
        ("changes colour", "pink", "it turns pink"),
        ("grows", "", "it grows"),
        ("disappears", "", "it disappears"),
    ],
)
def test_events_are_told_in_words(kind: str, detail: str, told: str) -> None:
    assert event_phrase(Event(1.0, kind, 0, detail), "it") == told


def test_a_global_caption_tells_the_start_and_then_the_events() -> None:
    told = global_caption(busy_scene(), Random(0))
    start, rest = told.split(" . ", 1)
    assert parse(start) == (
        "grey",
        {("circle", "red", "small", (0, 0)), ("square", "blue", "big", (2, 1))},
    )
    assert rest == "first the circle moves right . then the square turns pink ."
    ends = {global_caption(scene(look()), Random(i)).split(" . ", 1)[1] for i in range(20)}
    assert ends == {"nothing happens .", "nothing changes ."}


def test_what_is_heard_is_said_and_silence_is_not() -> None:
    sounds = [Sound("circle", 0, 2, on_screen=True), Sound("cross", 4, 6, on_screen=False)]
    said = {sound_caption(sounds, Random(i)) for i in range(40)}
    assert said == {
        f"{a} and {b} is heard"
        for a in ("a hum", "a humming circle")
        for b in ("a click", "a clicking cross")
    }
    assert sound_caption([], Random(0)) == ""
