"""First lessons for the tiny decoder: which colour belongs to which shape?

A decoder that begins with whole videos learns which things are there, and what changes, but not
what belongs together, however long it is trained (docs/LOG.md). So it begins with lists of two or
three objects in one plain form and questions about each; then two such lists, and how each object
was in either; then what happened to each between them; then three, and which of two events came
first or last; then single moments in all forms; then videos. What happened to one of several
objects is the difference of two things looked up: without the second lesson, or with one of single
objects before it, nothing is ever looked up and the change of any object is taken for that of each.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Literal

from textreel.data.textual_video import TextualQuestion
from textreel.synth.world.captions import event_phrase, frame_caption, place_words
from textreel.synth.world.documents import (
    ANSWER_WEIGHT,
    CAPTION_WEIGHT,
    STATIC_TYPES,
    Piece,
    turn_pieces,
)
from textreel.synth.world.packed import NAMED_SHARE, packed_moment
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

Form = Literal["plain", "caption", "packed"]
"""How a moment is told: a plain list, a caption in any form, or in few positions (`packed`)."""

DRAWS_PER_TYPE = 3
"""How often each static type is asked of a moment; equal questions are asked once."""

NUMBERED_SHARE, RECALLED_SHARE = 0.5, 0.25
"""Documents about two moments out of three: with numbered moments, and that ask for looks."""


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


def draw_recall(rng: Random, *, most: int = 3) -> list[Piece]:
    """List two moments plainly, and ask how every object was in either of them.

    What happens to an object is the difference between two answers of this kind.

    Args:
        rng: draws.
        most: objects there are at most.
    """
    before, after, _ = _changed(rng, rng.randint(1, most))
    pieces: list[Piece] = [("video :", 0.0)]
    asked = []
    for when, looks in (("start", before), ("end", after)):
        pieces += [(_listed(looks, rng), CAPTION_WEIGHT), (".", CAPTION_WEIGHT)]
        asked += [(when, look) for look in looks]
    rng.shuffle(asked)
    for when, look in asked:
        answer = _line(look) if look.visible else "nothing"
        pieces.append((f"question : what is the {look.shape} at the {when} ? answer :", 0.0))
        pieces.append((f"{answer} {EOS}", ANSWER_WEIGHT))
    return pieces


def draw_order(rng: Random, *, form: Form, frames: int = 3, apart: bool = False) -> list[Piece]:
    """Describe a scene of two events, and ask which of them came first or last, and nothing else.

    Before, between and after the events there is at least a moment each, as many as it happens.

    Args:
        rng: draws.
        form: of the moments: a plain list, a caption in any form, or a packed moment.
        frames: moments there are at most, 3 or more.
        apart: two objects have an event each, and no others are shown.
    """
    scene = _two_events(rng, apart=apart)
    if apart:
        shown = {event.target for event in scene.events}
        scene = _only(scene, shown)
    counts = [1, 1, 1]
    for _ in range(rng.randint(0, frames - 3)):
        counts[rng.randrange(3)] += 1
    times_s = [t for t, count in zip(_middles(scene), counts, strict=True) for _ in range(count)]
    named, weight = rng.random() < NAMED_SHARE, 0.0 if form == "packed" else CAPTION_WEIGHT
    pieces: list[Piece] = [("video :", 0.0)]
    for number, time_s in enumerate(times_s, start=1):
        if form == "packed":
            text = packed_moment(scene, time_s, number, rng, named=named)
        elif form == "plain":
            text = _listed(scene.at(time_s), rng)
        else:
            text = frame_caption(scene.background, scene.at(time_s), rng)
        pieces += [(text, weight), (".", weight)]
    question = ask(scene, "order", rng)
    assert question is not None  # two events make a question
    return pieces + turn_pieces(question, rng)


def draw_between(rng: Random) -> list[Piece]:
    """List three moments of two objects plainly, an event of each between them; ask about each.

    Either how every object is in every moment, or what happens between any two. Half of the time
    the moments are numbered. Which event came first follows from either.
    """
    scene = _two_events(rng, apart=True)
    scene = _only(scene, {event.target for event in scene.events})
    times_s = _middles(scene)
    numbered = rng.random() < NUMBERED_SHARE
    pieces: list[Piece] = [("video :", 0.0)]
    for number, time_s in enumerate(times_s, start=1):
        listed = _listed(scene.at(time_s), rng)
        text = f"{number} : {listed}" if numbered else listed
        pieces += [(text, CAPTION_WEIGHT), (".", CAPTION_WEIGHT)]
    asked: list[tuple[str, str]] = []
    if rng.random() < RECALLED_SHARE:
        for number, time_s in enumerate(times_s, start=1):
            for look in scene.at(time_s):
                answer = _line(look) if look.visible else "nothing"
                asked.append((f"what is the {look.shape} in frame {number} ?", answer))
    else:
        for number, event in enumerate(scene.events, start=1):
            answer = event_phrase(event, f"the {scene.objects[event.target].shape}")
            asked.append((f"what happens between frames {number} and {number + 1} ?", answer))
    rng.shuffle(asked)
    for question, answer in asked:
        pieces.append((f"question : {question} answer :", 0.0))
        pieces.append((f"{answer} {EOS}", ANSWER_WEIGHT))
    return pieces


def _middles(scene: Scene) -> list[float]:
    """Return the times in the middle before, between and after the events."""
    bounds = (0.0, *(event.time_s for event in scene.events), scene.duration_s)
    return [(start + end) / 2 for start, end in pairwise(bounds)]


def _two_events(rng: Random, *, apart: bool) -> Scene:
    while True:
        scene = draw_scene(rng)
        targets = {event.target for event in scene.events}
        if scene.part == "training" and len(scene.events) == 2 and (not apart or len(targets) == 2):
            return scene


def _only(scene: Scene, shown: Collection[int]) -> Scene:
    """Return the scene with nothing but the objects `shown`, which alone have events."""
    places = {target: place for place, target in enumerate(sorted(shown))}
    objects = tuple(scene.objects[target] for target in sorted(shown))
    events = tuple(replace(event, target=places[event.target]) for event in scene.events)
    return replace(scene, objects=objects, events=events, sounds=())


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
    return " ; ".join(map(_line, shown)) or "nothing"


def _line(look: Look) -> str:
    return f"{place_words(look.place)} : {look.size} {look.colour} {look.shape}"


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
