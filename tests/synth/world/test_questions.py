"""Every answer is worked out again from the facts and the question's words alone."""

import re
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest

from tests.synth.world.by_hand import COUNTS, PLACE_NAMES, busy_scene, look, replay, scene
from textreel.data.textual_video import TextualQuestion
from textreel.synth.world.questions import (
    QUESTION_TYPES,
    SOUND_TYPES,
    ask,
    ask_all,
    build_question,
)
from textreel.synth.world.scene import Event, Scene, Sound, draw_scene

ALL_TYPES = QUESTION_TYPES + SOUND_TYPES
SHAPE = "(circle|square|triangle|cross)"
COLOUR = "(red|green|blue|yellow|purple|orange|pink)"
VERBS = {
    "moves": "it moves",
    "appears": "it appears",
    "disappears": "it disappears",
    "grows": "it grows",
    "shrinks": "it shrinks",
    "changes colour": "it changes colour",
}


def named(facts: Scene, text: str) -> int:
    """Which object a question is about: by its shape, or by a colour it starts with."""
    if found := re.search(SHAPE, text):
        return [o.shape for o in facts.objects].index(found.group())
    found = re.search(COLOUR, text)
    assert found, text
    return [o.colour for o in facts.objects].index(found.group())


def told(facts: Scene, event: Event) -> str:
    name = f"the {facts.objects[event.target].shape}"
    if event.kind == "moves":
        return f"{name} moves {event.detail}"
    return (
        f"{name} turns {event.detail}" if event.kind == "changes colour" else f"{name} {event.kind}"
    )


def colour(facts: Scene, text: str) -> str:
    return replay(facts, 0)[named(facts, text)]["colour"]


def shape(facts: Scene, text: str) -> str:
    return replay(facts, 0)[named(facts, text)]["shape"]


def count(facts: Scene, text: str) -> str:
    time_s = {"start": 0.0, "end": facts.duration_s}[re.search("start|end", text).group()]
    return COUNTS[sum(thing["seen"] for thing in replay(facts, time_s))]


def place(facts: Scene, text: str) -> str:
    target = named(facts, text)
    places = {replay(facts, t)[target]["place"] for t in (0, facts.duration_s)}
    assert len(places) == 1
    return PLACE_NAMES[places.pop()]


def direction(facts: Scene, text: str) -> str:
    moves = [e for e in facts.events if e.target == named(facts, text) and e.kind == "moves"]
    assert len(moves) == 1
    return moves[0].detail


def event(facts: Scene, text: str) -> str:
    mine = [e.kind for e in facts.events if e.target == named(facts, text)]
    assert len(mine) <= 1
    return VERBS[mine[0]] if mine else "it stays the same"


def order(facts: Scene, text: str) -> str:
    assert len(facts.events) == 2
    return told(facts, facts.events[0 if "first" in text else 1])


def final(facts: Scene, text: str) -> str:
    thing = replay(facts, facts.duration_s)[named(facts, text)]
    assert thing["seen"]
    return thing["colour"] if "colour" in text else PLACE_NAMES[thing["place"]]


def heard(facts: Scene, text: str) -> str:
    sounds = sorted(facts.sounds, key=lambda s: s.start_s)
    assert ("first" in text or "last" in text) == (len(sounds) == 2)
    return sounds[-1 if "last" in text else 0].shape


def seen_and_heard(facts: Scene, text: str) -> str:
    assert [thing["seen"] for thing in replay(facts, 0) + replay(facts, 8)] == [True] * 6
    (sound,) = [s for s in facts.sounds if s.on_screen]
    for time_s in (0.0, facts.duration_s):
        (thing,) = [t for t in replay(facts, time_s) if t["shape"] == sound.shape]
    return thing["colour"] if "colour" in text else PLACE_NAMES[thing["place"]]


SOLVERS: dict[str, Callable[[Scene, str], str]] = {
    "colour": colour,
    "shape": shape,
    "count": count,
    "place": place,
    "direction": direction,
    "event": event,
    "order": order,
    "final": final,
    "heard": heard,
    "seen_and_heard": seen_and_heard,
}


