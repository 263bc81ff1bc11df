"""Bench: how ours finds frames, against the three ways there are, each at every density.

    textreel bench seek

A minute of 320 x 180 px at 25 frames per second, key frames every .4 s, every second and every ten;
in mp4, whose index lists every frame, and in Matroska, whose index lists some key frames.

    ours        `media.decode`, which chooses
    walking     decode from the start, stop after the last frame asked for
    seeking     for every time: go to the key frame before it, decode up to it
    key frames  decode key frames alone; where only those are asked for

The three are plain loops over PyAV, with our own conversion to RGB, so that only the way differs.
All sides must give equal times and equal pixels. `ours_over_best` in the notes is what counts: our
CPU seconds over those of the best other way.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from textreel.data.cache import cache_dir
from textreel.media.decode import read_clip
from textreel.media.pixels import Pixels
from textreel.media.sampling import SamplingSpec
from textreel.recipes.bench import (
    BenchCase,
    BenchReport,
    compare,
    make_case,
    make_report,
    stopwatch,
)
from textreel.recipes.bench_readers import Read
from textreel.recipes.bench_videos import VideoFile, in_matroska, make_video

log = logging.getLogger("textreel.recipes")

LENGTH_S = 60
FILES = tuple(
    VideoFile(name=f"key frame every {key_s} s", length_s=LENGTH_S, key_s=key_s)
    for key_s in (0.4, 1, 10)
)
COUNTS = (1, 4, 8, 16, 32, 64, 128, 375)
SLOW_TIMES_OURS, SLOW_CPU_S = 3.0, 0.3
"""A way whose first reading took longer than both is far from the best, and timed no more."""
EPSILON_S = 1e-6
Way = Callable[[Path, list[float]], Read]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What is asked of a file.

    Attributes:
        name: for the report.
        spec: which frames.
        keys: whether all of them are key frames.
    """

    name: str
    spec: SamplingSpec
    keys: bool = False


def run_bench_seek(
    *,
    files: tuple[VideoFile, ...] = FILES,
    counts: tuple[int, ...] = COUNTS,
    rounds: int = 5,
    folder: Path | None = None,
) -> BenchReport:
    """Compare the ways on every file, in both containers, at every density.

    Args:
        files: what to read; made before anything is timed.
        counts: how many frames, at the centres of equal slices; beside these, all key frames.
        rounds: of every comparison.
        folder: where the files are kept, `bench` in the cache where None.

    Returns:
        In `differences`, for each other way: by how many the number of frames differs from ours,
        the largest difference of a time in seconds and of a pixel in grey levels.
    """
    folder = folder or cache_dir() / "bench"
    cases = []
    for video in files:
        mp4 = make_video(folder, video)
        for path in (mp4, in_matroska(mp4)):
            cases += [
                _compare(path, video, asked, rounds=rounds) for asked in _asked(video, counts)
            ]
    return make_report("seek", tuple(cases), remarks=(summarize(cases),))


def summarize(cases: list[BenchCase]) -> str:
    """Return a sentence on where ours stands."""
    worst = max(cases, key=lambda case: case.notes["ours_over_best"])
    other = [case.name for case in cases if any(case.differences.values())]
    best = sum(case.notes["ours_over_best"] <= 1 for case in cases)
    return (
        f"ours takes at most {worst.notes['ours_over_best']:.2f} times the CPU seconds of the best "
        f"other way ({worst.name}), and is the fastest in {best} of {len(cases)} cases; ways of "
        f"{SLOW_TIMES_OURS:g} times ours and more were timed once; times and pixels are equal "
        + (f"but for {len(other)} cases: {', '.join(other)}" if other else "in all cases")
    )


def _asked(video: VideoFile, counts: tuple[int, ...]) -> Iterator[Asked]:
    for count in counts:
        yield Asked(name=f"{count} frames", spec=SamplingSpec(num_frames=count))
    keys = SamplingSpec(fps=1 / video.key_s, policy="video_llama_floor")
    yield Asked(name="all key frames", spec=keys, keys=True)


