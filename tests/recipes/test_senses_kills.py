"""Staged runs that are killed in the middle of every stage end with the bits of a straight one."""

import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.recipes.senses_job import make_data, run_own_frames_job, run_senses_job
from textreel.models.video_llama import VideoLlama
from textreel.recipes.senses_recipe import FRAMES_FOLDER
from textreel.recipes.senses_training import DONE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL and a forkserver"),
]
STEPS = 6
Job = Callable[[Path, int], None]


def _context() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["textreel.recipes.senses_training"])
    return context


def _start(job: Job, run: Path) -> BaseProcess:
    process = _context().Process(target=job, args=(run, STEPS), daemon=True)
    process.start()
    return process


def _finish(job: Job, run: Path) -> None:
    process = _start(job, run)
    process.join(300)
    assert process.exitcode == 0


def _log(run: Path) -> int:
    return sum(p.read_bytes().count(b"\n") for p in run.glob("stages/**/log.jsonl"))


def _kill_in_each(job: Job, run: Path, *, stages: int) -> None:
    for stage in range(stages):
        lines = stage * STEPS + STEPS // 2
        process = _start(job, run)
        deadline = time.monotonic() + 300
        while process.is_alive() and _log(run) < lines:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        assert process.is_alive(), "killed in the middle, not after the end"
        process.kill()
        process.join(30)
        assert stage * STEPS < _log(run) < (stage + 1) * STEPS, "in the middle of that stage"
    _finish(job, run)


def test_published_stages(tmp_path: Path) -> None:
    make_data(tmp_path)
    _finish(run_senses_job, tmp_path / "straight")
    _kill_in_each(run_senses_job, tmp_path / "killed", stages=4)
    one, other = (tmp_path / name / DONE for name in ("straight", "killed"))
    assert one.read_bytes() == other.read_bytes()
    assert VideoLlama.from_pretrained(tmp_path / "killed").config.image is not None


def test_a_frame_encoder_open_eyes_ears_and_what_follows_them(tmp_path: Path) -> None:
    _finish(run_own_frames_job, tmp_path / "straight")
    _kill_in_each(run_own_frames_job, tmp_path / "killed", stages=5)
    for file in (DONE, f"{FRAMES_FOLDER}/{DONE}"):
        one, other = (tmp_path / name / file for name in ("straight", "killed"))
        assert one.read_bytes() == other.read_bytes(), file
