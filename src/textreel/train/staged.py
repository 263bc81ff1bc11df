"""Data that comes in parts: `StagedData`; `StartedData` does something before the first step."""

from collections.abc import Callable
from typing import Generic, TypeVar

from textreel.train.contracts import AnyBatch, TrainingData
from textreel.train.errors import TrainConfigError

BatchT = TypeVar("BatchT", bound=AnyBatch)


class StagedData(Generic[BatchT]):
    """Batches of `first` for some steps, then batches of `then` from its own step 0 on.

    A run over it is one run: one schedule of the learning rate, one state to resume from.

    Args:
        first: for updates 0 to `num_first` - 1.
        num_first: how many; 0 for none.
        then: for all later ones.

    Raises:
        TrainConfigError: `num_first` is negative.
    """

    def __init__(
        self, first: TrainingData[BatchT], num_first: int, then: TrainingData[BatchT]
    ) -> None:
        if num_first < 0:
            raise TrainConfigError(f"StagedData: num_first={num_first} must be 0 or more")
        self.first, self.num_first, self.then = first, num_first, then

    def __len__(self) -> int:
        return len(self.then) + (len(self.first) if self.num_first else 0)

    def batch(self, step: int) -> BatchT:
        """Return the batch of update number `step`."""
        if step < self.num_first:
            return self.first.batch(step)
        return self.then.batch(step - self.num_first)


class StartedData(Generic[BatchT]):
    """Batches, and what is done to a fresh model before the first of them.

    The loop calls `start` after the evaluation at step 0, and never in a run that goes on from a
    checkpoint.

    Args:
        data: the batches.
        start: changes the model; the same in every call, so that a killed run can be repeated.
    """

    def __init__(self, data: TrainingData[BatchT], start: Callable[[], None]) -> None:
        self.data, self.start = data, start

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, step: int) -> BatchT:
        """Return the batch of update number `step`."""
        return self.data.batch(step)
