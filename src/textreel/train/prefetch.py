"""Batches prepared by one background thread while the model computes.

One thread and a fixed order: what comes out never depends on timing. An error in `data.batch`
is raised where the batch is asked for.
"""

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self

from textreel.train.contracts import BatchT, TrainingData


class Prefetcher(Generic[BatchT]):
    """Gives batches `first_step`, `first_step + 1`, ... up to `last_step`, exclusive.

    A context manager: leaving it ends the thread.

    Attributes:
        wait_s: seconds that `next_batch` has waited in all.
    """

    def __init__(
        self, data: TrainingData[BatchT], *, first_step: int, last_step: int, depth: int
    ) -> None:
        """Start to prepare up to `depth` batches ahead; 0 prepares each when asked."""
        self._data = data
        self._steps = iter(range(first_step, last_step))
        self._pool = ThreadPoolExecutor(max_workers=1) if depth else None
        self._waiting: deque[Future[BatchT]] = deque()
        self.wait_s = 0.0
        for _ in range(depth):
            self._submit()

    def _submit(self) -> None:
        step = next(self._steps, None)
        if step is not None and self._pool is not None:
            self._waiting.append(self._pool.submit(self._data.batch, step))

    def next_batch(self) -> BatchT:
        """Return the next batch, waiting for it if need be."""
        start_s = time.perf_counter()
        if self._pool is None:
            batch = self._data.batch(next(self._steps))
        else:
            batch = self._waiting.popleft().result()
            self._submit()
        self.wait_s += time.perf_counter() - start_s
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
