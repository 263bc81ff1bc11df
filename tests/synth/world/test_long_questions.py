import re
from collections import Counter
from random import Random

import pytest

from tests.synth.world.by_hand import PLACE_NAMES, look, replay, scene
from tests.synth.world.test_questions import named
from textreel.data.textual_video import TextualQuestion
from textreel.synth.world.long_questions import LONG_TYPES, ask_long
from textreel.synth.world.scene import Event, Scene, draw_scene


def seconds_in(text: str) -> list[int]:
    return [60 * int(m) + int(s) for m, s in re.findall(r"(\d+) : (\d+)", text)]


def answer(facts: Scene, question: TextualQuestion) -> str:
    text = question.question
    target = named(facts, text)
    numbers = seconds_in(text)
    if question.kind == "whole":
        kind = "moves" if "move" in text else "changes colour"
        return str(sum(e.kind == kind and e.target == target for e in facts.events))
    states = [replay(facts, number)[target] for number in numbers]
    assert all(state["seen"] for state in states)
    if question.kind == "moment":
        (state,) = states
        return state["colour"] if "colour" in text else PLACE_NAMES[state["place"]]
    early, late = states
    assert numbers[1] - numbers[0] >= 0.4 * facts.duration_s
    changed = [early[what] != late[what] for what in ("colour", "place")]
    return {
        (True, True): "both",
        (True, False): "colour",
        (False, True): "where it is",
        (False, False): "nothing",
    }[tuple(changed)]


def test_random_long_scenes_are_answered_again() -> None:
    rng = Random(6)
    seen: Counter[str] = Counter()
    for seconds in (20.0, 60.0, 60.0, 300.0) * 25:
        facts = draw_scene(rng, seconds=seconds)
        for question in ask_long(facts, rng):
            assert question.open_answer == answer(facts, question), (question, facts)
            assert question.options[question.answer] == question.open_answer
            assert len(set(question.options)) == 4
            seen[question.kind] += 1
    assert set(seen) == set(LONG_TYPES)
    assert min(seen.values()) > 30


def test_nobody_is_asked_about_a_moment_of_change() -> None:
    events = tuple(Event(float(t), "moves", 0, "right" if t % 4 else "left") for t in (2, 4, 6))
    facts = scene(look(), events=events, duration_s=7.5)
    for seed in range(50):
        for question in ask_long(facts, Random(seed)):
            assert set(seconds_in(question.question)).isdisjoint((2, 4, 6))


def test_a_scene_that_changes_all_the_time_has_no_quiet_moment() -> None:
    rest = (("moves", "right"), ("grows", ""), ("moves", "left"), ("shrinks", ""))
    events = tuple(Event(t + 0.5, rest[t % 4][0], 0, rest[t % 4][1]) for t in range(20))
    facts = scene(look(), events=events, duration_s=20.0)
    kinds = {question.kind for seed in range(20) for question in ask_long(facts, Random(seed))}
    assert kinds == {"whole"}


def test_what_is_never_seen_or_never_changes_has_no_question() -> None:
    facts = scene(look(visible=False), duration_s=20.0)
    assert not any(ask_long(facts, Random(seed)) for seed in range(20))


@pytest.mark.parametrize("seconds", [60.0, pytest.param(180.0, marks=pytest.mark.slow)])
def test_no_number_and_no_difference_can_be_guessed(seconds: float) -> None:
    rng = Random(3)
    drawn = (draw_scene(rng, seconds=seconds) for _ in range(250))
    asked = [q for facts in drawn for q in ask_long(facts, rng)]
    numbers = [q for q in asked if q.kind == "whole"]
    for question in numbers:
        never, first, *_, last = sorted(map(int, question.options))
        assert never == 0
        assert last - first == 2
    ranks = Counter(sorted(map(int, q.options)).index(int(q.options[q.answer])) for q in numbers)
    differences = Counter(q.options[q.answer] for q in asked if q.kind == "distant")
    for counted in (ranks, differences):
        assert len(counted) == 4
        assert counted.total() > 100
        assert max(counted.values()) < 0.42 * counted.total()


def test_more_times_than_there_are_numbers_for_is_not_asked() -> None:
    moves = [
        Event(float(t), "moves", 0, "right" if t % 4 == 2 else "left") for t in range(2, 122, 2)
    ]
    colours = [Event(t + 0.5, "changes colour", 0, ("red", "blue")[t % 2]) for t in range(6)]
    events = sorted([*moves, *colours], key=lambda event: event.time_s)
    facts = scene(look(), events=events, duration_s=124.0)
    asked = [q for seed in range(60) for q in ask_long(facts, Random(seed)) if q.kind == "whole"]
    assert asked
    assert {q.question for q in asked} == {"how many times does the circle change colour ?"}
