from dataclasses import replace
from pathlib import Path

import pytest

from textreel.recipes import bench_seek
from textreel.recipes.bench import BenchReport
from textreel.recipes.bench_seek import FILES, read_keys, run_bench_seek, seek, walk
from textreel.recipes.bench_videos import VideoFile, in_matroska, make_video

SMALL = VideoFile(name="6 s", length_s=6, key_s=2, fps=5, width=64, height=48, segment_s=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module")
def report(folder: Path) -> BenchReport:
    return run_bench_seek(files=(SMALL,), counts=(1, 7), rounds=2, folder=folder)


def test_every_way_gives_the_same_frames_in_both_containers(report: BenchReport) -> None:
    assert [case.name for case in report.cases] == [
        f"6 s, {container}, {asked}"
        for container in ("mp4", "mkv")
        for asked in ("1 frames", "7 frames", "all key frames")
    ]
    for case in report.cases:
        keys = ["key frames"] if "all key frames" in case.name else []
        assert [timing.side for timing in case.timings] == ["ours", "walking", "seeking", *keys]
        assert len(case.differences) == 3 * (2 + len(keys)) and not any(case.differences.values())
        best = min(timing.median_cpu_s for timing in case.timings[1:])
        assert case.notes["ours_over_best"] == case.timings[0].median_cpu_s / best


def test_the_summary_names_the_worst_case(report: BenchReport) -> None:
    worst = max(report.cases, key=lambda case: case.notes["ours_over_best"])
    said = f"ours takes at most {worst.notes['ours_over_best']:.2f} times the CPU seconds of"
    assert report.remarks[0].startswith(said) and f"({worst.name})" in report.remarks[0]


def test_the_summary_names_cases_with_other_frames(report: BenchReport) -> None:
    assert report.remarks[0].endswith("times and pixels are equal in all cases")
    wrong = replace(report.cases[1], differences={"grey levels, walking": 3.0})
    said = bench_seek.summarize([report.cases[0], wrong])
    assert said.endswith("equal but for 1 cases: 6 s, mp4, 7 frames")


def test_a_way_that_is_far_from_the_best_is_timed_once(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(bench_seek, "SLOW_CPU_S", 0.0)
    monkeypatch.setattr(bench_seek, "SLOW_TIMES_OURS", 0.0)
    report = run_bench_seek(files=(SMALL,), counts=(), rounds=3, folder=folder)
    assert {t.side: len(t.cpu_s) for t in report.cases[0].timings} == {
        "ours": 3,
        "walking": 1,
        "seeking": 1,
        "key frames": 1,
    }


def test_each_way_finds_the_frame_shown_at_a_time(folder: Path) -> None:
    path = make_video(folder, replace(SMALL, segment_s=6))
    for way in (walk, seek):
        assert way(path, [0.1, 0.3, 0.39, 5.9]).times_s == pytest.approx([0.0, 0.2, 5.8])
    assert read_keys(path, [0.1, 3.9, 5.9]).times_s == pytest.approx([0.0, 2.0, 4.0])


def test_the_same_packets_are_put_into_matroska_once(folder: Path) -> None:
    path = in_matroska(make_video(folder, SMALL))
    before = path.stat().st_mtime_ns
    assert in_matroska(make_video(folder, SMALL)) == path and path.suffix == ".mkv"
    assert path.stat().st_mtime_ns == before


def test_the_default_files_have_short_and_long_groups_of_pictures() -> None:
    assert [video.key_s for video in FILES] == [0.4, 1, 10]
