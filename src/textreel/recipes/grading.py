"""`grade`: the answers of `textreel predict` beside the right options that their lines carry.

A line counts when it is a choice and has an `answer`. Where there is no prediction (a video that
could not be read) the answer counts as wrong, and is counted as unparsed. Questions about one video
share its frames, so the standard error is clustered by video (`evaluate/choices`).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textreel.evaluate.choices import SystemScores, score_system
from textreel.evaluate.rows import ChoiceRow
from textreel.serve.question_lines import right_option

UNTYPED = "untyped"
"""The type of questions whose lines name none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grade:
    """How many of a file's answers are right.

    Attributes:
        scores: of the lines that carry the right answer.
        ungraded: lines that carry none, or are no choice.
    """

    scores: SystemScores = field(metadata={"json": False})
    ungraded: int

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return self.scores.to_json() | {"ungraded": self.ungraded}


def grade(answers: Path, *, system: str) -> Grade | None:
    """Grade a file that `predict` wrote; None where no line carries a right answer.

    Args:
        answers: the file.
        system: name of what answered.

    Raises:
        LineError: an answer is none of its line's options.
    """
    text = answers.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.split("\n") if line]  # U+2028 ends no line
    rows = list(choice_rows(lines))
    if not rows:
        return None
    return Grade(scores=score_system(system, rows), ungraded=len(lines) - len(rows))


def choice_rows(lines: Iterable[dict[str, Any]]) -> Iterable[ChoiceRow]:
    """Yield a row for every answered line that carries the right answer."""
    for number, line in enumerate(lines, start=1):
        name = str(line.get("id", f"line {number}"))
        error = line.get("error", {}).get("type") == "LineError"
        right = None if error else right_option(line, where=name)
        if right is None or len(line["options"]) < 2:  # no choice: it was refused
            continue
        said = line.get("prediction", {})
        yield ChoiceRow(
            question_id=f"{number} {name}",
            video_id=str(line["video"]),
            kind=str(line.get("type") or UNTYPED),
            answer=right,
            chosen=said.get("chosen"),
            num_options=len(line["options"]),
            probabilities=tuple(said.get("probabilities", ())),
            prompt=line["question"],
            raw=said.get("text", ""),
        )
