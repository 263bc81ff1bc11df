import re
from itertools import pairwise
from random import Random

import pytest

from tests.synth.world.test_documents import END, parse
from textreel.synth.world import lessons
from textreel.synth.world.captions import COUNT_WORDS, SHAPE_WORDS
from textreel.synth.world.lessons import (
    Form,
    draw_between,
    draw_change,
    draw_list,
    draw_moment,
    draw_order,
    draw_recall,
)
from textreel.synth.world.questions import EVENT_WORDS
from textreel.synth.world.scene import COLOURS, DIRECTIONS, SHAPES, Scene, draw_scene
from textreel.synth.world.vocabulary import split, words


def test_every_question_about_a_list_is_answered_by_the_list() -> None:
    for seed in range(60):
        (listed,), turns = parse(draw_list(Random(seed)))
        things = [thing.split(" : ") for thing in listed.split(" ; ")]
        assert len(things) in (2, 3)
        assert len(turns) == 3 * len(things)
        answers = {}
        for place, look in things:
            _, colour, shape = look.split()
            answers[f"what colour is the {shape} ?"] = colour
            answers[f"what shape is the {colour} object ?"] = shape
            answers[f"where is the {shape} ?"] = place
        assert {turn.question: turn.answer_text for turn in turns} == answers


def test_every_object_is_recalled_as_either_list_has_it() -> None:
    missing, unlike = 0, 0
    for seed in range(60):
        texts, turns = parse(draw_recall(Random(seed)))
        lists = dict(zip(("start", "end"), (text.split(" ; ") for text in texts), strict=True))
        asked = {}
        for turn in turns:
            found = re.fullmatch(r"what is the (\w+) at the (start|end) \?", turn.question)
            assert found is not None
            shape, when = found.groups()
            told = [line for line in lists[when] if line.endswith(f" {shape}")]
            assert [turn.answer_text] == (told or ["nothing"])
            asked[shape, when] = turn.answer_text
        shapes = {shape for shape, _ in asked}
        assert 1 <= len(shapes) <= 3
        assert len(turns) == len(asked) == 2 * len(shapes)
        missing += "nothing" in asked.values()
        unlike += any(asked[shape, "start"] != asked[shape, "end"] for shape in shapes)
    assert missing > 10
    assert unlike > 40


def test_recalls_are_of_no_more_objects_than_asked() -> None:
    for seed in range(20):
        _, turns = parse(draw_recall(Random(seed), most=1))
        assert len(turns) == 2


def test_what_is_asked_between_three_moments_follows_from_their_lists() -> None:
    recalled, told, numbered = 0, 0, 0
    for seed in range(80):
        texts, turns = parse(draw_between(Random(seed)))
        assert len(texts) == 3
        numbered += texts[0].startswith("1 : ")
        lists = [re.sub(r"^\d : ", "", text).split(" ; ") for text in texts]
        for turn in turns:
            if found := re.fullmatch(r"what is the (\w+) in frame (\d) \?", turn.question):
                shape, number = found[1], int(found[2])
                shown = [line for line in lists[number - 1] if line.endswith(f" {shape}")]
                assert [turn.answer_text] == (shown or ["nothing"])
                recalled += 1
                continue
            found = re.fullmatch(r"what happens between frames (\d) and (\d) \?", turn.question)
            assert found is not None
            assert int(found[2]) == int(found[1]) + 1
            assert turn.answer_text is not None
            shape = turn.answer_text.split()[1]
            changed = set(lists[int(found[1]) - 1]) ^ set(lists[int(found[1])])
            assert {line.split()[-1] for line in changed - {"nothing"}} == {shape}
            told += 1
    assert min(recalled, told) > 40
    assert 20 < numbered < 60


def test_a_moment_is_asked_about_what_its_caption_says() -> None:
    numbers = set()
    for seed in range(80):
        (caption,), turns = parse(draw_moment(Random(seed)))
        shown = [w for w in split(caption) if w in COLOURS]
        assert len({turn.question for turn in turns}) == len(turns)
        for turn in turns:
            answer = turn.answer_text or turn.options[turn.answer]
            if "how many" in turn.question:
                assert answer == COUNT_WORDS[len(shown)]
                numbers.add(answer)
            elif re.match("what colour|the .* has which", turn.question):
                assert answer in shown
            elif "shape is" in turn.question:
                assert set(shown) & set(turn.question.split())
                assert answer in SHAPES
            else:
                assert turn.question.startswith("where is")
    assert len(numbers) >= 3


def test_lessons_use_known_words_and_weigh_answers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Scene] = []

    def record(rng: Random) -> Scene:
        drawn.append(draw_scene(rng))
        return drawn[-1]

    monkeypatch.setattr(lessons, "draw_scene", record)
    known = set(words())
    for seed in range(40):
        for draw in (draw_list, draw_recall, draw_between, draw_moment):
            for text, weight in draw(Random(seed)):
                assert set(split(text.replace("<eos>", ""))) <= known
                assert (weight == 3.0) == text.endswith(END)
                assert (weight == 0.0) == text.endswith(" :")
        assert drawn[-1].part == "training"


@pytest.mark.parametrize("plain", [True, False])
def test_what_happened_to_an_object_is_told_by_the_two_texts(plain: bool) -> None:
    kinds = set()
    for seed in range(150):
        texts, turns = parse(draw_change(Random(seed), plain=plain))
        before, after = ([w for w in split(text)] for text in texts)
        for turn in turns:
            answer = turn.answer_text or turn.options[turn.answer]
            if "which way" in turn.question:
                assert answer in DIRECTIONS
                continue
            shape = next(w for w in split(turn.question) if w in SHAPES)
            told = [any(w in text for w in SHAPE_WORDS[shape]) for text in (before, after)]
            wanted = {"it appears": [False, True], "it disappears": [True, False]}
            assert told == wanted.get(answer, [True, True])
            kinds.add(answer)
    assert kinds == set(EVENT_WORDS.values())


def test_one_object_changes_alone() -> None:
    for seed in range(30):
        _, turns = parse(draw_change(Random(seed), plain=True, most=1))
        assert sum("which way" not in turn.question for turn in turns) == 1


@pytest.mark.parametrize("form", ["plain", "caption", "packed"])
def test_the_order_of_two_events_is_told_by_the_moments(form: Form) -> None:
    asked, lengths = set(), set()
    for seed in range(60):
        texts, (turn,) = parse(draw_order(Random(seed), form=form, frames=5))
        lengths.add(len(texts))
        asked.add(turn.question)
        answer = turn.answer_text or turn.options[turn.answer]
        shape = next(word for word in answer.split() if word in SHAPES)
        if form == "plain" and answer.endswith("disappears"):
            shown = [shape in split(text) for text in texts]
            assert shown[0] and not shown[-1]
    assert lengths == {3, 4, 5}
    assert asked == {"what happens first ?", "what happens last ?"}


def test_the_first_change_is_what_happens_first() -> None:
    kinds = set()
    for seed in range(120):
        texts, (turn,) = parse(draw_order(Random(seed), form="plain", apart=True))
        answer = turn.answer_text or turn.options[turn.answer]
        shape = next(word for word in answer.split() if word in SHAPES)
        told = [[line for line in text.split(" ; ") if shape in line] for text in texts]
        changed = [one != other for one, other in pairwise(told)]
        assert changed == ([True, False] if "first" in turn.question else [False, True])
        kinds.add(answer.split()[2])
    assert kinds == {"moves", "appears", "disappears", "grows", "shrinks", "turns"}
