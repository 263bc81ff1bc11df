from collections import Counter

import pytest

from textreel.synth.world.exam import draw_exam
from textreel.synth.world.questions import QUESTION_TYPES, SOUND_TYPES


@pytest.mark.parametrize("kinds", [QUESTION_TYPES, SOUND_TYPES, ("count", "heard")])
def test_an_exam_has_as_many_questions_of_each_type_as_asked(kinds: tuple[str, ...]) -> None:
    exam = draw_exam(3, part="validation", num_scenes=15, per_kind=9, kinds=kinds)
    assert exam.counts() == Counter(dict.fromkeys(kinds, 9))
    assert len(exam.scenes) == len(exam.questions)
    assert all(scene.part == "validation" for scene in exam.scenes)
    assert all(exam.questions)


def test_an_exam_has_at_least_as_many_scenes_as_asked() -> None:
    exam = draw_exam(0, part="training", num_scenes=30, per_kind=12)
    assert len(exam.scenes) >= 30
    assert len({scene.id for scene in exam.scenes}) == len(exam.scenes)
    ids = [name for name, _, _ in exam.items()]
    assert len(ids) == len(set(ids)) == 96
    name, scene, question = next(exam.items())
    assert name == f"{scene.id}-{question.kind}"


def test_an_exam_is_the_same_for_a_seed() -> None:
    first, again, other = (
        draw_exam(seed, part="training", num_scenes=5, per_kind=3) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("seed", range(6))
def test_scenes_take_questions_over_from_scenes_that_have_more(seed: int) -> None:
    exam = draw_exam(seed, part="training", num_scenes=16, per_kind=2)
    assert exam.counts() == Counter(dict.fromkeys(QUESTION_TYPES, 2))
    assert [len(asked) for asked in exam.questions] == [1] * 16


def test_more_scenes_than_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="of 2 questions of 8 types cannot fill 17 scenes"):
        draw_exam(0, part="training", num_scenes=17, per_kind=2)
