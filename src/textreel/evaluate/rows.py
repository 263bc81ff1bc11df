"""`ChoiceRow`: one answered question, and the file of them that stands behind every accuracy.

The file is JSON lines: a header (format, kind, version), then one row a line.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from textreel.data.files import check_header, make_header, write_atomic
from textreel.evaluate.errors import EvaluationError, RowFormatError

KIND = "choice-rows"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChoiceRow:
    """One answered question.

    Attributes:
        question_id: unique among the rows of one system.
        video_id: the cluster.
        kind: question type, such as `colour`.
        answer: index of the right option, from 0.
        chosen: index of the option given, or None where no option could be read from the answer
            (unparsed: counts as wrong, and is counted).
        num_options: how many options there were, at least 2.
        probabilities: of the options, in order; empty where the system has none.
        prompt: what was asked, word for word; may be empty.
        raw: the answer before it was parsed; may be empty.
    """

    question_id: str
    video_id: str
    kind: str
    answer: int
    chosen: int | None
    num_options: int
    probabilities: tuple[float, ...] = ()
    prompt: str = ""
    raw: str = ""

    def __post_init__(self) -> None:
        where = f"question {self.question_id!r}"
        if self.num_options < 2:
            raise EvaluationError(f"{where}: {self.num_options} options, need at least 2")
        for name, index in (("answer", self.answer), ("chosen", self.chosen)):
            if index is not None and not 0 <= index < self.num_options:
                raise EvaluationError(
                    f"{where}: {name}={index} is not one of {self.num_options} options (0 to "
                    f"{self.num_options - 1})"
                )
        if self.probabilities and len(self.probabilities) != self.num_options:
            raise EvaluationError(
                f"{where}: {len(self.probabilities)} probabilities for {self.num_options} options"
            )

    @property
    def correct(self) -> bool:
        """Whether the right option was chosen; an unparsed answer is wrong."""
        return self.chosen == self.answer


def write_rows(path: str | Path, rows: Iterable[ChoiceRow]) -> int:
    """Write answered questions as JSON lines, atomically, in the order given.

    Returns:
        How many rows were written.
    """
    lines = [json.dumps(make_header(KIND))]
    lines += [json.dumps(asdict(row), ensure_ascii=False) for row in rows]
    write_atomic(path, "\n".join(lines) + "\n")
    return len(lines) - 1


def read_rows(path: str | Path) -> list[ChoiceRow]:
    """Read what `write_rows` wrote.

    Raises:
        FormatError: the file is not one of those, or a newer version wrote it.
        RowFormatError: a line does not hold a row; the message names the line.
    """
    lines = Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    check_header(_json(path, 1, lines[0]), kind=KIND, path=path)
    return [_row(path, number, line) for number, line in enumerate(lines[1:], start=2)]


def _json(path: str | Path, number: int, line: str) -> object:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise RowFormatError(f"{path}, line {number}: not JSON ({error})") from error


def _row(path: str | Path, number: int, line: str) -> ChoiceRow:
    value = _json(path, number, line)
    wanted = {field.name for field in fields(ChoiceRow)}
    if not isinstance(value, dict) or value.keys() != wanted:
        odd = ", ".join(sorted(set(value) ^ wanted)) if isinstance(value, dict) else "no object"
        raise RowFormatError(f"{path}, line {number}: missing or unknown fields: {odd}")
    try:
        return ChoiceRow(**{**value, "probabilities": tuple(value["probabilities"])})
    except (EvaluationError, TypeError) as error:
        raise RowFormatError(f"{path}, line {number}: {error}") from error
