"""What can go wrong when answers are counted and reported."""

from typing import ClassVar


class EvaluationError(ValueError):
    """Answers that cannot be counted as they are. Nothing is dropped to make them countable.

    Attributes:
        hint: the way out.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NoRowsError(EvaluationError):
    """There is nothing to count, or a question type that was asked for has no questions."""


class RowMismatchError(EvaluationError):
    """Two systems did not answer the same questions, or one answered a question twice."""


class RowFormatError(EvaluationError):
    """A file of answers does not hold what this version writes."""
