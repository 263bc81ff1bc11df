"""Many files at a time: guarded workers side by side, and work that runs a little ahead.

    with ReaderPool(workers=4) as pool:
        submit = lambda path: pool.submit(lambda reader: reader.look(path))
        for path, found in run_ahead(paths, submit, ahead=16):
            found.result()              # in the order of the paths; a MediaError is raised here

Each thread of the pool waits for one worker process, so the threads cost nothing. On Linux a worker
is killed when the *thread* that started it ends: the pool keeps its threads until it is closed.
"""

import os
import queue
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from textreel.media.worker import DecodeLimits, GuardedReader

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def default_workers() -> int:
    """Return how many processes to decode with where nobody says: one per processor."""
    return os.cpu_count() or 1


class ReaderPool:
    """Guarded worker processes, each started when it is first needed.

    Attributes:
        workers: how many there are at most.
    """

    def __init__(self, workers: int | None = None, *, limits: DecodeLimits | None = None) -> None:
        """Prepare `workers` readers (one per processor where None).

        Raises:
            ValueError: fewer than one worker.
        """
        self.workers = default_workers() if workers is None else workers
        if self.workers < 1:
            raise ValueError(f"ReaderPool: workers={self.workers} must be 1 or more")
        self._readers = [GuardedReader(limits) for _ in range(self.workers)]
        self._idle: queue.LifoQueue[GuardedReader] = queue.LifoQueue()
        for reader in self._readers:
            self._idle.put(reader)
        self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="decode")

    def submit(self, task: Callable[[GuardedReader], _Result]) -> "Future[_Result]":
        """Run `task` with a reader of its own as soon as one is free."""
        return self._threads.submit(self._run, task)

    def _run(self, task: Callable[[GuardedReader], _Result]) -> _Result:
        reader = self._idle.get()
        try:
            return task(reader)
        finally:
            self._idle.put(reader)

    def close(self) -> None:
        """Drop what has not begun, wait for the rest, and end the processes."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for reader in self._readers:
            reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def run_ahead(
    items: Iterable[_Item], submit: Callable[[_Item], _Result], *, ahead: int
) -> Generator[tuple[_Item, _Result], None, None]:
    """Yield each item with what `submit` returned for it, in order, `ahead` items late.

    So up to `ahead` tasks are under way while the caller waits for the oldest one. Lazy: `items`
    may be endless.
    """
    waiting: deque[tuple[_Item, _Result]] = deque()
    for item in items:
        waiting.append((item, submit(item)))
        if len(waiting) > ahead:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()
