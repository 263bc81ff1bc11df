"""Bench: reading frames of a video, against PyAV's plain loop, transformers, OpenCV and decord.

    textreel bench decode

1, 8, 32, 128 and all frames of four H.264 files: 5 minutes (320 x 180 px, 25 frames per second) and
an hour (192 x 108 px, 10 per second, so that all its frames fit into memory), key frames every
second and every ten. All sides return the same frames; what each does stands in `bench_readers`.

A side whose first, untimed reading took long and far longer than ours takes part in fewer rounds.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textreel.data.cache import cache_dir
from textreel.recipes.bench import (
    BenchCase,
    BenchReport,
    compare,
    cpu_seconds,
    make_case,
    make_report,
)
from textreel.recipes.bench_readers import Read, Reader, Wanted, find_readers
from textreel.recipes.bench_videos import VideoFile, make_video

HOUR = {"length_s": 3600, "fps": 10, "width": 192, "height": 108}
FILES = (
    VideoFile(name="5 min, key frame every 1 s", length_s=300, key_s=1),
    VideoFile(name="5 min, key frame every 10 s", length_s=300, key_s=10),
    VideoFile(name="1 h, key frame every 1 s", key_s=1, **HOUR),
    VideoFile(name="1 h, key frame every 10 s", key_s=10, **HOUR),
)
COUNTS = (1, 8, 32, 128, None)
CLOSE = 1.25
"""Within this much of the fastest side counts as close to it."""
COMPARED = 64
"""Frames of a case whose pixels are compared, evenly spread."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slow:
    """When a side is slow, and how often it is timed then.

    Attributes:
        cpu_s: its first reading took more than this.
        times_ours: and more than this many times our first reading.
        rounds: it takes part in.
    """

    cpu_s: float = 1.0
    times_ours: float = 2.0
    rounds: int = 1


def run_bench_decode(
    *,
    files: tuple[VideoFile, ...] = FILES,
    counts: tuple[int | None, ...] = COUNTS,
    rounds: int = 5,
    slow: Slow | None = None,
    folder: Path | None = None,
) -> BenchReport:
    """Compare all sides on every file and number of frames.

    Args:
        files: what to read; made before anything is timed.
        counts: how many frames; None stands for all.
        rounds: of every comparison.
        slow: which sides take part in fewer of them, `Slow()` where None.
        folder: where the files are kept, `bench` in the cache where None.

    Returns:
        In `differences`, for each side: by how many the number of frames differs from ours; the
        largest mean difference of a frame in grey levels; where a side tells them, times in
        seconds. `notes["ours_over_fastest"]` is 1 where ours is the fastest.
    """
    readers, remarks = find_readers()
    cases = []
    for video in files:
        path = make_video(folder or cache_dir() / "bench", video)
        for count in counts:
            wanted = Wanted(count=count, total=video.num_frames)
            cases.append(_compare(path, video, wanted, readers, rounds=rounds, slow=slow or Slow()))
    return make_report("decode", tuple(cases), remarks=(*remarks, *summarize(cases)))


def summarize(cases: list[BenchCase]) -> list[str]:
    """Return sentences on where ours stands."""
    behind = [case.notes["ours_over_fastest"] for case in cases]
    lines = [
        f"ours is the fastest in {sum(b <= 1 for b in behind)} of {len(cases)} cases, within "
        f"{CLOSE - 1:.0%} of the fastest in {sum(b <= CLOSE for b in behind)}; the largest ratio "
        f"to the fastest is {max(behind):.2f}"
    ]
    lines += [
        f"{case.name}: transformers takes {case.cpu_ratios['transformers']:.1f} times our CPU "
        f"seconds"
        for case in cases
        if case.settings["frames"] == 8
    ]
    fewer = {t.side for case in cases for t in case.timings if len(t.cpu_s) < _most_rounds(case)}
    if fewer:
        lines.append(
            f"timed in fewer rounds in some cases, for they take long: {', '.join(sorted(fewer))}"
        )
    return lines


def _most_rounds(case: BenchCase) -> int:
    return max(len(timing.cpu_s) for timing in case.timings)


def _compare(
    path: Path,
    video: VideoFile,
    wanted: Wanted,
    readers: Mapping[str, Reader],
    *,
    rounds: int,
    slow: Slow,
) -> BenchCase:
    first: dict[str, _Sample] = {}
    took: dict[str, float] = {}
    for side, read in readers.items():
        started = cpu_seconds()
        found = read(path, wanted)
        took[side] = cpu_seconds() - started
        first[side] = _sample(found)
        del found  # all frames of an hour: one side's at a time
    limit = max(slow.cpu_s, slow.times_ours * took["ours"])
    fewer = {side: min(rounds, slow.rounds) for side in took if took[side] > limit}
    sides: dict[str, Callable[[], object]] = {
        side: partial(_read_and_forget, read, path, wanted) for side, read in readers.items()
    }
    timings = compare(sides, rounds=rounds, fewer=fewer)
    fastest = min(timing.median_cpu_s for timing in timings)
    return make_case(
        f"{video.name}, {'all' if wanted.count is None else wanted.count} frames",
        timings,
        settings=asdict(video) | {"frames": wanted.count, "file_bytes": path.stat().st_size},
        differences=_differences(first),
        notes={"ours_over_fastest": timings[0].median_cpu_s / max(fastest, 1e-9)},
    )


def _read_and_forget(read: Reader, path: Path, wanted: Wanted) -> None:
    read(path, wanted)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Sample:
    """What is kept of a reading: its size, some frames, all times."""

    count: int
    frames: NDArray[np.uint8]
    times_s: NDArray[np.float64] | None


def _sample(read: Read) -> _Sample:
    count = len(read.frames)
    places = np.unique(np.linspace(0, count - 1, min(count, COMPARED)).round().astype(int))
    return _Sample(count=count, frames=read.frames[places].copy(), times_s=read.times_s)


def _differences(samples: Mapping[str, _Sample]) -> dict[str, float]:
    """Compare every side with ours; frames are compared only where their number is equal."""
    ours, *_ = samples.values()
    found: dict[str, float] = {}
    for side, other in list(samples.items())[1:]:
        found[f"number of frames of {side}"] = abs(other.count - ours.count)
        if other.count != ours.count:
            continue
        pairs = zip(ours.frames, other.frames, strict=True)
        found[f"grey levels of {side}"] = max(
            float(np.abs(a.astype(np.int16) - b).mean()) for a, b in pairs
        )
        if ours.times_s is not None and other.times_s is not None:
            found[f"times of {side}"] = float(np.abs(ours.times_s - other.times_s).max())
    return found
