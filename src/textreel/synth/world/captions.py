"""What a scene's facts look like in words: many paraphrases, one meaning.

A frame caption names the background and every visible object with size, colour, shape and place;
a global caption tells the start and then the events in order. Nothing here is ever wrong about
the scene, and no two draws need be the same words.
"""

from collections.abc import Sequence
from random import Random

from textreel.data.textual_video import TextualFrame
from textreel.synth.world.scene import Event, Look, Place, Scene, Sound

SHAPE_WORDS = {
    "circle": ("circle", "circle", "disc"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle", "triangle", "wedge"),
    "cross": ("cross", "cross", "plus"),
}
SIZE_WORDS = {"small": ("small", "small", "little", "tiny"), "big": ("big", "big", "large", "huge")}
SOUND_WORDS = {
    "circle": ("humming", "hum"),
    "square": ("buzzing", "buzz"),
    "triangle": ("ringing", "ring"),
    "cross": ("clicking", "click"),
}
"""What each shape sounds like: (participle, noun)."""

COUNT_WORDS = ("none", "one", "two", "three")
_ROWS = (("top", "upper"), ("",), ("bottom", "lower"))
_COLUMNS = ("left", "", "right")
_GROUND_WORDS = ("background", "background", "ground", "scene")


def place_words(place: Place, rng: Random | None = None) -> str:
    """Name a cell: `top left`, `top`, `centre`, ...; with `rng`, sometimes by a synonym."""
    row, column = place
    if place == (1, 1):
        return "centre" if rng is None else rng.choice(("centre", "centre", "middle"))
    vertical, horizontal = _ROWS[row][0], _COLUMNS[column]
    if rng is not None and horizontal and rng.random() < 0.3:
        vertical = _ROWS[row][-1]
    return f"{vertical} {horizontal}".strip()


def object_phrase(look: Look, rng: Random, *, sound: bool = False) -> str:
    """Describe one object; `sound` puts the participle of its sound before its colour.

    The noun comes last, so that who reads from left to right has met all of it there.
    """
    size = rng.choice(SIZE_WORDS[look.size])
    shape = rng.choice(SHAPE_WORDS[look.shape])
    place = place_words(look.place, rng)
    colour = f"{SOUND_WORDS[look.shape][0]} {look.colour}" if sound else look.colour
    match rng.randrange(5):
        case 0:
            return f"{place} {size} {colour} {shape}"
        case 1:
            return f"{place} : {size} {colour} {shape}"
        case 2:
            return f"at the {place} a {size} {colour} {shape}"
        case 3:
            return f"in the {place} , a {size} {colour} {shape}"
        case _:
            return f"at the {place} : {size} , {colour} {shape}"


def frame_caption(
    background: str, looks: Sequence[Look], rng: Random, *, sounding: str = ""
) -> str:
    """Describe one moment: the background and every visible object, in random order.

    Args:
        background: one of `BACKGROUNDS`.
        looks: all objects; those that are not visible are left out.
        rng: draws the words.
        sounding: a shape whose sound is named too, if it is visible.
    """
    shown = [look for look in looks if look.visible]
    rng.shuffle(shown)
    phrases = [object_phrase(look, rng, sound=look.shape == sounding) for look in shown]
    ground = f"{background} {rng.choice(_GROUND_WORDS)}"
    if not phrases:
        return f"{rng.choice(('nothing', 'empty'))} , {ground}"
    listed = rng.choice((" ; ", " , ", " and ")).join(phrases)
    match rng.randrange(3):
        case 0:
            return f"{listed} , {ground}"
        case 1:
            return f"{ground} with {listed}"
        case _:
            return f"{ground} : {listed}"


def object_name(look: Look) -> str:
    """Name an object as a key: `red circle`."""
    return f"{look.colour} {look.shape}"


def textual_frame(scene: Scene, time_s: float, rng: Random) -> TextualFrame:
    """Write one moment of a scene as TOPA does: a caption, and a line for each visible object."""
    looks = scene.at(time_s)
    caption = frame_caption(scene.background, looks, rng)
    named = tuple((object_name(look), object_phrase(look, rng)) for look in looks if look.visible)
    return TextualFrame(caption=caption, objects=named)


def sound_caption(sounds: Sequence[Sound], rng: Random) -> str:
    """Say what is heard, on or off the screen; empty for silence."""
    words = [
        rng.choice((f"a {SOUND_WORDS[s.shape][1]}", f"a {SOUND_WORDS[s.shape][0]} {s.shape}"))
        for s in sounds
    ]
    return f"{' and '.join(words)} is heard" if words else ""


def event_phrase(event: Event, name: str) -> str:
    """Tell one event of the object called `name`: `the circle moves left`."""
    match event.kind:
        case "moves":
            return f"{name} moves {event.detail}"
        case "changes colour":
            return f"{name} turns {event.detail}"
        case _:
            return f"{name} {event.kind}"


def global_caption(scene: Scene, rng: Random) -> str:
    """Describe the whole scene: how it starts, then what happens, in order."""
    start = frame_caption(scene.background, scene.objects, rng)
    told = told_events(scene)
    return f"{start} . {told or rng.choice(('nothing happens .', 'nothing changes .'))}"


def told_events(scene: Scene) -> str:
    """Tell what happens, in order: `first the circle moves left . then the square grows .`."""
    told = [
        event_phrase(event, f"the {scene.objects[event.target].shape}") for event in scene.events
    ]
    return " ".join(
        f"{'then' if number else 'first'} {phrase} ." for number, phrase in enumerate(told)
    )
