"""Questions about a scene, their answers derived from its facts.

Eight types of four options: `colour, shape, count, place, direction, event, order, final`; and two
for a model with ears: `heard` and `seen_and_heard`. Distractors come from the same scene where it
has them. The right option is one that the distractors could have been: for every type the four
options are exchangeable given the question's words, so that whoever has not seen the video can do
no better than a guess. Where a scene's own odds are uneven (counts, places), questions are thinned
by their answer until they are even.
"""

from collections.abc import Callable, Sequence
from random import Random

from textreel.data.textual_video import TextualQuestion
from textreel.synth.world.captions import COUNT_WORDS, event_phrase, place_words
from textreel.synth.world.scene import (
    COLOURS,
    DIRECTIONS,
    EVENT_KINDS,
    SHAPES,
    STAYING_KINDS,
    Event,
    Look,
    Scene,
)

QUESTION_TYPES = ("colour", "shape", "count", "place", "direction", "event", "order", "final")
"""The types whose plain mean is `macro`."""

SOUND_TYPES = ("heard", "seen_and_heard")
NUM_OPTIONS = 4
PLACES = tuple((row, column) for row in range(3) for column in range(3))

EVENT_WORDS = {
    "moves": "it moves",
    "appears": "it appears",
    "disappears": "it disappears",
    "grows": "it grows",
    "shrinks": "it shrinks",
    "changes colour": "it changes colour",
    "": "it stays the same",
}
EVENT_QUESTIONS = ("what happens to {} ?", "what does {} do ?")
_COUNT_KEEP = {0: 1.0, 1: 0.154, 2: 0.147, 3: 0.262}
"""Share of count questions kept, by answer: makes the four answers equally frequent."""
_PLACE_KEEP_CENTRE = 0.95
_EVENT_KEEP = {
    "moves": 1.0,
    "appears": 0.575,
    "disappears": 0.575,
    "grows": 0.85,
    "shrinks": 0.85,
    "changes colour": 0.835,
    "": 0.22,
}
"""Share of `event` questions kept, by what happened."""

Draw = Callable[[Scene, Random], TextualQuestion | None]


def ask(scene: Scene, kind: str, rng: Random) -> TextualQuestion | None:
    """Ask one question of type `kind`, or None where this scene (or the thinning) has none.

    Raises:
        ValueError: `kind` is no question type.
    """
    if kind not in _DRAWS:
        raise ValueError(f"no question type {kind!r}; there are {', '.join(_DRAWS)}")
    return _DRAWS[kind](scene, rng)


def ask_all(
    scene: Scene, rng: Random, kinds: Sequence[str] = QUESTION_TYPES
) -> tuple[TextualQuestion, ...]:
    """Ask one question of each type that this scene has."""
    asked = (ask(scene, kind, rng) for kind in kinds)
    return tuple(question for question in asked if question is not None)


def build_question(
    kind: str,
    text: str,
    answer: str,
    words: tuple[Sequence[str], Sequence[str]],
    rng: Random,
) -> TextualQuestion:
    """Build a question of `NUM_OPTIONS` shuffled options.

    Args:
        kind: its type.
        text: the question.
        answer: the right option.
        words: (near, anywhere): distractors are drawn from the scene's own words first, then from
            any others.
        rng: draws and shuffles.
    """
    near, anywhere = words
    own = list(dict.fromkeys(word for word in near if word != answer))
    rng.shuffle(own)
    others = [word for word in anywhere if word != answer and word not in own]
    distractors = (own + rng.sample(others, len(others)))[: NUM_OPTIONS - 1]
    options = [answer, *distractors]
    rng.shuffle(options)
    return TextualQuestion(
        question=text,
        options=tuple(options),
        answer=options.index(answer),
        open_answer=answer,
        kind=kind,
    )


def _colour_changes(scene: Scene, target: int) -> bool:
    return any(event.kind == "changes colour" for event in scene.events_of(target))


def _name(scene: Scene, target: int, rng: Random) -> str:
    """Refer to an object by shape, or by a colour that nothing takes away from it."""
    look = scene.objects[target]
    if any(event.kind == "changes colour" for event in scene.events) or rng.random() < 0.6:
        return f"the {look.shape}"
    return rng.choice((f"the {look.colour} object", f"the {look.colour} {look.shape}"))