def _compare(path: Path, video: VideoFile, asked: Asked, *, rounds: int) -> BenchCase:
    times_s = asked.spec.times(video.length_s)
    ways: dict[str, Way] = {"ours": partial(_ours, asked.spec)}
    ways |= {"walking": walk, "seeking": seek}
    if asked.keys:
        ways["key frames"] = read_keys
    sides = {side: partial(way, path, times_s) for side, way in ways.items()}
    first: dict[str, Read] = {}
    took = {side: stopwatch(partial(_keep_reading, first, side, sides[side])) for side in sides}
    limit = max(SLOW_CPU_S, SLOW_TIMES_OURS * took["ours"][0])
    slow = {s: seconds for s, seconds in took.items() if s != "ours" and seconds[0] > limit}
    timings = compare(sides, rounds=rounds, timed=slow)
    best = min(timing.median_cpu_s for timing in timings[1:])
    return make_case(
        f"{video.name}, {path.suffix[1:]}, {asked.name}",
        timings,
        settings={"key_s": video.key_s, "container": path.suffix[1:], "frames": len(times_s)},
        differences=_differences(first),
        notes={"ours_over_best": timings[0].median_cpu_s / max(best, 1e-9)},
    )


def _keep_reading(found: dict[str, Read], side: str, read: Callable[[], Read]) -> None:
    found[side] = read()


def _ours(spec: SamplingSpec, path: Path, times_s: list[float]) -> Read:
    clip = read_clip(path, spec)
    return Read(frames=clip.frames.transpose(0, 2, 3, 1), times_s=clip.frame_times_s)


def walk(path: Path, times_s: list[float]) -> Read:
    """Decode from the start, stop after the last frame asked for."""
    with av.open(str(path)) as container:
        return _Chosen().pick(container.decode(_one_thread(container)), times_s)


def read_keys(path: Path, times_s: list[float]) -> Read:
    """As `walk`, but let the decoder pass over all that is no key frame."""
    with av.open(str(path)) as container:
        stream = _one_thread(container)
        stream.codec_context.skip_frame = "NONKEY"
        return _Chosen().pick(container.decode(stream), times_s)


def seek(path: Path, times_s: list[float]) -> Read:
    """For every time: go to the key frame before it, and decode up to it."""
    chosen = _Chosen()
    with av.open(str(path)) as container:
        stream = _one_thread(container)
        for time_s in times_s:
            ticks = int((time_s + EPSILON_S) / float(stream.time_base or 1))
            container.seek(ticks, stream=stream)
            chosen.pick(container.decode(stream), [time_s])
    return chosen.read()


def _one_thread(container: InputContainer) -> VideoStream:
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    return stream


class _Chosen:
    """Frames that were shown at times, each once, converted as ours are."""

    def __init__(self) -> None:
        self._pixels: Pixels | None = None
        self._frames: list[NDArray[np.uint8]] = []
        self._times_s: list[float] = []

    def pick(self, frames: Iterator[av.VideoFrame], times_s: list[float]) -> Read:
        """Keep the frame shown at each of the ascending times, and look no further."""
        waiting, shown = list(reversed(times_s)), None
        for frame in frames:
            while waiting and shown is not None and _time_s(frame) > waiting[-1] + EPSILON_S:
                self._keep(shown)
                waiting.pop()
            if not waiting:
                break
            shown = frame
        if waiting and shown is not None:
            self._keep(shown)
        return self.read()

    def read(self) -> Read:
        """Return what was kept."""
        frames = [frame.transpose(1, 2, 0) for frame in self._frames]
        return Read(frames=np.stack(frames), times_s=np.array(self._times_s))

    def _keep(self, frame: av.VideoFrame) -> None:
        if self._times_s and self._times_s[-1] == _time_s(frame):
            return
        self._pixels = self._pixels or Pixels(frame, aspect=None)
        self._frames.append(self._pixels.to_rgb(frame).copy())
        self._times_s.append(_time_s(frame))


def _time_s(frame: av.VideoFrame) -> float:
    return frame.time or 0.0


def _differences(found: Mapping[str, Read]) -> dict[str, float]:
    """Compare every way with ours; pixels only where the number of frames is equal."""
    told: dict[str, float] = {}
    ours = found["ours"]
    for side, other in found.items():
        if side == "ours" or ours.times_s is None or other.times_s is None:
            continue
        told[f"number of frames, {side}"] = abs(len(other.frames) - len(ours.frames))
        if len(other.frames) == len(ours.frames):
            told[f"times, {side}"] = float(np.abs(other.times_s - ours.times_s).max())
            pairs = zip(ours.frames, other.frames, strict=True)
            told[f"grey levels, {side}"] = max(
                float(np.abs(a.astype(np.int16) - b).max()) for a, b in pairs
            )
    return told
