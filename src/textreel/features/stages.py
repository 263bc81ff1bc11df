"""The stages of an encoding job as plain objects, each with threads of its own.

    Decode   files -> prepared frames     guarded processes side by side, then the encoder's own
             (or prepared sounds)         preparation in threads: all ahead of the tower
    Encode   windows -> features          one thread, so that the tower never waits for the disk
    Write    features -> store, file index one thread; commits whole windows only

Each is a context manager and works without the others; `features/pipeline.py` joins them. At most
a few raw clips and a few windows of prepared frames are in memory at a time.
"""

import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from textreel.features.encode import (
    EncodedClip,
    PreparedClip,
    encode_together,
    join_features,
    join_parts,
    prepare_clip,
    prepare_heard,
    split_clip,
)
from textreel.features.file_index import FileIndex
from textreel.features.freed import give_back
from textreel.features.listening import LONG_PIECES, Groups
from textreel.features.store_writer import StoreWriter
from textreel.features.towers import ClipTower, SoundTower, no_sound
from textreel.media.album import Part
from textreel.media.errors import NoStreamError
from textreel.media.pool import ReaderPool
from textreel.media.sampling import SamplingSpec
from textreel.media.sound_pieces import Piece
from textreel.media.worker import DecodeLimits, GuardedReader
from textreel.models.batch import Features

Tracks = list[tuple[str, Features]]
"""(id, features) of the clips of one window."""
Tower = Callable[[PreparedClip], Future[tuple[str, Features]]]
"""Encodes frames on their own, when their turn comes."""
PREPARERS = 2
LONG_FRAMES = 256
"""A clip of more frames goes to the tower in parts of so many while it is being decoded, so that
memory is bounded; one of fewer shares its batches with others."""
WAITING_WINDOWS = 1
"""How many windows wait for the tower, or for the disk, while another is worked on."""


class _Stage(ABC):
    """A context manager that closes itself."""

    @abstractmethod
    def close(self) -> None:
        """End the stage's threads."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Ticket:
    """A file that is being decoded."""

    _task: "Future[Callable[[], PreparedClip | EncodedClip]]"

    def result(self) -> PreparedClip | EncodedClip:
        """Wait for the prepared frames, or, of a long clip, for its features.

        Raises:
            MediaError: the file cannot be read, or has no pictures (or no sound).
        """
        return self._task.result()()


class Decode(_Stage):
    """Files to prepared frames, and long files, part after part, to features."""

    def __init__(
        self,
        encoder: ClipTower,
        spec: SamplingSpec,
        *,
        tower: Tower,
        workers: int | None = None,
        limits: DecodeLimits | None = None,
    ) -> None:
        """Prepare `workers` processes (one per processor where None) that read as `spec` says.

        Args:
            encoder: whose image preparation is used.
            spec: which frames.
            tower: encodes a part of a long clip on its own; `Encode.alone`.
            workers: processes that decode.
            limits: how long one file may take.
        """
        self._encoder, self._spec, self._tower = encoder, spec, tower
        self._pool = ReaderPool(workers, limits=limits)
        self._preparing = ThreadPoolExecutor(PREPARERS, thread_name_prefix="prepare")
        self._room = threading.Semaphore(2 * PREPARERS)
        self._closing = threading.Event()

    @property
    def workers(self) -> int:
        """How many processes decode."""
        return self._pool.workers

    def submit(self, name: str, path: Path) -> Ticket:
        """Decode one file as soon as a process is free."""
        return Ticket(self._pool.submit(lambda reader: self._decode(reader, name, path)))

    def _decode(
        self, reader: GuardedReader, name: str, path: Path
    ) -> Callable[[], PreparedClip | EncodedClip]:
        if isinstance(self._encoder, SoundTower):
            return self._hear(reader, name, path, self._encoder)
        gathering = _Gathering(self._tower, long=LONG_FRAMES)
        first: list[Part] = []  # of one frame: a still, unless another part comes

        def use(part: Part, *, still: bool) -> None:
            prepare = partial(prepare_clip, name, part, self._encoder, still=still)
            gathering.take(self._prepare(prepare), len(part.frames))

        def take(part: Part) -> None:
            if not gathering.frames and not first and len(part.frames) == 1:
                first.append(part)
                return
            if first:
                use(first.pop(), still=False)
            use(part, still=False)

        heard = reader.read_parts(path, self._spec, hand_on=take).clip.sound_status
        if first:
            use(first.pop(), still=True)
        if not gathering.frames:
            raise NoStreamError(str(path), f"has no frames to encode (its sound: {heard})")
        return gathering.finish

    def _prepare(self, prepare: Callable[[], PreparedClip]) -> "Future[PreparedClip]":
        if self._closing.is_set():
            raise CancelledError
        self._room.acquire()  # raw frames are large: wait here rather than pile them up
        task = self._preparing.submit(prepare)
        task.add_done_callback(lambda _: self._room.release())
        return task

    def _hear(
        self, reader: GuardedReader, name: str, path: Path, tower: SoundTower
    ) -> Callable[[], PreparedClip | EncodedClip]:
        """Decode and prepare the pieces of a file's sound."""
        gathering = _Gathering(self._tower, long=LONG_PIECES if tower.apart else sys.maxsize)
        prepare_some = partial(
            prepare_heard,
            name,
            tower=tower,
            source=str(path),
            start_s=self._spec.start_s or 0.0,
        )

        def use(pieces: Sequence[Piece]) -> None:
            prepare = partial(prepare_some, pieces)
            gathering.take(self._prepare(prepare), len(pieces))

        groups = Groups(tower, use)
        clip = reader.read_pieces(path, self._spec, tower.cutting, hand_on=groups.take).clip
        if clip.sound_status not in ("used", "silent"):
            raise no_sound(clip)
        groups.finish()
        return gathering.finish

    def close(self) -> None:
        """Drop what has not begun, and end the processes."""
        self._closing.set()
        self._pool.close()
        self._preparing.shutdown(wait=True, cancel_futures=True)


