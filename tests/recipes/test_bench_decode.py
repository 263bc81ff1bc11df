from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import av
import numpy as np
import pytest

from textreel.recipes import bench_readers
from textreel.recipes.bench import BenchReport
from textreel.recipes.bench_decode import FILES, Slow, run_bench_decode
from textreel.recipes.bench_readers import Wanted, read_decord, read_opencv, read_ours
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


def test_slow_sides_take_part_in_fewer_rounds(folder: Path, no_extras: None) -> None:
    slow = Slow(cpu_s=0, times_ours=0, rounds=1)
    report = run_bench_decode(files=(SMALL,), counts=(1,), rounds=2, slow=slow, folder=folder)
    assert {len(timing.cpu_s) for timing in report.cases[0].timings} == {1}


def test_a_video_is_made_once_and_is_what_it_says(folder: Path) -> None:
    path = make_video(folder, SMALL)
    before = path.stat().st_mtime_ns
    assert make_video(folder, replace(SMALL, name="another name")) == path
    assert path.stat().st_mtime_ns == before
    assert [p.name for p in folder.iterdir()] == [path.name]
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
    read = read_ours(make_video(folder, SMALL), Wanted(count=3, total=30))
    assert read.times_s.tolist() == [1, 3, 5]


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
    some = read_opencv(cv2, Path("x"), Wanted(count=2, total=10)).frames
    assert np.array_equal(some, frames(10)[[2, 7]])
    every = read_opencv(cv2, Path("x"), Wanted(count=None, total=10)).frames
    assert np.array_equal(every, frames(10))


def test_decord_takes_the_numbers() -> None:
    batch = SimpleNamespace(asnumpy=lambda: frames(2))
    reader = SimpleNamespace(get_batch=lambda numbers: batch if numbers == [2, 7] else None)
    decord = SimpleNamespace(VideoReader=lambda path, num_threads: reader)
    read = read_decord(decord, Path("x"), Wanted(count=2, total=10))
    assert np.array_equal(read.frames, frames(2))
