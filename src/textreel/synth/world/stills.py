"""Single moments for the towers: groups of minimally edited stills with captions.

A tower that only has to tell random scenes apart never learns which colour belongs to which shape.
So stills come in groups of eight: one moment, and seven edits of it that change as little as can
be seen - two colours, shapes or places exchanged, one attribute changed, one object gone or new.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, product
from random import Random
from typing import Any

from textreel.synth.world.captions import place_words
from textreel.synth.world.questions import PLACES
from textreel.synth.world.scene import BACKGROUNDS, COLOURS, SHAPES, SIZES, Look, Place, draw_scene

GROUP_SIZE = 8

Looks = tuple[Look, ...]
WordPair = tuple[str, str]
"""Two things an object line says of one object; a background stands with itself."""
_OBJECT_WORDS: tuple[tuple[str, ...], ...] = (
    SIZES,
    COLOURS,
    SHAPES,
    tuple(map(place_words, PLACES)),
)
WORD_PAIRS: tuple[WordPair, ...] = (
    *((ground, ground) for ground in BACKGROUNDS),
    *chain.from_iterable(product(one, other) for one, other in combinations(_OBJECT_WORDS, 2)),
)
"""Every pair that a moment's lines can hold, in a fixed order."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A background and the visible objects on it."""

    background: str
    looks: Looks


def draw_group(rng: Random) -> list[Moment]:
    """Draw `GROUP_SIZE` different moments, each a minimal edit of the first.

    Moments come from scenes of the training part only.
    """
    while (scene := draw_scene(rng)).part != "training":
        pass
    looks = tuple(look for look in scene.at(rng.uniform(0, scene.duration_s)) if look.visible)
    first = Moment(scene.background, looks)
    group, seen = [first], {_facts(first)}
    while len(group) < GROUP_SIZE:
        edited = _edit(first, rng)
        if _facts(edited) not in seen:
            seen.add(_facts(edited))
            group.append(edited)
    return group


def word_pairs(moment: Moment) -> list[WordPair]:
    """Return the pairs of words that stand together in the plain lines of a moment.

    A line is `small red circle top left`; its four parts make six pairs. Which colour is beside
    which shape is all in the pairs, and nothing of it in the single words.
    """
    lines = [(k.size, k.colour, k.shape, place_words(k.place)) for k in moment.looks]
    pairs = [pair for line in lines for pair in combinations(line, 2)]
    return [(moment.background, moment.background), *pairs]


def _facts(moment: Moment) -> tuple[str, frozenset[Look]]:
    return moment.background, frozenset(moment.looks)


def _edit(moment: Moment, rng: Random) -> Moment:
    looks = moment.looks
    if rng.random() < 0.05 or not looks:
        if looks or rng.random() < 0.3:
            ground = rng.choice([b for b in BACKGROUNDS if b != moment.background])
            return replace(moment, background=ground)
        return replace(moment, looks=_add(looks, rng))
    if len(looks) > 1 and rng.random() < 0.5:
        return replace(moment, looks=_swap(looks, rng))
    return replace(moment, looks=rng.choice(_EDITS)(looks, rng))


def _with(look: Look, field: str, value: str | Place) -> Look:
    changes: dict[str, Any] = {field: value}
    return replace(look, **changes)


def _swap(looks: Looks, rng: Random) -> Looks:
    field = rng.choice(("colour", "shape", "place", "colour", "shape", "size"))
    i, j = rng.sample(range(len(looks)), 2)
    edited = list(looks)
    edited[i] = _with(looks[i], field, getattr(looks[j], field))
    edited[j] = _with(looks[j], field, getattr(looks[i], field))
    return tuple(edited)


def _change(field: str, words: Sequence[str] | Sequence[Place]) -> Callable[[Looks, Random], Looks]:
    """Make an edit that gives one object a value of `field` that no object has."""

    def edit(looks: Looks, rng: Random) -> Looks:
        i = rng.randrange(len(looks))
        taken = {getattr(look, field) for look in (looks if field != "size" else looks[i : i + 1])}
        value = rng.choice([word for word in words if word not in taken])
        return (*looks[:i], _with(looks[i], field, value), *looks[i + 1 :])

    return edit


def _remove(looks: Looks, rng: Random) -> Looks:
    i = rng.randrange(len(looks))
    return (*looks[:i], *looks[i + 1 :])


def _add(looks: Looks, rng: Random) -> Looks:
    if len(looks) == 3:
        return _remove(looks, rng)
    new = Look(
        shape=rng.choice([s for s in SHAPES if all(s != look.shape for look in looks)]),
        colour=rng.choice([c for c in COLOURS if all(c != look.colour for look in looks)]),
        size=rng.choice(SIZES),
        place=rng.choice([p for p in PLACES if all(p != look.place for look in looks)]),
        visible=True,
    )
    return (*looks, new)


_change_colour = _change("colour", COLOURS)
_change_shape = _change("shape", SHAPES)
_change_place = _change("place", PLACES)
_change_size = _change("size", SIZES)
_EDITS: tuple[Callable[[Looks, Random], Looks], ...] = (
    _change_colour,
    _change_colour,
    _change_shape,
    _change_shape,
    _change_place,
    _change_size,
    _change_size,
    _remove,
    _add,
)
