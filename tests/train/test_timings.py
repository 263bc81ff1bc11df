import logging
from pathlib import Path

import pytest

from tests.train.training_job import LittleModel, data
from textreel.train.precision import ComputePath
from textreel.train.timings import job_kind, recall, remember

FP32 = ComputePath(precision="fp32", attention="sdpa")
BF16 = ComputePath(precision="bf16", attention="sdpa")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEXTREEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_was_measured_is_remembered() -> None:
    assert recall("k", [FP32, BF16]) == {}
    remember("k", {FP32: 0.5, BF16: 0.25})
    assert recall("k", [FP32, BF16]) == {FP32: 0.5, BF16: 0.25}
    assert recall("other", [FP32]) == {}


def test_a_path_that_was_not_measured_means_measuring_again() -> None:
    remember("k", {FP32: 0.5, BF16: 0.25})
    assert recall("k", [FP32, ComputePath(precision="fp32", attention="eager")]) == {}


def test_kinds_of_jobs_differ_by_shapes_and_threads() -> None:
    batch = data().batch(0)
    kinds = {
        job_kind(LittleModel(), batch, threads=1),
        job_kind(LittleModel(), batch, threads=2),
        job_kind(LittleModel(width=8), batch, threads=1),
        job_kind(LittleModel(), data(batch_size=3).batch(0), threads=1),
    }
    assert len(kinds) == 4
    assert job_kind(LittleModel(dropout=0.5), batch, threads=1) in kinds


def test_a_cache_that_cannot_be_written_is_logged(
    own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own_cache.write_text("a file where a folder should be")
    with caplog.at_level(logging.INFO, "textreel.train"):
        remember("k", {FP32: 0.5})
    assert "step timings not remembered" in caplog.text