class _Gathering:
    """The prepared frames, or pieces of sound, of one clip.

    Of a long clip the tower takes them part after part.

    Attributes:
        frames: how many there were so far.
    """

    def __init__(self, tower: Tower, *, long: int) -> None:
        self.frames = 0
        self._tower, self._long = tower, long
        self._rest: PreparedClip | None = None
        self._tasks: deque[tuple[Future[PreparedClip], int]] = deque()
        self._held = 0  # frames of both
        self._encoded: list[Future[tuple[str, Features]]] = []

    def take(self, part: "Future[PreparedClip]", count: int) -> None:
        """Take a part of `count` frames, and pass on what is enough for the tower."""
        self._tasks.append((part, count))
        self.frames += count
        self._held += count
        while self._held > self._long:
            if self._encoded:
                self._encoded[-1].result()  # no further ahead of the tower
            self._encode_some()

    def finish(self) -> PreparedClip | EncodedClip:
        """Wait for all of it."""
        if not self._encoded:
            return self._join(self._held)
        while self._held:
            self._encode_some()
        features = [task.result() for task in self._encoded]
        return EncodedClip(name=features[0][0], features=join_features([f for _, f in features]))

    def _join(self, wanted: int) -> PreparedClip:
        """Take whole parts until there are `wanted` frames, and return them as one."""
        parts = [] if self._rest is None else [self._rest]
        count = sum(len(part.times_s) for part in parts)
        while self._tasks and (count < wanted or not parts):  # a part of nothing says why
            task, frames = self._tasks.popleft()
            parts.append(task.result())
            count += frames
        return join_parts(parts)

    def _encode_some(self) -> None:
        some, rest = split_clip(self._join(self._long), self._long)
        self._rest = rest if len(rest.times_s) else None  # it would keep all of them in memory
        self._held -= len(some.times_s)
        self._encoded.append(self._tower(some))
        give_back()


