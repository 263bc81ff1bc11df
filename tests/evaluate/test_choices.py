"""Accuracies: hand-worked clustered errors, a bootstrap, and what is refused."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from textreel.evaluate.choices import (
    accuracy,
    chance,
    fingerprint,
    macro,
    paired_difference,
    score_system,
)
from textreel.evaluate.errors import NoRowsError, RowMismatchError
from textreel.evaluate.rows import ChoiceRow


def row(name: str, right: bool | None, *, video: str = "", kind: str = "colour") -> ChoiceRow:
    chosen = None if right is None else int(not right)
    return ChoiceRow(
        question_id=name,
        video_id=video or name,
        kind=kind,
        answer=0,
        chosen=chosen,
        num_options=4,
    )


def test_the_mean_of_one_right_and_one_wrong_answer_is_a_half() -> None:
    score = accuracy([row("a", True), row("b", False)])
    assert (score.value, score.n, score.clusters, score.metric) == (0.5, 2, 2, "overall")


def test_one_question_per_video_gives_the_binomial_error() -> None:
    rows = [row(str(i), i < 30) for i in range(40)]
    assert accuracy(rows).stderr == pytest.approx(math.sqrt(0.75 * 0.25 / 39))


def test_clustered_error_worked_by_hand() -> None:
    # p = 1/2; u = 2 * .5 / 6 = 1/6 (video a), -1/6 (b), 0 (c); 3/2 * 2/36 = 1/12.
    rows = [
        *(row(f"a{i}", True, video="a") for i in range(2)),
        *(row(f"b{i}", False, video="b") for i in range(2)),
        row("c0", True, video="c"),
        row("c1", False, video="c"),
    ]
    score = accuracy(rows)
    assert score.value == 0.5
    assert score.stderr == pytest.approx(math.sqrt(1 / 12))
    assert score.clusters == 3


def test_macro_error_worked_by_hand() -> None:
    # colour: 1 of 2, weight 1/4 each; order: 1 of 1, weight 1/2. macro = (1/2 + 1) / 2.
    # u(a) = 1/4 * 1/2 + 1/2 * 0 = 1/8, u(b) = -1/8; 2/1 * 2/64 = 1/16.
    rows = [
        row("a0", True, video="a"),
        row("b0", False, video="b"),
        row("a1", True, video="a", kind="order"),
    ]
    score = macro(rows)
    assert score.value == 0.75
    assert score.stderr == pytest.approx(1 / 4)
    assert accuracy(rows).value == pytest.approx(2 / 3)


def random_rows(rng: np.random.Generator, *, videos: int, easier: float = 0.0) -> list[ChoiceRow]:
    """Types of unequal size, with a difficulty per video that ties its questions together."""
    rows = []
    for v in range(videos):
        level = rng.normal(scale=1.5) + easier
        for q in range(int(rng.integers(1, 7))):
            kind = ("colour", "order", "order", "count")[int(rng.integers(4))]
            shift = {"colour": 1.0, "order": -0.5, "count": 0.2}[kind]
            right = bool(rng.random() < 1 / (1 + math.exp(-level - shift)))
            rows.append(row(f"{v}-{q}", right, video=str(v), kind=kind))
    return rows


def bootstrap(
    rows: list[ChoiceRow], statistic: Callable[[np.ndarray, np.ndarray], float], draws: int = 1500
) -> float:
    """Standard deviation of a statistic of (right per type, asked per type) over drawn videos."""
    kinds = sorted({r.kind for r in rows})
    videos = sorted({r.video_id for r in rows})
    asked, right = (np.zeros((len(videos), len(kinds))) for _ in range(2))
    for r in rows:
        at = videos.index(r.video_id), kinds.index(r.kind)
        asked[at] += 1
        right[at] += r.correct
    rng = np.random.default_rng(7)
    values = []
    for _ in range(draws):
        pick = rng.integers(len(videos), size=len(videos))
        values.append(statistic(right[pick].sum(0), asked[pick].sum(0)))
    return float(np.std(values))


def test_formulas_agree_with_a_bootstrap_over_videos() -> None:
    rows = random_rows(np.random.default_rng(3), videos=300)
    by_macro = bootstrap(rows, lambda right, asked: float((right / asked).mean()))
    by_overall = bootstrap(rows, lambda right, asked: float(right.sum() / asked.sum()))
    assert macro(rows).stderr == pytest.approx(by_macro, rel=0.08)
    assert accuracy(rows).stderr == pytest.approx(by_overall, rel=0.08)
    naive = math.sqrt(accuracy(rows).value * (1 - accuracy(rows).value) / len(rows))
    assert accuracy(rows).stderr > 1.2 * naive, "the clusters of this test do not matter"


def test_asking_every_question_twice_does_not_make_the_error_smaller() -> None:
    rows = random_rows(np.random.default_rng(5), videos=40)
    twice = rows + [
        row(f"{r.question_id}-again", r.correct, video=r.video_id, kind=r.kind) for r in rows
    ]
    assert accuracy(twice).stderr == pytest.approx(accuracy(rows).stderr)
    assert macro(twice).stderr == pytest.approx(macro(rows).stderr)


def test_a_difference_of_equal_systems_is_zero_without_error() -> None:
    rows = random_rows(np.random.default_rng(1), videos=30)
    same = paired_difference(rows, rows[::-1])
    assert (same.value, same.stderr, same.interval()) == (0.0, 0.0, (0.0, 0.0))


def test_a_paired_difference_worked_by_hand() -> None:
    # d = 1, 0, 0, 0 on four videos: mean 1/4, variance 3/16 / 3 = 1/16.
    a = [row(str(i), True) for i in range(4)]
    b = [row(str(i), i > 0) for i in range(4)]
    difference = paired_difference(a, b, metric="overall")
    assert difference.value == 0.25
    assert difference.stderr == pytest.approx(0.25)
    assert difference.interval(z=1.0) == pytest.approx((0.0, 0.5))
    assert paired_difference(b, a, metric="overall").value == -0.25


def test_the_difference_of_macros_is_the_macro_of_differences() -> None:
    rng = np.random.default_rng(11)
    a = random_rows(rng, videos=60)
    b = [row(r.question_id, bool(rng.random() < 0.4), video=r.video_id, kind=r.kind) for r in a]
    assert paired_difference(a, b).value == pytest.approx(macro(a).value - macro(b).value)
    only = paired_difference(a, b, metric="order")
    assert only.value == pytest.approx(
        accuracy(a, kind="order").value - accuracy(b, kind="order").value
    )
    assert only.n == sum(r.kind == "order" for r in a)


def test_an_unparsed_answer_is_wrong_and_counted() -> None:
    scores = score_system("x", [row("a", True), row("b", None), row("c", None)])
    assert scores.overall.value == pytest.approx(1 / 3)
    assert scores.unparsed == 2
    assert scores.to_json()["unparsed"] == 2


def test_a_system_as_json() -> None:
    rows = [row("a", True), row("b", False), row("c", True, kind="order")]
    json = score_system("text_only", rows, kinds=["order", "colour"]).to_json()
    assert json["system"] == "text_only"
    assert (json["macro"], json["n"], json["videos"]) == (0.75, 3, 3)
    assert list(json["by_type"]) == ["order", "colour"]
    assert json["by_type"]["order"] == {"accuracy": 1.0, "n": 1, "stderr": None}
    assert json["by_type"]["colour"] == {"accuracy": 0.5, "n": 2, "stderr": pytest.approx(0.5)}
    assert json["overall"] == pytest.approx(2 / 3)
    assert json["stderr"] == pytest.approx(macro(rows).stderr)


def test_overall_looks_at_the_named_types_only() -> None:
    rows = [row("a", True), row("b", False, kind="heard")]
    assert score_system("x", rows, kinds=["colour"]).overall.value == 1.0


def test_chance_is_known_without_error() -> None:
    rows = [
        ChoiceRow(question_id="a", video_id="v", kind="p", answer=0, chosen=0, num_options=4),
        ChoiceRow(question_id="b", video_id="w", kind="q", answer=0, chosen=0, num_options=2),
        ChoiceRow(question_id="c", video_id="w", kind="q", answer=0, chosen=0, num_options=2),
    ]
    scores = chance(rows)
    assert scores.macro.value == pytest.approx((1 / 4 + 1 / 2) / 2)
    assert scores.overall.value == pytest.approx((1 / 4 + 1 / 2 + 1 / 2) / 3)
    assert scores.macro.interval() == (scores.macro.value, scores.macro.value)
    assert scores.macro.fingerprint == macro(rows).fingerprint


@pytest.mark.parametrize("count", [accuracy, macro, chance])
def test_no_rows_are_refused(count: Callable[..., object]) -> None:
    with pytest.raises(NoRowsError, match="no answered questions to score"):
        count([])


def test_a_type_without_questions_is_refused_by_name() -> None:
    rows = [row("a", True), row("b", True, kind="order")]
    with pytest.raises(NoRowsError, match=r"no questions of type final among 2.*colour \(1\), o"):
        macro(rows, kinds=["colour", "final"])
    with pytest.raises(NoRowsError, match="no questions of type final among 2"):
        accuracy(rows, kind="final")
    with pytest.raises(NoRowsError, match="no questions of type final among 2"):
        paired_difference(rows, rows, metric="final")


def test_a_question_answered_twice_is_refused() -> None:
    rows = [row("a", True), row("a", False), row("b", True)]
    for count in (accuracy, macro, chance):
        with pytest.raises(RowMismatchError, match="1 of 2 questions are answered more than once"):
            count(rows)


def test_systems_that_answered_other_questions_are_not_compared() -> None:
    a = [row("a", True), row("b", True)]
    with pytest.raises(RowMismatchError, match="did not answer the same questions: 2 and 1"):
        paired_difference(a, a[:1])
    moved = [row("a", True), row("b", True, video="elsewhere")]
    with pytest.raises(RowMismatchError, match=r"2 without an equal counterpart \(first: 'b'\)"):
        paired_difference(a, moved)


def test_a_fingerprint_is_about_the_questions_not_the_answers() -> None:
    a = [row("a", True), row("b", True)]
    b = [row("b", False), row("a", None)]
    assert macro(a).fingerprint == macro(b).fingerprint
    assert macro(a).fingerprint != accuracy(a).fingerprint
    assert fingerprint(a, metric="macro") != fingerprint(a[:1], metric="macro")
