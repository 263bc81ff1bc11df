"""Batches of samples of similar length, as a pure function of (seed, step).

Padding is wasted work: with lengths spread evenly over 50-150 tokens, batches drawn at random
spend a third of their positions on it. Each epoch is shuffled, cut into pools of `POOL_BATCHES`
batches, sorted by length within each pool, cut into batches, and the batches are shuffled. Every
sample comes exactly once an epoch; batches of one pool differ in size by at most one.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

import numpy as np
import torch

from textreel.models.batch import Batch
from textreel.train.contracts import BatchT
from textreel.train.errors import TrainConfigError

POOL_BATCHES = 64
"""Batches sorted together: 64 leave 1-2% of padding and still mix the samples well."""

Sample = TypeVar("Sample")


class BucketedBatches:
    """Which samples make up which batch."""

    def __init__(self, lengths: Sequence[int], *, batch_size: int, seed: int) -> None:
        """Plan batches of at most `batch_size` samples.

        Args:
            lengths: tokens of each sample.
            batch_size: most samples in a batch.
            seed: of the order.

        Raises:
            TrainConfigError: no samples, or a batch size below 1.
        """
        if not len(lengths) or batch_size < 1:
            raise TrainConfigError(
                f"cannot cut {len(lengths)} samples into batches of {batch_size}; "
                "both must be at least 1"
            )
        self._lengths = np.asarray(lengths)
        self._seed = seed
        num_batches = -(-len(lengths) // batch_size)
        num_pools = -(-num_batches // POOL_BATCHES)
        pool_sizes = [len(p) for p in np.array_split(np.arange(len(lengths)), num_pools)]
        self._batches_of_pool = [-(-size // batch_size) for size in pool_sizes]
        self._pool_ends = np.cumsum(pool_sizes)[:-1]
        self.batches_per_epoch = sum(self._batches_of_pool)
        self._epoch = lru_cache(maxsize=2)(self._plan_epoch)

    def indices(self, step: int) -> list[int]:
        """Return the samples of batch number `step`, from 0, over all epochs."""
        epoch, position = divmod(step, self.batches_per_epoch)
        return self._epoch(epoch)[position]

    def _plan_epoch(self, epoch: int) -> list[list[int]]:
        rng = np.random.default_rng((self._seed, epoch))
        pools = np.split(rng.permutation(len(self._lengths)), self._pool_ends)
        batches: list[list[int]] = []
        for pool, count in zip(pools, self._batches_of_pool, strict=True):
            in_order = pool[np.argsort(self._lengths[pool], kind="stable")]
            batches.extend(part.tolist() for part in np.array_split(in_order, count))
        return [batches[i] for i in rng.permutation(len(batches))]


class Bucketed(Generic[Sample, BatchT]):
    """Samples, collated in batches of similar length: a `TrainingData` of any kind of batch."""

    def __init__(
        self,
        samples: Sequence[Sample],
        lengths: Sequence[int],
        collate: Callable[[list[Sample], torch.Generator], BatchT],
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        """Bind samples to the function that makes a batch of them.

        Args:
            samples: anything `collate` takes.
            lengths: tokens of each sample, one for one.
            collate: makes a batch. The generator is new for each step and seeded by
                (seed, step): whatever is drawn at random (noise, order of options) is drawn
                from it.
            batch_size: most samples in a batch.
            seed: of order and generators.

        Raises:
            TrainConfigError: as many lengths as samples are needed, and at least one.
        """
        if len(samples) != len(lengths):
            raise TrainConfigError(f"{len(samples)} samples but {len(lengths)} lengths")
        self._samples = samples
        self._collate = collate
        self._seed = seed
        self.batches = BucketedBatches(lengths, batch_size=batch_size, seed=seed)

    def __len__(self) -> int:
        return len(self._samples)

    def batch(self, step: int) -> BatchT:
        """Return the batch of update number `step`."""
        state = np.random.SeedSequence((self._seed, step)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
        samples = [self._samples[i] for i in self.batches.indices(step)]
        return self._collate(samples, generator)


class BucketedData(Bucketed[Sample, Batch], Generic[Sample]):
    """Samples, collated in batches of similar length."""