def _colour(scene: Scene, rng: Random) -> TextualQuestion | None:
    steady = [i for i in range(len(scene.objects)) if not _colour_changes(scene, i)]
    if not steady:
        return None
    look = scene.objects[rng.choice(steady)]
    near = [other.colour for other in scene.objects]
    text = rng.choice(
        (f"what colour is the {look.shape} ?", f"the {look.shape} has which colour ?")
    )
    return build_question("colour", text, look.colour, (near, COLOURS), rng)


def _shape(scene: Scene, rng: Random) -> TextualQuestion | None:
    steady = [i for i in range(len(scene.objects)) if not _colour_changes(scene, i)]
    if not steady:
        return None
    look = scene.objects[rng.choice(steady)]
    text = rng.choice(
        (f"what shape is the {look.colour} object ?", f"which shape is {look.colour} ?")
    )
    return build_question("shape", text, look.shape, ((), SHAPES), rng)


def _count(scene: Scene, rng: Random) -> TextualQuestion | None:
    when = rng.choice(("start", "end"))
    looks = scene.looks[0] if when == "start" else scene.looks[-1]
    count = sum(look.visible for look in looks)
    if rng.random() > _COUNT_KEEP[count]:
        return None
    text = rng.choice(
        (f"how many objects are there at the {when} ?", f"at the {when} , how many objects ?")
    )
    answer = COUNT_WORDS[count]
    return build_question("count", text, answer, ((), COUNT_WORDS), rng)


def _place(scene: Scene, rng: Random) -> TextualQuestion | None:
    still = [
        i
        for i in range(len(scene.objects))
        if not any(event.kind == "moves" for event in scene.events_of(i))
    ]
    if not still:
        return None
    target = rng.choice(still)
    place = scene.objects[target].place
    if place == (1, 1) and rng.random() > _PLACE_KEEP_CENTRE:
        return None
    answer = place_words(place)
    near = [place_words(scene.objects[i].place) for i in still]
    words = [place_words(cell) for cell in PLACES]
    text = f"where is {_name(scene, target, rng)} ?"
    return build_question("place", text, answer, (near, words), rng)


def _direction(scene: Scene, rng: Random) -> TextualQuestion | None:
    moves = [event for event in scene.events if event.kind == "moves"]
    moves = [e for e in moves if sum(other.target == e.target for other in moves) == 1]
    if not moves:
        return None
    event = rng.choice(moves)
    text = f"which way does {_name(scene, event.target, rng)} move ?"
    return build_question("direction", text, event.detail, ((), DIRECTIONS), rng)


def _event(scene: Scene, rng: Random) -> TextualQuestion | None:
    happened = {i: scene.events_of(i) for i in range(len(scene.objects))}
    single = [i for i, events in happened.items() if len(events) == 1]
    idle = [i for i, events in happened.items() if not events]
    if idle and (not single or rng.random() < 0.5):
        target, kind = rng.choice(idle), ""
    elif single:
        target = rng.choice(single)
        kind = happened[target][0].kind
    else:
        return None
    if rng.random() > _EVENT_KEEP[kind]:
        return None
    answer = EVENT_WORDS[kind]
    near = [EVENT_WORDS[e.kind] for i in single if i != target for e in happened[i]]
    text = rng.choice(EVENT_QUESTIONS)
    text = text.format(f"the {scene.objects[target].shape}")
    words = near, list(EVENT_WORDS.values())
    return build_question("event", text, answer, words, rng)


def _order(scene: Scene, rng: Random) -> TextualQuestion | None:
    """Which of two events came first (or last); the made-up ones are of the same objects."""
    if len(scene.events) != 2:
        return None
    first, second = scene.events
    when = rng.choice(("first", "last"))
    right = first if when == "first" else second
    told = [_told(scene, event) for event in scene.events]
    wrong = _made_up(scene, first, second, rng)
    answer = _told(scene, right)
    return build_question("order", f"what happens {when} ?", answer, (told + wrong, ()), rng)


def _told(scene: Scene, event: Event) -> str:
    return event_phrase(event, f"the {scene.objects[event.target].shape}")


