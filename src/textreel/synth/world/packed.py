"""Moments in few positions: each holds the words of one object at once.

A soft token carries a whole vector's worth of meaning in one position. A large language model copes
with such superpositions; one of a million parameters that has only met words one by one reads them
worse (docs/LOG.md). So some of its documents describe each moment
in `SLOTS` positions, and a position is a weighted sum of words: an object's, and faintly words
that have no business there, as from a linear map that is not quite certain. These are words still:
no encoder's feature is among them.

In a piece of text, `3+small+red+circle` is one such position.
"""

from random import Random

from textreel.synth.world.captions import SHAPE_WORDS, SIZE_WORDS, place_words
from textreel.synth.world.scene import SHAPES, Look, Scene
from textreel.synth.world.vocabulary import PAD, words

SLOTS = len(SHAPES)
"""Positions of a moment: a column for each shape, as in a table."""

NAMED_SHARE = 0.5
"""Documents whose positions name their shape; in the others the column alone says it."""

TRUE_WEIGHTS, STRAY_WEIGHTS = (0.6, 1.2), (0.0, 0.4)
"""Ranges that the weights of the right words and of stray words are drawn from."""

NUM_STRAYS = 2
MOST_WORDS = 10
JOINED = "+"

_STRAYS = tuple(word for word in words() if word.isalpha())


def packed_moment(
    scene: Scene, time_s: float, number: int, rng: Random, *, named: bool = True
) -> str:
    """Describe one moment in `SLOTS` positions, in the order of `SHAPES`.

    Args:
        scene: the facts.
        time_s: when.
        number: of the moment among those of its document, from 1; every position says it.
        rng: draws the words.
        named: whether positions name their shape.
    """
    shown = {look.shape: look for look in scene.at(time_s) if look.visible}
    empty = [shape for shape in SHAPES if shape not in shown]
    positions = []
    for shape in SHAPES:
        found = [
            str(number),
            *(_object_words(shown[shape], rng) if shape in shown else ["nothing"]),
        ]
        if shape == empty[0]:
            found += [scene.background, "background"]
        if named:
            found.append(rng.choice(SHAPE_WORDS[shape]))
        positions.append(JOINED.join(found))
    return " ".join(positions)


def _object_words(look: Look, rng: Random) -> list[str]:
    return [*place_words(look.place, rng).split(), rng.choice(SIZE_WORDS[look.size]), look.colour]


def weigh(position: str, rng: Random) -> list[tuple[str, float]]:
    """Return the words of one position with their weights: its own, stray ones, then padding.

    Returns:
        `MOST_WORDS` pairs.
    """
    own = [(word, rng.uniform(*TRUE_WEIGHTS)) for word in position.split(JOINED)]
    strays = [(word, rng.uniform(*STRAY_WEIGHTS)) for word in rng.sample(_STRAYS, NUM_STRAYS)]
    found = own + strays
    return found + [(PAD, 0.0)] * (MOST_WORDS - len(found))
