"""What can go wrong in training, each with the way out."""

from collections.abc import Sequence
from typing import ClassVar

_IDS_SHOWN = 8


class TrainError(Exception):
    """Any error of this room: a message, and beside it the way out."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class TrainConfigError(TrainError, ValueError):
    """A training setting is impossible, or has no effect here."""

    exit_code: ClassVar[int] = 2


class RunChangedError(TrainError, ValueError):
    """The run folder holds a run of other settings, data, model or machine."""

    exit_code: ClassVar[int] = 2


class CheckpointError(TrainError, ValueError):
    """A checkpoint cannot be read, or does not fit the model."""


class NonFiniteError(TrainError, ArithmeticError):
    """The loss or its gradient became infinite or NaN; the last good state has been saved.

    Attributes:
        step: updates made before the one that failed.
        ids: samples of the failing batch.
    """

    step: int = 0
    ids: tuple[str, ...] = ()


def non_finite(what: str, *, value: float, step: int, ids: Sequence[str]) -> NonFiniteError:
    """Return the error for a `what` (loss, gradient norm) that is no finite number."""
    shown = ", ".join(ids[:_IDS_SHOWN])
    rest = f" and {len(ids) - _IDS_SHOWN} more" if len(ids) > _IDS_SHOWN else ""
    error = NonFiniteError(
        f"{what} is {value} in step {step} on {len(ids)} samples: {shown}{rest}",
        hint="the state before this step is saved; look at these samples, or start a new run "
        "with a smaller lr, a longer warmup or precision=fp32",
    )
    error.step = step
    error.ids = tuple(ids)
    return error
