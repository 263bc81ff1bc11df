"""`RatioData`: several data sets, one of which is drawn for every batch by its sampling ratio.

Video-LLaMA's loader draws the data set of each step so (Video-LLaMA@64888c0,
datasets/datasets/dataloader_utils.py `MultiIterLoader`): a batch never mixes pictures and videos.
Each data set goes on where it was left when it was last drawn.
"""

from collections.abc import Sequence
from typing import Generic

import numpy as np

from textreel.train.contracts import BatchT, TrainingData
from textreel.train.errors import TrainConfigError


class RatioData(Generic[BatchT]):
    """Batches of several data sets, a pure function of the step.

    Args:
        parts: the data sets.
        ratios: how often each is drawn, beside the others.
        seed: of the draws.

    Raises:
        TrainConfigError: no data set, another number of ratios, or a ratio that is not above 0.
    """

    def __init__(
        self, parts: Sequence[TrainingData[BatchT]], ratios: Sequence[float], *, seed: int
    ) -> None:
        if not parts or len(parts) != len(ratios) or min(ratios) <= 0:
            raise TrainConfigError(
                f"RatioData: {len(parts)} data sets with ratios {list(ratios)}; each needs one "
                f"above 0, and there must be at least one"
            )
        self.parts = tuple(parts)
        self._ends = np.cumsum(ratios) / np.sum(ratios)
        self._seed = seed
        self._drawn = self._draw(1)

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def batch(self, step: int) -> BatchT:
        """Return the batch of update number `step`."""
        if step >= len(self._drawn):
            self._drawn = self._draw(2 * (step + 1))
        chosen = self._drawn[step]
        earlier = int((self._drawn[:step] == chosen).sum())
        return self.parts[chosen].batch(earlier)

    def _draw(self, count: int) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
        """Return which data set each of the first `count` steps draws; longer rows begin alike."""
        drawn = np.random.default_rng(self._seed).random(count)
        return np.minimum(np.searchsorted(self._ends, drawn, side="right"), len(self.parts) - 1)
