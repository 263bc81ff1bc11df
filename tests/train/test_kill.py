"""SIGKILL at random moments of training, through one forkserver that has torch loaded."""

import multiprocessing
import os
import random
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.train.frame_job import run_frame_job
from tests.train.track_job import run_track_job
from tests.train.training_job import run_job

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL and a forkserver")


def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["torch._dynamo", "transformers", "textreel.models.track_lm", "textreel.train.loop"]
    )
    return context


@pytest.fixture(scope="module", autouse=True)
def _warm_server() -> None:
    """Start the server, which loads torch once for all processes."""
    process = _server().Process(target=time.monotonic)
    process.start()
    process.join(60)
    assert process.exitcode == 0


Job = Callable[[Path, int], None]


def _start(job: Job, run_dir: Path, steps: int) -> BaseProcess:
    process = _server().Process(target=job, args=(run_dir, steps), daemon=True)
    process.start()
    return process


def _step(run_dir: Path) -> int:
    """Return how many lines the log has, which grows with every step."""
    path = run_dir / "log.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else -1


def _kill_at_random(
    job: Job, run_dir: Path, steps: int, *, rng: random.Random, share: float
) -> bool:
    """Start the run, kill it around `share` of its way; return whether it was still running."""
    process = _start(job, run_dir, steps)
    target = int(share * steps)
    deadline = time.monotonic() + 30
    while process.is_alive() and _step(run_dir) < target and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(rng.uniform(0, 0.02))
    running = process.is_alive()
    process.kill()
    process.join(30)
    return running


def _finish(job: Job, run_dir: Path, steps: int) -> None:
    process = _start(job, run_dir, steps)
    process.join(60)
    assert process.exitcode == 0


def _final(run_dir: Path, steps: int) -> bytes:
    return (run_dir / f"checkpoints/step-{steps:08d}/tensors.safetensors").read_bytes()


def _killed_many_times(job: Job, tmp_path: Path, *, kills: int, steps: int) -> None:
    rng = random.Random(0)
    _finish(job, tmp_path / "straight", steps)
    landed = sum(
        _kill_at_random(job, tmp_path / "killed", steps, rng=rng, share=i / (kills + 1))
        for i in range(kills)
    )
    assert landed == kills
    _finish(job, tmp_path / "killed", steps)
    assert _final(tmp_path / "killed", steps) == _final(tmp_path / "straight", steps)
    assert len(list((tmp_path / "killed/checkpoints").iterdir())) == 2


def test_three_kills_leave_the_weights_of_a_straight_run(tmp_path: Path) -> None:
    _killed_many_times(run_job, tmp_path, kills=3, steps=20)


@pytest.mark.slow
def test_twenty_kills_of_a_track_model_leave_the_weights_of_a_straight_run(tmp_path: Path) -> None:
    _killed_many_times(run_track_job, tmp_path, kills=20, steps=60)


@pytest.mark.slow
def test_kills_of_an_image_llms_fine_tuning_leave_the_run_of_a_straight_one(tmp_path: Path) -> None:
    _killed_many_times(run_frame_job, tmp_path, kills=5, steps=12)
    one, other = (tmp_path / name / "model.safetensors" for name in ("straight", "killed"))
    assert one.read_bytes() == other.read_bytes()
