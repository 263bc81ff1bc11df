"""The readers that `bench decode` compares: ours, and what users write with other libraries.

    reader(path, wanted, take)      take gets RGB frames uint8 (T, H, W, 3), and their times where
                                    the reader knows them, in one piece or in several

Each opens the file, reads the frames and closes it. All but OpenCV decode with one thread, so that
CPU seconds hold no idle waiting; OpenCV cannot be told so and takes what it likes.

A few frames are returned as one array, as users want them. All frames of a file are given to `take`
piece by piece, the way each library does that best, for all frames of an hour fit into no memory;
transformers' loader knows no such way.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import av
import numpy as np
from numpy.typing import NDArray

from textreel.media.decode import decode_clip, read_clip
from textreel.media.sampling import SamplingSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which frames to read.

    Attributes:
        count: how many, the centres of equal slices; all of them where None.
        total: frames in the file, of constant rate.
    """

    count: int | None
    total: int

    @property
    def numbers(self) -> list[int]:
        """The frames' numbers: of those shown at the centres of `count` equal slices."""
        if self.count is None:
            return list(range(self.total))
        return [(2 * i + 1) * self.total // (2 * self.count) for i in range(self.count)]

    @property
    def spec(self) -> SamplingSpec:
        """The same for our reader."""
        if self.count is None:
            return SamplingSpec(policy="every_frame")
        return SamplingSpec(num_frames=self.count)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Read:
    """What a reader gives: frames uint8 (T, H, W, 3), times in seconds where it tells them."""

    frames: NDArray[np.uint8]
    times_s: NDArray[np.float64] | None = None


Take = Callable[[Read], None]
Reader = Callable[[Path, Wanted, Take], None]
BATCH = 64
"""Frames that decord is asked for at a time when all are wanted; it reads on without seeking."""


def read_ours(path: Path, wanted: Wanted, take: Take) -> None:
    """Read with `media.decode`."""
    if wanted.count is None:
        decode_clip(path, wanted.spec, hand_on=lambda part: take(_ours(part.frames, part.times_s)))
    else:
        clip = read_clip(path, wanted.spec)
        take(_ours(clip.frames, clip.frame_times_s))


def _ours(frames: NDArray[np.uint8], times_s: NDArray[np.float64]) -> Read:
    return Read(frames=frames.transpose(0, 2, 3, 1), times_s=times_s)


def read_sequential(path: Path, wanted: Wanted, take: Take) -> None:
    """Read with the plain loop over PyAV: decode from the start, keep what is asked for."""
    numbers = set(wanted.numbers)
    last = max(numbers)
    frames, times_s = [], []
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(video=0)):
            if number in numbers:
                frames.append(frame.to_ndarray(format="rgb24"))
                times_s.append(frame.time or 0.0)
            if wanted.count is None:
                take(Read(frames=frames.pop()[None], times_s=np.array([times_s.pop()])))
            if number == last:
                break
    if frames:
        take(Read(frames=np.stack(frames), times_s=np.array(times_s)))


def read_transformers(path: Path, wanted: Wanted, take: Take) -> None:
    """Read with the loader of transformers, its PyAV backend."""
    from transformers.video_utils import load_video

    numbers = np.array(wanted.numbers)
    frames, _ = load_video(str(path), backend="pyav", sample_indices_fn=lambda **_: numbers)
    take(Read(frames=frames))


def read_opencv(cv2: ModuleType, path: Path, wanted: Wanted, take: Take) -> None:
    """Read with OpenCV: set the position for some frames, read on for all of them."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    for number in wanted.numbers:
        if wanted.count is not None:
            capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        found, frame = capture.read()
        if found:
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        if frames and wanted.count is None:
            take(Read(frames=frames.pop()[None]))
    capture.release()
    if frames:
        take(Read(frames=np.stack(frames)))


def read_decord(decord: ModuleType, path: Path, wanted: Wanted, take: Take) -> None:
    """Read with decord's `get_batch`."""
    reader = decord.VideoReader(str(path), num_threads=1)
    numbers = wanted.numbers
    size = BATCH if wanted.count is None else len(numbers)
    for start in range(0, len(numbers), size):
        take(Read(frames=reader.get_batch(numbers[start : start + size]).asnumpy()))


WHOLE = ("transformers",)
"""Sides that hold all frames at once: decoded, converted, and stacked a second time."""
WHOLE_BYTES_PER_PIXEL = 1.5 + 3 + 3
OPTIONAL: dict[str, tuple[str, Callable[[ModuleType, Path, Wanted, Take], None]]] = {
    "opencv": ("cv2", read_opencv),
    "decord": ("decord", read_decord),
}
"""Side to the module it imports, and its reader; they are no dependencies of ours."""


def find_readers() -> tuple[dict[str, Reader], tuple[str, ...]]:
    """Return the readers that can be used here, ours first, and a remark on each of the others."""
    readers: dict[str, Reader] = {
        "ours": read_ours,
        "pyav": read_sequential,
        "transformers": read_transformers,
    }
    remarks = []
    for side, (name, read) in OPTIONAL.items():
        try:
            module = importlib.import_module(name)
        except (ImportError, OSError) as error:
            remarks.append(f"{side} is left out: {name} cannot be imported ({error})")
            continue
        readers[side] = _with(module, read)
    return readers, tuple(remarks)


def _with(module: ModuleType, read: Callable[[ModuleType, Path, Wanted, Take], None]) -> Reader:
    return lambda path, wanted, take: read(module, path, wanted, take)
