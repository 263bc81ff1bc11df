"""Questions about long scenes: one moment, two distant moments, or the whole.

    moment    what colour is the circle at 2 : 40 ?
    distant   what changes for the circle between 0 : 10 and 2 : 50 ?
    whole     how many times does the circle move ?

Four options each, distractors from the same scene where it has them. Times are minutes and seconds,
for the tiny models know numbers up to 60.
"""

from collections.abc import Callable
from random import Random

from textreel.data.textual_video import TextualQuestion
from textreel.synth.world.captions import place_words
from textreel.synth.world.questions import NUM_OPTIONS, PLACES, build_question
from textreel.synth.world.scene import COLOURS, Scene

LONG_TYPES = ("moment", "distant", "whole")
QUIET_S = 1.0
"""A moment that is asked about is at least this far from any event."""
DISTANT_SHARE = 0.4
"""Two moments are distant when this share of the scene lies between them."""
MOST_TIMES = 58
"""With two more it is the largest number that the tiny models know."""
NEVER_SHARE = 0.25
"""Of questions how often, those whose answer is never: one of four options."""
DRAWS = 30
"""Pairs of moments that are looked at for a difference of the wanted kind."""


def ask_long(scene: Scene, rng: Random) -> tuple[TextualQuestion, ...]:
    """Ask one question of each of `LONG_TYPES` that this scene has."""
    asked = (draw(scene, rng) for draw in _DRAWS.values())
    return tuple(question for question in asked if question is not None)


def clock(second: int) -> str:
    """Write a time as minutes and seconds.

    >>> clock(137)
    '2 : 17'
    """
    return f"{second // 60} : {second % 60}"


def _quiet_moments(scene: Scene) -> list[int]:
    return [
        second
        for second in range(1, int(scene.duration_s))
        if all(abs(event.time_s - second) >= QUIET_S for event in scene.events)
    ]


def _moment(scene: Scene, rng: Random) -> TextualQuestion | None:
    """Colour or place of an object at one time; those of other times are the distractors."""
    quiet = _quiet_moments(scene)
    if not quiet:
        return None
    second = rng.choice(quiet)
    shown = [i for i, look in enumerate(scene.at(second)) if look.visible]
    if not shown:
        return None
    target = rng.choice(shown)
    look = scene.at(second)[target]
    states = [looks[target] for looks in scene.looks]
    if rng.random() < 0.5:
        near = [state.colour for state in states]
        text = f"what colour is the {look.shape} at {clock(second)} ?"
        return build_question("moment", text, look.colour, (near, COLOURS), rng)
    near = [place_words(state.place) for state in states]
    text = f"where is the {look.shape} at {clock(second)} ?"
    places = [place_words(cell) for cell in PLACES]
    return build_question("moment", text, place_words(look.place), (near, places), rng)


def _distant(scene: Scene, rng: Random) -> TextualQuestion | None:
    """What differs between two distant moments, for one object: colour, place, both or nothing.

    Which of them is drawn first, for nothing is what differs most often.
    """
    quiet = _quiet_moments(scene)
    pairs = [(a, b) for a in quiet for b in quiet if b - a >= DISTANT_SHARE * scene.duration_s]
    if not pairs:
        return None
    wanted = rng.choice(tuple(_DIFFERENCES))
    for _ in range(DRAWS):
        early, late = rng.choice(pairs)
        target = rng.randrange(len(scene.objects))
        a, b = scene.at(early)[target], scene.at(late)[target]
        if a.visible and b.visible and (a.colour != b.colour, a.place != b.place) == wanted:
            text = f"what changes for the {a.shape} between {clock(early)} and {clock(late)} ?"
            options = tuple(_DIFFERENCES.values())
            return build_question("distant", text, _DIFFERENCES[wanted], ((), options), rng)
    return None


_DIFFERENCES = {
    (True, True): "both",
    (True, False): "colour",
    (False, True): "where it is",
    (False, False): "nothing",
}
"""(Another colour, another place): the answer."""


def _whole(scene: Scene, rng: Random) -> TextualQuestion | None:
    """How many times an object does something: never, or one of three numbers in a row.

    Which of the four is right is drawn, and where it is never, the numbers are about what another
    object does. Scenes that have no such question make it uneven: the best constant answer is right
    in a third of cases (docs/LOG.md), in scenes of less than a minute in more.
    """
    verbs = {"moves": "move", "changes colour": "change colour"}
    found = [
        (sum(event.kind == kind for event in scene.events_of(target)), target, verb)
        for target in range(len(scene.objects))
        for kind, verb in verbs.items()
    ]
    some = [one for one in found if 0 < one[0] <= MOST_TIMES]
    never = [one for one in found if one[0] == 0]
    if not some:
        return None
    near, target, verb = rng.choice(some)
    first = near - rng.randrange(NUM_OPTIONS - 1)
    if first < 1:
        return None
    times = near
    if rng.random() < NEVER_SHARE:
        if not never:
            return None
        times, target, verb = rng.choice(never)
    numbers = [str(number) for number in (0, *range(first, first + NUM_OPTIONS - 1))]
    text = f"how many times does the {scene.objects[target].shape} {verb} ?"
    return build_question("whole", text, str(times), ((), numbers), rng)


_DRAWS: dict[str, Callable[[Scene, Random], TextualQuestion | None]] = {
    "moment": _moment,
    "distant": _distant,
    "whole": _whole,
}
