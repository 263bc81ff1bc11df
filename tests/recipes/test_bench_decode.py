from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import av
import numpy as np
import pytest

from textreel.recipes import bench_decode, bench_readers
from textreel.recipes.bench import BenchReport
from textreel.recipes.bench_decode import FILES, Patience, run_bench_decode
from textreel.recipes.bench_readers import Read, Wanted, read_decord, read_opencv, read_ours
from textreel.recipes.bench_videos import VideoFile, make_video

SMALL = VideoFile(name="6 s", length_s=6, key_s=1, fps=5, width=64, height=48, segment_s=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture
def no_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ModuleType:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(bench_readers.importlib, "import_module", missing)


@pytest.fixture
def report(folder: Path, no_extras: None) -> BenchReport:
    return run_bench_decode(files=(SMALL,), counts=(1, 8, None), rounds=1, folder=folder)


def test_all_sides_read_the_same_frames(report: BenchReport) -> None:
    assert [case.name for case in report.cases] == [
        "6 s, 1 frames",
        "6 s, 8 frames",
        "6 s, all frames",
    ]
    for case in report.cases:
        assert [timing.side for timing in case.timings] == ["ours", "pyav", "transformers"]
        assert case.differences["number of frames of pyav"] == 0
        assert case.differences["times of pyav"] < 1e-9
        assert case.differences["grey levels of pyav"] == 0
        assert case.differences["grey levels of transformers"] == 0


def test_the_summary_counts_cases_and_names_what_is_left_out(report: BenchReport) -> None:
    opencv, decord, standing, eight = report.remarks[:4]
    assert opencv == "opencv is left out: cv2 cannot be imported (No module named 'cv2')"
    assert decord.startswith("decord is left out")
    assert "of 3 cases, within 25% of the fastest in" in standing
    assert eight.startswith("6 s, 8 frames: transformers takes ")


def test_what_takes_long_is_timed_once_and_that_is_told(folder: Path, no_extras: None) -> None:
    never = Patience(slow_cpu_s=0, slow_times_ours=0)
    report = run_bench_decode(files=(SMALL,), counts=(1,), rounds=3, patience=never, folder=folder)
    assert [len(timing.cpu_s) for timing in report.cases[0].timings] == [3, 1, 1]
    assert "6 s, 1 frames: timed once only, too slow: pyav, transformers" in report.remarks


def test_only_what_is_near_ours_is_repeated_where_that_takes_long() -> None:
    took = {"ours": (10.0, 10.0), "near": (14.0, 14.0), "far": (16.0, 16.0), "out": (21.0, 21.0)}
    assert list(bench_decode._too_slow(took, Patience(long_cpu_s=50))) == ["out"]
    assert list(bench_decode._too_slow(took, Patience(long_cpu_s=30))) == ["far", "out"]
    assert not bench_decode._too_slow(took, Patience(slow_cpu_s=22))


def test_a_side_that_would_fill_the_memory_is_left_out_and_that_is_told(
    folder: Path, no_extras: None
) -> None:
    none = Patience(free_share=0.0)
    report = run_bench_decode(files=(SMALL,), counts=(1,), rounds=1, patience=none, folder=folder)
    assert [timing.side for timing in report.cases[0].timings] == ["ours", "pyav"]
    assert "transformers is left out: it would hold 0.0 GB" in report.remarks[-1]


def test_a_bench_that_was_stopped_goes_on_where_it_was(
    folder: Path, no_extras: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> BenchReport:
        return run_bench_decode(files=(SMALL,), counts=(1, 2), rounds=1, folder=folder)

    measure, asked = bench_decode._compare, []

    def stop_at_the_second(path: Path, video: VideoFile, wanted: Wanted, *rest, **more):
        asked.append(wanted.count)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return measure(path, video, wanted, *rest, **more)

    monkeypatch.setattr(bench_decode, "_compare", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run()
    report = run()
    assert asked == [1, 2, 2] and [c.settings["frames"] for c in report.cases] == [1, 2]
    assert "1 of 2 cases were measured before a stop" in report.remarks
    assert not list(folder.glob("*.jsonl"))


def test_a_video_is_made_once_and_is_what_it_says(folder: Path) -> None:
    path = make_video(folder, SMALL)
    before = path.stat().st_mtime_ns
    assert make_video(folder, replace(SMALL, name="another name")) == path
    assert path.stat().st_mtime_ns == before
    assert [p.name for p in folder.glob("*.mp4")] == [path.name]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.frames) == (64, 48, SMALL.num_frames)
        keys, times = [], []
        for frame in container.decode(stream):
            times.append(frame.time)
            keys += [frame.time] if frame.key_frame else []
    assert keys == [0, 1, 2, 3, 4, 5]
    assert times == pytest.approx([i / 5 for i in range(30)])


def test_the_default_files_differ_in_length_and_key_frames() -> None:
    assert {(video.length_s, video.key_s) for video in FILES} == {
        *((300, 1), (300, 10), (3600, 1), (3600, 10))
    }
    assert len({video.file_name for video in FILES}) == 4


def test_wanted_frames_are_the_centres_of_equal_slices(folder: Path) -> None:
    assert Wanted(count=3, total=30).numbers == [5, 15, 25]
    assert Wanted(count=None, total=3).numbers == [0, 1, 2]
    read = pieces(read_ours, make_video(folder, SMALL), Wanted(count=3, total=30))
    assert read.times_s.tolist() == [1, 3, 5]


def pieces(reader, *args) -> Read:
    """All that a reader gives, as one."""
    found: list[Read] = []
    reader(*args, found.append)
    times_s = [read.times_s for read in found if read.times_s is not None]
    return Read(
        frames=np.concatenate([read.frames for read in found]),
        times_s=np.concatenate(times_s) if times_s else None,
    )


def frames(count: int) -> np.ndarray:
    return np.arange(count * 12, dtype=np.uint8).reshape(count, 2, 2, 3)


class FakeCapture:
    def __init__(self, path: str) -> None:
        self.next = 0

    def set(self, key: str, value: int) -> None:
        assert key == "position"
        self.next = value

    def read(self) -> tuple[bool, np.ndarray]:
        self.next += 1
        return True, frames(10)[self.next - 1][..., ::-1]

    def release(self) -> None:
        pass


def test_opencv_goes_to_single_frames_and_turns_colours() -> None:
    cv2 = SimpleNamespace(
        VideoCapture=FakeCapture,
        CAP_PROP_POS_FRAMES="position",
        COLOR_BGR2RGB="rgb",
        cvtColor=lambda frame, code: frame[..., ::-1],
    )
    some = pieces(read_opencv, cv2, Path("x"), Wanted(count=2, total=10)).frames
    assert np.array_equal(some, frames(10)[[2, 7]])
    every = pieces(read_opencv, cv2, Path("x"), Wanted(count=None, total=10)).frames
    assert np.array_equal(every, frames(10))


def test_decord_takes_the_numbers() -> None:
    batch = SimpleNamespace(asnumpy=lambda: frames(2))
    reader = SimpleNamespace(get_batch=lambda numbers: batch if numbers == [2, 7] else None)
    decord = SimpleNamespace(VideoReader=lambda path, num_threads: reader)
    read = pieces(read_decord, decord, Path("x"), Wanted(count=2, total=10))
    assert np.array_equal(read.frames, frames(2))
