"""Multiple choice: from answered questions to accuracies with standard errors clustered by video.

Questions about one video share its frames, so their errors are not independent; the video is the
unit that was drawn. With y_i = 1 for a right answer, types k = 1..K, n_k questions of type k,
r_k the accuracy on type k, and weights w_i = 1 / (K n_k(i)):

    macro  =  sum_i w_i y_i  =  mean over k of r_k
    u_g    =  sum over questions i of video g of  w_i (y_i - r_k(i))      (linearisation)
    var    =  G / (G - 1) * sum_g u_g^2                                   (G videos)

`overall`, and the accuracy on one type, are the same with all questions in one type (K = 1). With
one question per video the variance becomes p (1 - p) / (n - 1). A paired difference of two systems
is the same with d_i = a_i - b_i in the place of y_i, so what both find hard cancels out.

Computed, and with its sources, in `data.clustered`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textreel.data import files
from textreel.data.clustered import clustered_mean
from textreel.evaluate.errors import NoRowsError, RowMismatchError
from textreel.evaluate.rows import ChoiceRow
from textreel.evaluate.score import Difference, Score


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemScores:
    """Everything counted about one system.

    Attributes:
        system: its name.
        macro: plain mean of the accuracies per type.
        overall: share of all questions answered rightly.
        by_kind: accuracy per question type, in the order asked for.
        unparsed: answers from which no option could be read; they count as wrong.
    """

    system: str
    macro: Score
    overall: Score
    by_kind: Mapping[str, Score]
    unparsed: int

    def to_json(self) -> dict[str, Any]:
        """Return the row of `metrics.json`: `stderr` is that of `macro`; unknown ones are null."""
        return {
            "system": self.system,
            "macro": self.macro.value,
            "overall": self.overall.value,
            "stderr": self.macro.json_stderr,
            "n": self.overall.n,
            "videos": self.overall.clusters,
            "unparsed": self.unparsed,
            "by_type": {
                kind: {"accuracy": score.value, "n": score.n, "stderr": score.json_stderr}
                for kind, score in self.by_kind.items()
            },
        }


def accuracy(rows: Sequence[ChoiceRow], *, kind: str | None = None) -> Score:
    """Return the share of right answers, with its standard error clustered by video.

    Args:
        rows: answers of one system.
        kind: only questions of this type; None: all, whatever their type.

    Raises:
        NoRowsError: there are no rows (of that type).
        RowMismatchError: a question appears twice.
    """
    picked = [row for row in rows if kind is None or row.kind == kind]
    if not picked:
        _refuse_empty(rows, [kind] if kind else [])
    return _score(picked, metric=kind or "overall", kinds=None)


def macro(rows: Sequence[ChoiceRow], *, kinds: Sequence[str] | None = None) -> Score:
    """Return the plain mean of the accuracies per type, with its clustered standard error.

    Args:
        rows: answers of one system; those of other types than `kinds` are not looked at.
        kinds: the types; None: all that occur, sorted.

    Raises:
        NoRowsError: a type of `kinds` has no questions; the mean of fewer types is another metric.
        RowMismatchError: a question appears twice.
    """
    wanted = _kinds(rows, kinds)
    return _score([row for row in rows if row.kind in set(wanted)], metric="macro", kinds=wanted)


def score_system(
    system: str, rows: Sequence[ChoiceRow], *, kinds: Sequence[str] | None = None
) -> SystemScores:
    """Return `macro`, `overall` and each type's accuracy of one system, over the types `kinds`.

    Args:
        system: its name.
        rows: its answers; those of other types than `kinds` are not looked at, in `overall` too.
        kinds: the types; None: all that occur, sorted.

    Raises:
        NoRowsError: a type of `kinds` has no questions.
        RowMismatchError: a question appears twice.
    """
    wanted = _kinds(rows, kinds)
    picked = [row for row in rows if row.kind in set(wanted)]
    return SystemScores(
        system=system,
        macro=macro(picked, kinds=wanted),
        overall=accuracy(picked),
        by_kind={kind: accuracy(picked, kind=kind) for kind in wanted},
        unparsed=sum(row.chosen is None for row in picked),
    )


def chance(rows: Sequence[ChoiceRow], *, kinds: Sequence[str] | None = None) -> SystemScores:
    """Return what guessing gets: the mean of 1 / (number of options), known without error.

    Args:
        rows: any system's answers to the questions; what was chosen does not matter.
        kinds: the types; None: all that occur, sorted.

    Raises:
        NoRowsError: a type of `kinds` has no questions.
        RowMismatchError: a question appears twice.
    """
    wanted = _kinds(rows, kinds)
    picked = [row for row in rows if row.kind in set(wanted)]
    _refuse_twice(picked)
    guess = [1 / row.num_options for row in picked]

    def known(metric: str, values: list[float], asked: list[ChoiceRow]) -> Score:
        return Score(
            metric=metric,
            value=math.fsum(values) / len(values),
            stderr=0.0,
            n=len(asked),
            clusters=len({row.video_id for row in asked}),
            fingerprint=fingerprint(asked, metric=metric),
        )

    by_kind = {
        kind: known(
            kind,
            [g for g, row in zip(guess, picked, strict=True) if row.kind == kind],
            [row for row in picked if row.kind == kind],
        )
        for kind in wanted
    }
    return SystemScores(
        system="chance",
        macro=known("macro", [score.value for score in by_kind.values()], picked),
        overall=known("overall", guess, picked),
        by_kind=by_kind,
        unparsed=0,
    )


def paired_difference(
    rows_a: Sequence[ChoiceRow],
    rows_b: Sequence[ChoiceRow],
    *,
    metric: str = "macro",
    kinds: Sequence[str] | None = None,
) -> Difference:
    """Return accuracy of `rows_a` minus accuracy of `rows_b` on the same questions.

    Args:
        rows_a: answers of one system.
        rows_b: answers of another to the same questions, in any order.
        metric: `macro`, `overall`, or the name of a question type.
        kinds: the types that `macro` and `overall` look at; None: all that occur, sorted.

    Raises:
        NoRowsError: nothing to compare.
        RowMismatchError: the questions, their types, videos or right answers differ.
    """
    wanted = _kinds(rows_a, [metric] if metric not in ("macro", "overall") else kinds)
    left = [row for row in rows_a if row.kind in set(wanted)]
    right = {row.question_id: row for row in rows_b if row.kind in set(wanted)}
    _refuse_unpaired(left, [row for row in rows_b if row.kind in set(wanted)])
    values = [float(a.correct) - float(right[a.question_id].correct) for a in left]
    by_kind = wanted if metric == "macro" else None
    value, stderr, clusters = _clustered_mean(left, values, macro_over=by_kind)
    return Difference(
        metric=metric,
        value=value,
        stderr=stderr,
        n=len(left),
        clusters=clusters,
        fingerprint=fingerprint(left, metric=f"difference of {metric}"),
    )


def fingerprint(rows: Iterable[ChoiceRow], *, metric: str) -> str:
    """Return 16 hex digits that two scores share exactly when they may be compared.

    It covers the metric and the questions (id, video, type, number of options, right answer), in
    any order, and nothing of what was chosen.
    """
    asked = sorted((r.question_id, r.video_id, r.kind, r.num_options, r.answer) for r in rows)
    return files.fingerprint([metric, asked])


def _score(rows: Sequence[ChoiceRow], *, metric: str, kinds: Sequence[str] | None) -> Score:
    _refuse_twice(rows)
    values = [float(row.correct) for row in rows]
    value, stderr, clusters = _clustered_mean(rows, values, macro_over=kinds)
    return Score(
        metric=metric,
        value=value,
        stderr=stderr,
        n=len(rows),
        clusters=clusters,
        fingerprint=fingerprint(rows, metric=metric),
    )


def _clustered_mean(
    rows: Sequence[ChoiceRow], values: Sequence[float], *, macro_over: Sequence[str] | None
) -> tuple[float, float, int]:
    """Return (mean, standard error, clusters); see the formula at the head of this file."""
    types = [row.kind for row in rows] if macro_over else None
    return clustered_mean(values, groups=[row.video_id for row in rows], types=types)


def _kinds(rows: Sequence[ChoiceRow], kinds: Sequence[str] | None) -> list[str]:
    wanted = sorted({row.kind for row in rows}) if kinds is None else list(dict.fromkeys(kinds))
    there = {row.kind for row in rows}
    if not wanted or not there.issuperset(wanted):
        _refuse_empty(rows, [kind for kind in wanted if kind not in there])
    return wanted


def _refuse_empty(rows: Sequence[ChoiceRow], missing: Sequence[str]) -> None:
    if not rows:
        raise NoRowsError("no answered questions to score", hint="Answer some questions first.")
    there = ", ".join(f"{kind} ({n})" for kind, n in sorted(Counter(r.kind for r in rows).items()))
    raise NoRowsError(
        f"no questions of type {', '.join(missing)} among {len(rows)}; there are: {there}",
        hint="Name only types that occur, or evaluate on questions that have them all.",
    )


def _refuse_twice(rows: Sequence[ChoiceRow]) -> None:
    twice = [name for name, n in Counter(row.question_id for row in rows).items() if n > 1]
    if twice:
        raise RowMismatchError(
            f"{len(twice)} of {len(rows) - len(twice)} questions are answered more than once "
            f"(first: {twice[0]!r})",
            hint="Give every question its own id, and score one system at a time.",
        )


def _refuse_unpaired(left: Sequence[ChoiceRow], right: Sequence[ChoiceRow]) -> None:
    _refuse_twice(left)
    _refuse_twice(right)

    def question(row: ChoiceRow) -> tuple[str, str, str, int, int]:
        return (row.question_id, row.video_id, row.kind, row.num_options, row.answer)

    odd = {question(row) for row in left} ^ {question(row) for row in right}
    if odd:
        raise RowMismatchError(
            f"the two systems did not answer the same questions: {len(left)} and {len(right)} "
            f"answers, {len(odd)} without an equal counterpart (first: {min(odd)[0]!r})",
            hint="Compare systems on the same questions only.",
        )