class Encode(_Stage):
    """Windows of prepared clips to features.

    Attributes:
        wait_s: seconds in which the tower had nothing to do.
        busy_s: seconds in which it worked.
    """

    def __init__(
        self,
        encoder: ClipTower,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Encode with that tower."""
        self._encoder, self._clock = encoder, clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._waiting: deque[Future[Tracks]] = deque()
        self._idle_since_s: float | None = clock()
        self.wait_s = self.busy_s = 0.0

    @property
    def wait_share(self) -> float:
        """Share of the time, so far, in which the tower had nothing to do, 0 to 1."""
        since_s = self._idle_since_s
        wait_s = self.wait_s + (0.0 if since_s is None else self._clock() - since_s)
        total_s = wait_s + self.busy_s
        return wait_s / total_s if total_s else 0.0

    def alone(self, clip: PreparedClip) -> "Future[tuple[str, Features]]":
        """Give some frames to the tower that share their batch with no others; do not wait."""
        return self._thread.submit(lambda: self._encode([clip])[0])

    def put(self, clips: Sequence[PreparedClip | EncodedClip]) -> list[Tracks]:
        """Give one window to the tower; clips that are encoded pass through.

        Returns:
            Windows that are finished, in order; waits while too many are not. After `finish`
            nothing more may be put.
        """
        self._waiting.append(self._thread.submit(self._encode, clips))
        done = []
        while self._waiting and (
            len(self._waiting) > 1 + WAITING_WINDOWS or self._waiting[0].done()
        ):
            done.append(self._waiting.popleft().result())
        return done

    def finish(self) -> list[Tracks]:
        """Wait for all windows, and return those that were not returned yet."""
        done = [task.result() for task in self._waiting]
        self._waiting.clear()
        self._idle_since_s = None  # nothing more is waited for
        return done

    def _encode(self, clips: Sequence[PreparedClip | EncodedClip]) -> Tracks:
        begun_s = self._clock()
        since_s, self._idle_since_s = self._idle_since_s, None
        self.wait_s += begun_s - (begun_s if since_s is None else since_s)
        prepared = [clip for clip in clips if isinstance(clip, PreparedClip)]
        new = dict(encode_together(prepared, self._encoder))
        done = {clip.name: clip.features for clip in clips if isinstance(clip, EncodedClip)}
        tracks = [(clip.name, (new | done)[clip.name]) for clip in clips]
        ended_s = self._clock()
        self.busy_s += ended_s - begun_s
        self._idle_since_s = ended_s
        return tracks

    def close(self) -> None:
        """Drop windows that have not begun."""
        self._thread.shutdown(wait=True, cancel_futures=True)


class Write(_Stage):
    """Features into a store, and then the files they came from into its index.

    A shard is committed between windows, when enough has been gathered or enough time has passed;
    a kill costs what came after the last commit.
    """

    def __init__(
        self,
        writer: StoreWriter,
        index: FileIndex,
        *,
        tracks_per_shard: int = 500,
        bytes_per_shard: int = 2**28,
        commit_every_s: float = 120.0,
    ) -> None:
        """Write with `writer`, which must not commit on its own in the middle of a window."""
        self._writer, self._index = writer, index
        self._tracks_per_shard, self._bytes_per_shard = tracks_per_shard, bytes_per_shard
        self._commit_every_s = commit_every_s
        self._committed_s = time.monotonic()
        self._gathered: list[tuple[str, Path]] = []
        self._gathered_bytes = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._waiting: deque[Future[None]] = deque()

    def put(self, tracks: Tracks, paths: Sequence[Path]) -> None:
        """Store one window.

        Args:
            tracks: what is new in it.
            paths: the file of each track.
        """
        self._waiting.append(self._thread.submit(self._write, tracks, paths))
        while len(self._waiting) > 1 + WAITING_WINDOWS:
            self._waiting.popleft().result()

    def finish(self) -> None:
        """Wait until everything is stored."""
        self._waiting.append(self._thread.submit(self._commit))
        while self._waiting:
            self._waiting.popleft().result()

    def _write(self, tracks: Tracks, paths: Sequence[Path]) -> None:
        for (name, features), path in zip(tracks, paths, strict=True):
            self._writer.add(name, features)
            self._gathered.append((name, path))
            self._gathered_bytes += features.values.nbytes
        if (
            len(self._gathered) >= self._tracks_per_shard
            or self._gathered_bytes >= self._bytes_per_shard
            or time.monotonic() - self._committed_s >= self._commit_every_s
        ):
            self._commit()

    def _commit(self) -> None:
        self._writer.commit()
        for name, path in self._gathered:
            self._index.record(path, name)
        self._gathered, self._gathered_bytes = [], 0
        self._committed_s = time.monotonic()

    def close(self) -> None:
        """Wait for windows that are being written."""
        self._thread.shutdown(wait=True)
