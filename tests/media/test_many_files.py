"""Ten thousand files through one worker: nothing is left open, running or in memory.

python -m pytest -m slow tests/media/test_many_files.py --log-cli-level INFO -k 1000-files
"""

import logging
import os
import shutil
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.media import traps
from textreel.media.errors import DecoderCrashError, DecodeTimeoutError, MediaError
from textreel.media.sampling import SamplingSpec
from textreel.media.worker import DecodeLimits, GuardedReader

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process holds"),
]
log = logging.getLogger("tests.media")
WARM_UP = 500
MAX_GROWTH_BYTES = 50 << 20
SPECS = [
    SamplingSpec(num_frames=2),
    SamplingSpec(num_frames=3, policy="key_frames"),
    SamplingSpec(fps=2.0, max_frames=4),
]


def many_files(folder: Path) -> list[Path]:
    """Whole files of every kind we make, cut ones, and ones with bytes changed."""
    whole = [make(folder) for make in traps.TRAPS.values()] + [traps.rotated(folder, 90)]
    damaged = []
    for number, path in enumerate(whole):
        data = np.frombuffer(path.read_bytes(), np.uint8).copy()
        if not data.size:
            continue
        shorter = folder / f"cut-{number}{path.suffix}"
        shorter.write_bytes(data[: data.size * 7 // 10].tobytes())
        places = np.random.default_rng(number).integers(data.size // 4, data.size, 20)
        data[places] ^= 0x55
        changed = folder / f"changed-{number}{path.suffix}"
        changed.write_bytes(data.tobytes())
        damaged += [shorter, changed]
    assert len(whole) > 15 and len(damaged) > 30
    return [*whole, *damaged, folder / "missing.mp4", folder]


def num_descriptors(pid: int | str = "self") -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def held(pid: int | str) -> tuple[int, int]:
    """Open descriptors of a process, and bytes it has in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    resident = next(line.split() for line in status.splitlines() if line.startswith("VmRSS:"))
    return num_descriptors(pid), int(resident[1]) << 10


def children() -> list[int]:
    """Processes that we have started and that are still there, zombies included."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        found += [int(path.parent.name)] if int(fields[1]) == os.getpid() else []
    return found


@pytest.mark.parametrize("count", [1_000, 10_000], ids=lambda count: f"{count}-files")
def test_nothing_is_left_after_many_files(tmp_path, count) -> None:
    paths = many_files(tmp_path)
    before, before_threads = children(), threading.active_count()
    descriptors = num_descriptors()
    outcomes: Counter[str] = Counter()
    highest: list[int] = [0, 0]
    with GuardedReader() as reader:
        for number in range(count):
            path, spec = paths[number % len(paths)], SPECS[number % len(SPECS)]
            try:
                clip = reader.read(path, spec, sound=("skip", "mono")[number % 2]).clip
                outcomes["read"] += 1
                assert len(clip.frames) or clip.sound_status == "used" or not number % 2
            except MediaError as error:
                outcomes[type(error).__name__] += 1
            if number == WARM_UP:
                worker, first = reader.pid, [held("self"), held(reader.pid)]
            if number >= WARM_UP and number % 250 == 0:
                now = [held("self"), held(reader.pid)]
                assert reader.pid == worker, "the worker was replaced"
                assert [fds for fds, _ in now] == [fds for fds, _ in first], number
                highest = [max(a, b) for a, (_, b) in zip(highest, now, strict=True)]
        assert children() == [*before, worker]
    growth = [a - b for a, (_, b) in zip(highest, first, strict=True)]
    log.info("%s; growth of reader and worker: %s bytes", dict(outcomes), growth)
    assert max(growth) < MAX_GROWTH_BYTES
    assert outcomes["read"] > count / 4 and len(outcomes) > 4
    assert not outcomes["DecoderCrashError"] and not outcomes["DecodeTimeoutError"]
    assert children() == before and not Path(f"/proc/{worker}").exists()
    assert num_descriptors() == descriptors
    assert threading.active_count() == before_threads


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["crash", "hang"])
def test_nothing_is_left_of_workers_that_end_badly(tmp_path, number) -> None:
    path = traps.plain(tmp_path)
    before, before_threads = children(), threading.active_count()
    descriptors = num_descriptors()
    with GuardedReader() as reader:
        for _ in range(10):
            reader.limits = DecodeLimits()
            reader.read(path)
            os.kill(reader.pid, signal.SIGSTOP)
            if number == signal.SIGKILL:
                threading.Timer(0.05, os.kill, (reader.pid, signal.SIGKILL)).start()
            else:
                reader.limits = DecodeLimits(wall_s=0.1)
            with pytest.raises((DecoderCrashError, DecodeTimeoutError)):
                reader.read(path)
            assert children() == before
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    assert num_descriptors() == descriptors
    assert threading.active_count() == before_threads


def test_a_file_may_vanish_or_change_between_two_reads(tmp_path) -> None:
    path, spare = tmp_path / "clip.mp4", traps.plain(tmp_path)
    with GuardedReader() as reader:
        for content in (spare, None, traps.matroska(tmp_path), traps.empty(tmp_path), spare):
            path.unlink(missing_ok=True)
            if content is not None:
                shutil.copy(content, path)
            try:
                frames = len(reader.read(path).clip.frames)
            except MediaError:
                frames = 0
            assert (frames > 0) == (content is not None and content.stat().st_size > 0)
        opened = [str(fd.readlink()) for fd in Path(f"/proc/{reader.pid}/fd").iterdir()]
        assert opened and not [name for name in opened if str(tmp_path) in name]
