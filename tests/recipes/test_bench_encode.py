from collections.abc import Sequence
from pathlib import Path

import pytest

from textreel.features.store import FeatureStore
from textreel.media.sampling import SamplingSpec
from textreel.models.encoders import DualEncoder
from textreel.recipes.bench_clip import ClipSize
from textreel.recipes.bench_encode import (
    Encoded,
    FilesCase,
    InTurn,
    ReadsCase,
    encode_in_turn,
    run_bench_encode,
)
from textreel.recipes.bench_videos import VideoFile

CLIP = ClipSize(layers=1, width=16, heads=2, image_px=32, patch_px=16)
VIDEO = VideoFile(name="2 s", length_s=2, key_s=1, fps=4, width=64, height=48, segment_s=2)
FILES = FilesCase(files=3, video=VIDEO, num_frames=2, clip=CLIP, tower_frames=3)
READS = ReadsCase(tracks=20, reads=30, num_frames=3, feature_dim=8)


@pytest.mark.slow
def test_both_ways_of_reading_give_equal_values() -> None:
    report = run_bench_encode(files=FILES, reads=READS, rounds=1)
    pipeline, precision, case = report.cases
    assert pipeline.name == "pipeline, 3 files"
    assert 0 < pipeline.notes["encoder waits, ours"] < 1
    assert case.name == "reading, 30 random reads"
    assert [timing.side for timing in case.timings] == ["ours", "npy"]
    assert len(case.timings[0].cpu_s) == 10
    assert case.differences == {"values": 0.0}
    assert [timing.side for timing in precision.timings] == ["fp32", "bf16"]
    assert 0 < precision.differences["1 - cosine, the largest"] < 0.01
    waits, ratio = pipeline.notes["encoder waits, ours"], case.cpu_ratios["npy"]
    assert report.remarks[0] == f"the encoder waits {waits:.1%} of the time, 5% at most is aimed at"
    assert report.remarks[1].startswith(f"random reads are {ratio:.1f} times as fast as .npy")
    assert report.remarks[1].endswith("their values differ by 0")
    assert f"{precision.cpu_ratios['bf16']:.2f} times the CPU seconds of fp32" in report.remarks[2]


def test_the_pipeline_gets_the_files_and_its_waiting_is_reported(tmp_path: Path) -> None:
    stores: list[Path] = []

    def pipeline(
        paths: Sequence[Path], out: Path, encoder: DualEncoder, spec: SamplingSpec
    ) -> Encoded:
        encode_in_turn(paths, out, encoder, spec)
        store = FeatureStore.open(out)
        assert [store[id].values.shape for id in store] == [(2, 1, 16)] * len(paths)
        stores.append(out)
        return InTurn(wait_share=0.04, seconds=1.5, files=len(paths))

    report = run_bench_encode(
        pipeline=pipeline, files=FILES, reads=READS, rounds=1, folder=tmp_path
    )
    case = report.cases[0]
    assert case.name == "pipeline, 3 files"
    assert [timing.side for timing in case.timings] == ["ours", "plain"]
    assert len(stores) == 2  # one to warm up, one round
    assert case.notes["encoder waits, ours"] == 0.04
    assert case.notes["files per second, ours"] == pytest.approx(2.0)
    assert 0 < case.notes["encoder waits, plain"] < 1
    assert len(list(tmp_path.glob("*.mp4"))) == 3