def _made_up(scene: Scene, first: Event, second: Event, rng: Random) -> list[str]:
    """Two events that did not happen, of the same objects as the two that did."""
    told = {_told(scene, first), _told(scene, second)}
    same = first.target == second.target
    kinds = STAYING_KINDS if same else EVENT_KINDS
    wrong: list[str] = []
    for event in (first, second):
        taken = {first.kind, second.kind} if same else {event.kind}
        while True:
            kind = rng.choice([k for k in kinds if k not in taken])
            phrase = _told(scene, Event(0.0, kind, event.target, _detail(kind, scene, rng)))
            if phrase not in told and phrase not in wrong:
                wrong.append(phrase)
                break
    return wrong


def _detail(kind: str, scene: Scene, rng: Random) -> str:
    if kind == "moves":
        return rng.choice(DIRECTIONS)
    if kind == "changes colour":
        own = {look.colour for look in scene.objects}
        return rng.choice([colour for colour in COLOURS if colour not in own])
    return ""


def _final(scene: Scene, rng: Random) -> TextualQuestion | None:
    """What a changed object looks like, or where it is, at the end."""
    last = [e for e in scene.events if e.kind in ("moves", "changes colour")]
    last = [e for e in last if scene.looks[-1][e.target].visible]
    if not last:
        return None
    event = rng.choice(last)
    start, end = scene.objects[event.target], scene.looks[-1][event.target]
    name = f"the {end.shape}"
    if event.kind == "changes colour":
        text = rng.choice(
            (f"what colour is {name} at the end ?", f"at the end , what colour is {name} ?")
        )
        return build_question("final", text, end.colour, ([start.colour], COLOURS), rng)
    corners = _rectangle(start, end, rng)
    if corners is None:
        return None
    text = rng.choice((f"where is {name} at the end ?", f"at the end , where is {name} ?"))
    return build_question("final", text, place_words(end.place), (corners, ()), rng)


def _rectangle(start: Look, end: Look, rng: Random) -> list[str] | None:
    """Three wrong places that make a rectangle with the end; one of them is the start.

    A start and an end share a row or a column. Two made-up places that share one as well keep the
    pair from giving the answer away.
    """
    (r0, c0), (r1, c1) = start.place, end.place
    if r0 == r1 and c0 != c1:
        row = rng.choice([r for r in range(3) if r != r0])
        return [place_words(p) for p in ((r0, c0), (row, c0), (row, c1))]
    if c0 == c1 and r0 != r1:
        column = rng.choice([c for c in range(3) if c != c0])
        return [place_words(p) for p in ((r0, c0), (r0, column), (r1, column))]
    return None


def _heard(scene: Scene, rng: Random) -> TextualQuestion | None:
    if not scene.sounds:
        return None
    sound = rng.choice(scene.sounds)
    when = ""
    if len(scene.sounds) == 2:
        when = " first" if sound == scene.sounds[0] else " last"
    text = rng.choice((f"what is heard{when} ?", f"what sounds{when} ?"))
    return build_question("heard", text, sound.shape, ((), SHAPES), rng)


def _seen_and_heard(scene: Scene, rng: Random) -> TextualQuestion | None:
    """Colour or place of the one of three visible objects that sounds: the eye alone has 1 in 3."""
    if len(scene.objects) != 3 or not all(o.visible for looks in scene.looks for o in looks):
        return None
    own = [sound for sound in scene.sounds if sound.on_screen]
    if len(own) != 1:
        return None
    look = next(o for o in scene.objects if o.shape == own[0].shape)
    kinds = {event.kind for event in scene.events}
    asks = [
        what
        for what, kind in (("colour", "changes colour"), ("place", "moves"))
        if kind not in kinds
    ]
    if not asks:
        return None
    if rng.choice(asks) == "colour":
        near = [o.colour for o in scene.objects]
        text, answer, words = "what colour is the object that sounds ?", look.colour, list(COLOURS)
    else:
        near = [place_words(o.place) for o in scene.objects]
        text, answer = "where is the object that sounds ?", place_words(look.place)
        words = [place_words(cell) for cell in PLACES]
    return build_question("seen_and_heard", text, answer, (near, words), rng)


_DRAWS: dict[str, Draw] = {
    "colour": _colour,
    "shape": _shape,
    "count": _count,
    "place": _place,
    "direction": _direction,
    "event": _event,
    "order": _order,
    "final": _final,
    "heard": _heard,
    "seen_and_heard": _seen_and_heard,
}
