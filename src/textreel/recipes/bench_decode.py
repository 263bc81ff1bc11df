"""Bench: reading frames of a video, against PyAV's plain loop, transformers, OpenCV and decord.

    textreel bench decode

1, 8, 32, 128 and all frames of four H.264 files of 25 frames per second: 5 minutes (640 x 360 px)
and an hour (320 x 180 px), key frames every second and every ten. All sides return the same frames;
what each does stands in `bench_readers`.

Each side reads once untimed, then in interleaved rounds. A side whose first reading took long and
far longer than ours is not called again: that reading is its only timing, and the report tells so.
Ours and all that come near it are always timed as often as asked.

Every finished case is kept in a journal in the cache until all are: a bench that was stopped goes
on where it was, as long as nothing that was measured has changed.
"""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

import textreel.media
from textreel.data.cache import cache_dir
from textreel.data.files import content_hash, fingerprint
from textreel.data.journal import Journal
from textreel.recipes.bench import (
    BenchCase,
    BenchReport,
    Timing,
    compare,
    make_case,
    make_report,
    stopwatch,
)
from textreel.recipes.bench_readers import (
    WHOLE,
    WHOLE_BYTES_PER_PIXEL,
    Read,
    Reader,
    Wanted,
    find_readers,
)
from textreel.recipes.bench_videos import VideoFile, make_video

log = logging.getLogger("textreel.recipes")