def ask_often(facts: Scene, kind: str, *, times: int = 200) -> list[TextualQuestion]:
    asked = [ask(facts, kind, Random(i)) for i in range(times)]
    return [question for question in asked if question is not None]


TRIO = scene(
    look(),
    look("square", "blue", "big", (2, 1)),
    look("cross", "green", "small", (1, 1)),
    sounds=(Sound("square", 1.0, 3.0, on_screen=True),),
)
GONE = scene(look(), events=(Event(3.0, "disappears", 0),))


@pytest.mark.parametrize(
    ("facts", "kind", "wanted"),
    [
        (busy_scene(), "colour", {("circle", "red")}),
        (busy_scene(), "shape", {("red", "circle")}),
        (busy_scene(), "count", {("start", "two"), ("end", "two")}),
        (GONE, "count", {("start", "one"), ("end", "none")}),
        (busy_scene(), "place", {("square", "bottom")}),
        (busy_scene(), "direction", {("circle", "right")}),
        (busy_scene(), "event", {("circle", "it moves"), ("square", "it changes colour")}),
        (TRIO, "event", {(s, "it stays the same") for s in ("circle", "square", "cross")}),
        (
            busy_scene(),
            "order",
            {("first", "the circle moves right"), ("last", "the square turns pink")},
        ),
        (busy_scene(), "final", {("circle", "top right"), ("square", "pink")}),
        (busy_scene(), "heard", {("heard", "circle"), ("sounds", "circle")}),
        (TRIO, "seen_and_heard", {("colour", "blue"), ("where", "bottom")}),
    ],
)
def test_answers_of_scenes_made_by_hand(facts: Scene, kind: str, wanted: set) -> None:
    asked = ask_often(facts, kind)
    pairs = {(word, q.open_answer) for q in asked for word, _ in wanted if word in q.question}
    assert pairs == wanted


@pytest.mark.parametrize(
    ("facts", "kinds"),
    [
        (GONE, ("direction", "order", "final", "heard", "seen_and_heard")),
        (busy_scene(), ("seen_and_heard",)),
        (
            scene(look(), events=(Event(2.0, "changes colour", 0, "pink"),)),
            ("colour", "shape", "direction", "order"),
        ),
        (
            scene(look(), events=(Event(2.0, "moves", 0, "right"), Event(4.0, "moves", 0, "left"))),
            ("place", "direction", "event"),
        ),
    ],
)
def test_what_a_scene_cannot_answer_is_not_asked(facts: Scene, kinds: tuple[str, ...]) -> None:
    for kind in kinds:
        assert ask_often(facts, kind, times=30) == [], kind


def test_a_thing_that_comes_back_to_where_it_was_gives_no_final_place() -> None:
    back = (Event(2.0, "moves", 0, "right"), Event(4.0, "moves", 0, "left"))
    assert ask_often(scene(look(), events=back), "final", times=30) == []


def test_300_random_scenes_are_answered_again() -> None:
    rng = Random(21)
    seen: Counter[str] = Counter()
    for _ in range(300):
        facts = draw_scene(rng)
        for question in ask_all(facts, rng, ALL_TYPES):
            answer = SOLVERS[question.kind](facts, question.question)
            assert question.open_answer == answer, (question, facts)
            assert question.options[question.answer] == answer
            assert len(question.options) == len(set(question.options)) == 4
            assert question.question.endswith(" ?")
            seen[question.kind] += 1
    assert set(seen) == set(ALL_TYPES)
    assert min(seen.values()) >= 8


def test_distractors_come_from_the_same_scene_where_it_has_them() -> None:
    for question in ask_often(TRIO, "colour", times=30):
        assert {"red", "blue", "green"} < set(question.options)
    for question in ask_often(TRIO, "place", times=30):
        assert {"top left", "bottom", "centre"} < set(question.options)
    for question in ask_often(busy_scene(), "event", times=30):
        assert {"it moves", "it changes colour"} < set(question.options)
    for question in ask_often(busy_scene(), "order", times=30):
        assert {"the circle moves right", "the square turns pink"} < set(question.options)


