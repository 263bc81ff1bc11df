"""First lessons for the tiny decoder: which colour belongs to which shape?

A decoder that begins with whole videos learns which things are there, and what changes, but not
what belongs together, however long it is trained (docs/LOG.md). So it begins with lists of two or
three objects in one plain form and questions about each; then two such lists, before and after, and
what happened to each object; then single moments in all forms; then videos.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from textreel.data.textual_video import TextualQuestion
from textreel.synth.world.captions import frame_caption, place_words
from textreel.synth.world.documents import (
    ANSWER_WEIGHT,
    CAPTION_WEIGHT,
    STATIC_TYPES,
    Piece,
    turn_pieces,
)
from textreel.synth.world.questions import (
    EVENT_QUESTIONS,
    EVENT_WORDS,
    PLACES,
    ask,
    build_question,
)
from textreel.synth.world.scene import (
    BACKGROUNDS,
    COLOURS,
    DIRECTIONS,
    SCENE_SECONDS,
    SHAPES,
    SIZES,
    Look,
    Place,
    Scene,
    draw_scene,
)
from textreel.synth.world.vocabulary import EOS

DRAWS_PER_TYPE = 3
"""How often each static type is asked of a moment; equal questions are asked once."""


def draw_list(rng: Random) -> list[Piece]:
    """List two or three objects plainly, and ask for every colour, shape and place."""
    count = rng.choice((2, 3, 3))
    colours, shapes = rng.sample(COLOURS, count), rng.sample(SHAPES, count)
    places = [place_words(place) for place in rng.sample(PLACES, count)]
    things = list(zip(colours, shapes, places, strict=True))
    listed = " ; ".join(f"{p} : {rng.choice(SIZES)} {c} {s}" for c, s, p in things)
    asked = [
        pair
        for colour, shape, place in things
        for pair in (
            (f"what colour is the {shape} ?", colour),
            (f"what shape is the {colour} object ?", shape),
            (f"where is the {shape} ?", place),
        )
    ]
    rng.shuffle(asked)
    pieces: list[Piece] = [("video :", 0.0), (listed, CAPTION_WEIGHT), (".", CAPTION_WEIGHT)]
    for question, answer in asked:
        pieces.append((f"question : {question} answer :", 0.0))
        pieces.append((f"{answer} {EOS}", ANSWER_WEIGHT))
    return pieces


def draw_change(rng: Random, *, plain: bool, most: int = 3) -> list[Piece]:
    """Describe two moments, and ask what happened to every object between them.

    Args:
        rng: draws.
        plain: both as plain lists, else as captions in all their forms.
        most: objects there are at most.
    """
    before, after, kinds = _changed(rng, rng.randint(1, most))
    background = rng.choice(BACKGROUNDS)
    pieces: list[Piece] = [("video :", 0.0)]
    for looks in (before, after):
        text = _listed(looks, rng) if plain else frame_caption(background, looks, rng)
        pieces += [(text, CAPTION_WEIGHT), (".", CAPTION_WEIGHT)]
    asked = []
    for old, new, kind in zip(before, after, kinds, strict=True):
        text = rng.choice(EVENT_QUESTIONS).format(f"the {old.shape}")
        words = list(EVENT_WORDS.values())
        asked.append(build_question("event", text, EVENT_WORDS[kind], ((), words), rng))
        if kind == "moves":
            asked.append(_direction_question(old, new, rng))
    rng.shuffle(asked)
    for question in asked:
        pieces += turn_pieces(question, rng)
    return pieces


def _changed(rng: Random, count: int) -> tuple[list[Look], list[Look], list[str]]:
    """Draw objects, something that happens to each, and how they look after it."""
    shapes, colours = rng.sample(SHAPES, count), rng.sample(COLOURS, 2 * count)
    free, before, after, kinds = list(PLACES), [], [], []
    for i, shape in enumerate(shapes):
        kind = rng.choice(tuple(EVENT_WORDS))
        place = rng.choice([p for p in free if kind != "moves" or _neighbours(p, free)])
        free.remove(place)
        size = {"grows": "small", "shrinks": "big"}.get(kind) or rng.choice(SIZES)
        old = Look(shape, colours[i], size, place, visible=kind != "appears")
        new = replace(old, visible=kind != "disappears")
        if kind in ("grows", "shrinks"):
            new = replace(new, size="big" if kind == "grows" else "small")
        elif kind == "changes colour":
            new = replace(new, colour=colours[count + i])
        elif kind == "moves":
            new = replace(new, place=rng.choice(_neighbours(place, free)))
            free.remove(new.place)
        before.append(old)
        after.append(new)
        kinds.append(kind)
    return before, after, kinds


def _neighbours(place: Place, free: Sequence[Place]) -> list[Place]:
    """Return the free cells in the same row or column."""
    return [p for p in free if p != place and (p[0] == place[0] or p[1] == place[1])]


def _direction_question(old: Look, new: Look, rng: Random) -> TextualQuestion:
    (row, column), (new_row, new_column) = old.place, new.place
    if row == new_row:
        way = "right" if new_column > column else "left"
    else:
        way = "down" if new_row > row else "up"
    text = f"which way does the {old.shape} move ?"
    return build_question("direction", text, way, ((), DIRECTIONS), rng)


def _listed(looks: Sequence[Look], rng: Random) -> str:
    shown = [look for look in looks if look.visible]
    rng.shuffle(shown)
    lines = (f"{place_words(k.place)} : {k.size} {k.colour} {k.shape}" for k in shown)
    return " ; ".join(lines) or "nothing"


def draw_moment(rng: Random) -> list[Piece]:
    """Describe one moment of a scene of the training part, and ask about what is there."""
    while (scene := draw_scene(rng)).part != "training":
        pass
    looks = tuple(look for look in scene.at(rng.uniform(0, scene.duration_s)) if look.visible)
    still = Scene(scene.background, looks, (), (), SCENE_SECONDS)
    caption = frame_caption(still.background, still.objects, rng)
    drawn = [ask(still, kind, rng) for _ in range(DRAWS_PER_TYPE) for kind in STATIC_TYPES]
    drawn.append(ask(still, "count", rng))
    questions = list({q.question: q for q in drawn if q is not None}.values())
    rng.shuffle(questions)
    pieces: list[Piece] = [("video :", 0.0), (caption, CAPTION_WEIGHT), (".", CAPTION_WEIGHT)]
    for question in questions:
        pieces += turn_pieces(question, rng)
    return pieces