SHORT: dict[str, Any] = {"length_s": 300, "width": 640, "height": 360}
HOUR: dict[str, Any] = {"length_s": 3600, "width": 320, "height": 180}
FILES = (
    VideoFile(name="5 min, key frame every 1 s", key_s=1, **SHORT),
    VideoFile(name="5 min, key frame every 10 s", key_s=10, **SHORT),
    VideoFile(name="1 h, key frame every 1 s", key_s=1, **HOUR),
    VideoFile(name="1 h, key frame every 10 s", key_s=10, **HOUR),
)
COUNTS = (1, 8, 32, 128, None)
CLOSE = 1.25
"""Within this much of the fastest side counts as close to it."""
COMPARED = 64
"""Frames of a case whose pixels are compared, evenly spread."""
_Took = dict[str, tuple[float, float]]
"""CPU and wall seconds of one reading of each side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """What is measured less often, because it takes long.

    Attributes:
        slow_cpu_s: a side whose first reading took more than this,
        slow_times_ours: and more than this many times our first reading, is not called again.
        long_cpu_s: where the first readings of the others took more than this together,
        long_times_ours: this many times ours is enough not to be called again.
        free_share: a side that holds all frames at once takes part if they take less than this
            share of the memory that is free.
    """

    slow_cpu_s: float = 5.0
    slow_times_ours: float = 2.0
    long_cpu_s: float = 60.0
    long_times_ours: float = 1.5
    free_share: float = 0.4


def run_bench_decode(
    *,
    files: tuple[VideoFile, ...] = FILES,
    counts: tuple[int | None, ...] = COUNTS,
    rounds: int = 5,
    patience: Patience | None = None,
    folder: Path | None = None,
) -> BenchReport:
    """Compare all sides on every file and number of frames.

    Args:
        files: what to read; made before anything is timed.
        counts: how many frames; None stands for all.
        rounds: of every comparison.
        patience: what is measured less often, `Patience()` where None.
        folder: where the files and the journal are kept, `bench` in the cache where None.

    Returns:
        In `differences`, for each side: by how many the number of frames differs from ours; the
        largest mean difference of a frame in grey levels; where a side tells them, times in
        seconds. `notes["ours_over_fastest"]` is 1 where ours is the fastest.
    """
    readers, remarks = find_readers()
    folder, patience = folder or cache_dir() / "bench", patience or Patience()
    settings = [[asdict(video) for video in files], counts, rounds, asdict(patience)]
    name = fingerprint([settings, *_measured(readers)])
    path = folder / f"decode-{name}.jsonl"
    cases: list[BenchCase] = []
    with Journal.open(path, kind="bench-decode", fingerprint=name) as journal:
        before = len(journal)
        # all frames last: they take longest
        for count in counts:
            for video in files:
                wanted = Wanted(count=count, total=video.num_frames)
                key = _case_name(video, wanted)
                if key not in journal:
                    made = make_video(folder, video)
                    case = _compare(made, video, wanted, readers, rounds=rounds, patience=patience)
                    journal.record(key, asdict(case))
                    log.info("%s: %s", key, _seconds(case))
                cases.append(_case(cast(dict[str, Any], journal[key])))
    path.unlink()
    if before:
        remarks = (*remarks, f"{before} of {len(cases)} cases were measured before a stop")
    return make_report("decode", tuple(cases), remarks=(*remarks, *summarize(cases)))


def _measured(readers: Mapping[str, Reader]) -> tuple[list[str], dict[str, str]]:
    """Return what a result depends on: the sides and their versions, and our own sources."""
    versions = []
    for side, package in PACKAGES.items():
        try:
            versions += [f"{package} {version(package)}"] if side in readers else []
        except PackageNotFoundError:
            versions.append(package)
    sources = sorted(Path(textreel.media.__path__[0]).glob("*.py"))
    return versions, {path.name: content_hash(path) for path in sources}


PACKAGES = {
    "pyav": "av",
    "transformers": "transformers",
    "opencv": "opencv-python-headless",
    "decord": "decord",
}


def _case(values: dict[str, Any]) -> BenchCase:
    """Read what `asdict` and JSON made of a case."""
    timings = [
        t | {"cpu_s": tuple(t["cpu_s"]), "wall_s": tuple(t["wall_s"])} for t in values["timings"]
    ]
    return BenchCase(**values | {"timings": tuple(Timing(**timing) for timing in timings)})


def _case_name(video: VideoFile, wanted: Wanted) -> str:
    return f"{video.name}, {'all' if wanted.count is None else wanted.count} frames"


def _seconds(case: BenchCase) -> str:
    return ", ".join(f"{t.side} {t.median_cpu_s:.3f}" for t in case.timings) + " CPU s"


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
        if case.settings["frames"] == 8 and "transformers" in case.cpu_ratios
    ]
    for case in cases:
        most = max(len(timing.cpu_s) for timing in case.timings)
        once = [t.side for t in case.timings if len(t.cpu_s) < most]
        if once:
            lines.append(f"{case.name}: timed once only, too slow: {', '.join(once)}")
        lines += [
            f"{case.name}: {side} is left out: it would hold {needed:.1f} GB of frames"
            for side, needed in case.settings["left_out_gb"].items()
        ]
    return lines


def _compare(
    path: Path,
    video: VideoFile,
    wanted: Wanted,
    readers: Mapping[str, Reader],
    *,
    rounds: int,
    patience: Patience,
) -> BenchCase:
    left_out = _too_large(video, wanted, patience)
    readers = {side: read for side, read in readers.items() if side not in left_out}
    first: dict[str, _Sample] = {}
    took: _Took = {}
    for side, read in readers.items():
        sample = _Sample(wanted)
        took[side] = stopwatch(partial(read, path, wanted, sample.take))
        first[side] = sample
    slow = _too_slow(took, patience)
    sides: dict[str, Callable[[], object]] = {
        side: partial(read, path, wanted, _forget) for side, read in readers.items()
    }
    timings = compare(sides, rounds=rounds, timed=slow)
    fastest = min(timing.median_cpu_s for timing in timings)
    told = {"frames": wanted.count, "file_bytes": path.stat().st_size}
    return make_case(
        _case_name(video, wanted),
        timings,
        settings=asdict(video) | told | {"rounds": rounds, "left_out_gb": left_out},
        differences=_differences(first),
        notes={"ours_over_fastest": timings[0].median_cpu_s / max(fastest, 1e-9)},
    )


def _too_slow(took: _Took, patience: Patience) -> _Took:
    """Return the sides that are not called again, with what their one reading took."""
    slow: _Took = {}
    for times_ours in (patience.slow_times_ours, patience.long_times_ours):
        limit = max(patience.slow_cpu_s, times_ours * took["ours"][0])
        slow = {s: took[s] for s in took if s != "ours" and took[s][0] > limit}
        if sum(took[s][0] for s in took if s not in slow) < patience.long_cpu_s:
            break
    return slow


def _too_large(video: VideoFile, wanted: Wanted, patience: Patience) -> dict[str, float]:
    """Return the sides whose frames do not fit into memory, with the gigabytes they would take."""
    pixels = len(wanted.numbers) * video.width * video.height
    needed = pixels * WHOLE_BYTES_PER_PIXEL
    if "SC_AVPHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return {}  # not Linux: nobody says what is free
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return dict.fromkeys(WHOLE, needed / 1e9) if needed > patience.free_share * free else {}


def _forget(read: Read) -> None:
    """Take frames and do nothing with them."""


class _Sample:
    """What is kept of a reading: how many frames, some of them, all times."""

    def __init__(self, wanted: Wanted) -> None:
        total = len(wanted.numbers)
        places = np.linspace(0, total - 1, min(total, COMPARED)).round().astype(int)
        self._places = set(places.tolist())
        self.count = 0
        self.frames: list[NDArray[np.uint8]] = []
        self.times_s: list[float] = []

    def take(self, read: Read) -> None:
        """Look at one piece."""
        here = range(self.count, self.count + len(read.frames))
        self.frames += [read.frames[i - self.count].copy() for i in here if i in self._places]
        self.times_s += [] if read.times_s is None else read.times_s.tolist()
        self.count += len(read.frames)


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
        if other.times_s:
            gaps = np.abs(np.array(ours.times_s) - np.array(other.times_s))
            found[f"times of {side}"] = float(gaps.max())
    return found