def test_made_up_events_are_of_the_same_objects_and_did_not_happen() -> None:
    rng = Random(4)
    scenes = (draw_scene(rng) for _ in range(300))
    asked = [(s, q) for s in scenes if (q := ask(s, "order", rng)) is not None]
    assert len(asked) > 100
    for facts, question in asked:
        happened = {told(facts, e) for e in facts.events}
        assert happened < set(question.options)
        names = {f"the {facts.objects[e.target].shape}" for e in facts.events}
        assert {re.match("the [a-z]+", option).group() for option in question.options} == names


def test_final_places_make_a_rectangle_with_the_start_in_it() -> None:
    for question in ask_often(busy_scene(), "final"):
        if "where" in question.question:
            rows = {("top left", "top right", "left", "right")} | {
                ("top left", "top right", "bottom left", "bottom right")
            }
            assert tuple(sorted(question.options)) in {tuple(sorted(row)) for row in rows}


def test_an_unknown_type_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match="no question type 'smell'; there are colour, shape"):
        ask(busy_scene(), "smell", Random(0))


def test_built_questions_take_the_scenes_own_words_first() -> None:
    words = (["b", "c", "a"], ["a", "b", "c", "d", "e"])
    for seed in range(20):
        built = build_question("colour", "which ?", "a", words, Random(seed))
        assert {"a", "b", "c"} < set(built.options) <= {"a", "b", "c", "d", "e"}
        assert built.options[built.answer] == built.open_answer == "a"
    places = {build_question("x", "?", "a", words, Random(s)).answer for s in range(50)}
    assert places == {0, 1, 2, 3}


@pytest.fixture(scope="module")
def many() -> list[TextualQuestion]:
    rng = Random(77)
    return [q for _ in range(6000) for q in ask_all(draw_scene(rng), rng, ALL_TYPES)]


def gist(kind: str, option: str) -> str:
    """What makes options of a type alike: `order` by its verb, whatever the object."""
    return re.sub(f"the {SHAPE} ", "", option).split()[0] if kind == "order" else option


@pytest.mark.parametrize("kind", QUESTION_TYPES)
def test_every_answer_is_right_in_a_quarter_of_the_questions_that_offer_it(
    many: list[TextualQuestion], kind: str
) -> None:
    offered: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for question in many:
        if question.kind == kind:
            offered.update(gist(kind, option) for option in question.options)
            right[gist(kind, question.open_answer)] += 1
    frequent = {option: n for option, n in offered.items() if n >= 200}
    assert len(frequent) >= 4
    for option, n in frequent.items():
        error = (0.25 * 0.75 / n) ** 0.5
        assert abs(right[option] / n - 0.25) < 0.02 + 3 * error, (option, right[option], n)


@pytest.mark.parametrize("kind", ALL_TYPES)
def test_the_right_option_stands_anywhere(many: list[TextualQuestion], kind: str) -> None:
    at = Counter(question.answer for question in many if question.kind == kind)
    total = sum(at.values())
    assert total > 300
    for index in range(4):
        assert abs(at[index] / total - 0.25) < 4 * (0.25 * 0.75 / total) ** 0.5


def test_the_eye_alone_has_one_in_three_about_what_sounds() -> None:
    rng = Random(31)
    chances = []
    while len(chances) < 60:
        facts = draw_scene(rng)
        if (question := ask(facts, "seen_and_heard", rng)) is None:
            continue
        what = "colour" if "colour" in question.question else "place"
        shown = {thing[what] for thing in replay(facts, 0)}
        names = shown if what == "colour" else {PLACE_NAMES[p] for p in shown}
        assert question.open_answer in names
        chances.append(1 / len(names & set(question.options)))
    assert sum(chances) / len(chances) <= 0.35
