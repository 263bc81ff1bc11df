import io
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.media import traps
from textreel.media import serving, worker
from textreel.media.decode import decode_clip
from textreel.media.errors import DecoderCrashError, DecodeTimeoutError, EmptyFileError
from textreel.media.sampling import SamplingSpec
from textreel.media.worker import DecodeLimits, GuardedReader


def answer_to(path, *, only: dict | None = None, **changes) -> dict:
    """What the parent gets for a request, without another process."""
    request = (
        only
        or {
            "path": str(path),
            "spec": SamplingSpec(num_frames=3).to_dict(),
            "sound": "mono",
            "sound_rate_hz": 16000,
            "stream_index": None,
            "cpu_s": 10.0,
        }
        | changes
    )
    pipe, answers = io.BytesIO(), queue.SimpleQueue()
    serving._answer(request, pipe, queue.SimpleQueue())
    pipe.seek(0)
    worker._collect(pipe, answers)
    messages = [answers.get() for _ in range(answers.qsize())]
    assert messages[-1] is None
    return next(message for message in messages if message and message["kind"] != "alive")


@pytest.fixture
def no_limit(monkeypatch) -> None:
    monkeypatch.setattr(serving, "_limit_cpu", lambda seconds: None)


def test_a_clip_crosses_the_pipe_unchanged(tmp_path, no_limit) -> None:
    path = traps.plain(tmp_path)
    there = worker._decoded(answer_to(path))
    here = decode_clip(path, SamplingSpec(num_frames=3), sound="mono")
    assert np.array_equal(there.clip.frames, here.clip.frames)
    assert np.array_equal(there.clip.frame_times_s, here.clip.frame_times_s)
    assert np.array_equal(there.clip.sound, here.clip.sound)
    assert (there.notes, there.work, repr(there.clip)) == (here.notes, here.work, repr(here.clip))


def test_a_sound_file_crosses_the_pipe(tmp_path, no_limit) -> None:
    clip = worker._decoded(answer_to(traps.wave(tmp_path))).clip
    assert clip.frames.shape == (0, 3, 0, 0) and clip.sound.shape == (1, 16000)


def test_an_error_crosses_the_pipe_with_its_fields(tmp_path, no_limit) -> None:
    error = worker._error(answer_to(traps.empty(tmp_path)))
    assert isinstance(error, EmptyFileError) and error.hint == "download or copy the file again"
    assert str(error).endswith("empty.mp4: the file is empty (0 bytes)")


def test_a_worker_that_dies_in_the_middle_of_a_clip_gave_none(tmp_path, no_limit) -> None:
    pipe = io.BytesIO()
    head = {"kind": "clip", "arrays": {"frames": ("uint8", [1, 1, 1, 4])}}
    serving._send(pipe, head, np.ones(4, np.uint8))
    for cut, given in ((0, 1), (1, 0), (4, 0), (9, 0)):
        answers: queue.SimpleQueue = queue.SimpleQueue()
        worker._collect(io.BytesIO(pipe.getvalue()[: len(pipe.getvalue()) - cut]), answers)
        messages = [answers.get() for _ in range(answers.qsize())]
        assert (
            sum(message is not None and message["kind"] == "clip" for message in messages) == given
        )
        assert messages[-1] is None


def test_limits_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"cpu_s=0, wall_s=60.0 must be > 0"):
        DecodeLimits(cpu_s=0)


def test_unknown_sound_modes_are_refused_without_a_process(tmp_path) -> None:
    with GuardedReader() as reader:
        with pytest.raises(ValueError, match="sound='both': must be one of skip, check, mono, all"):
            reader.read(tmp_path / "a.mp4", sound="both")
        assert reader.pid is None


@pytest.fixture
def reader(monkeypatch) -> GuardedReader:
    """One whose process is not there; `ended` says how often it was ended."""
    reader = GuardedReader()
    reader.ended = 0
    monkeypatch.setattr(reader, "_running", lambda: SimpleNamespace(stdin=io.BytesIO()))
    monkeypatch.setattr(reader, "_kill", lambda: setattr(reader, "ended", reader.ended + 1))
    return reader


def test_an_interrupted_reading_ends_the_worker_or_its_answer_would_be_taken_for_another(
    reader, monkeypatch
) -> None:
    def interrupt(source: str) -> dict:
        raise KeyboardInterrupt

    monkeypatch.setattr(reader, "_wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        reader.read("a.mp4")
    assert reader.ended == 1


@pytest.mark.parametrize("error", [RuntimeError("no room"), EmptyFileError("b.mp4", "is empty")])
def test_an_error_of_the_taker_ends_the_worker_also_a_media_error(reader, error) -> None:
    def fail(part) -> None:
        raise error

    part = {"kind": "part", "frames": np.zeros((1, 3, 2, 2), np.uint8), "times_s": np.zeros(1)}
    reader._answers.put(part)
    with pytest.raises(type(error)) as caught:
        reader.read_parts("a.mp4", hand_on=fail)
    assert caught.value is error and reader.ended == 1


def test_a_file_that_cannot_be_read_costs_no_worker(reader) -> None:
    fields = {"type": "EmptyFileError", "source": "a.mp4", "cause": "is empty", "hint": ""}
    reader._answers.put({"kind": "error"} | fields)
    with pytest.raises(EmptyFileError, match=r"a\.mp4: is empty"):
        reader.read("a.mp4")
    assert reader.ended == 0


def gone(pid: int) -> bool:
    """Whether a process ended within some seconds."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.slow
def test_one_worker_reads_many_files_and_ends_with_the_block(tmp_path) -> None:
    with GuardedReader() as reader:
        first = reader.read(traps.plain(tmp_path), sound="mono")
        pid = reader.pid
        with pytest.raises(EmptyFileError):
            reader.read(traps.empty(tmp_path))
        second = reader.read(traps.plain(tmp_path), sound="mono")
        assert reader.pid == pid
    assert np.array_equal(first.clip.frames, second.clip.frames)
    assert reader.pid is None and gone(pid)


@pytest.mark.slow
def test_parts_come_one_after_the_other_and_an_error_of_the_taker_ends_the_worker(
    tmp_path, monkeypatch
) -> None:
    path = traps.short_gops(tmp_path)
    spec, found = SamplingSpec(policy="every_frame"), []
    with GuardedReader() as reader:
        whole = reader.read(path, spec).clip
        pid = reader.pid
        decoded = reader.read_parts(path, spec, hand_on=found.append)
        assert reader.pid == pid and len(decoded.clip.frames) == 0
        assert np.array_equal(np.concatenate([part.frames for part in found]), whole.frames)
        assert decoded.times_s.tolist() == whole.frame_times_s.tolist()

        def fail(part) -> None:
            raise RuntimeError("no room")

        with pytest.raises(RuntimeError, match="no room"):
            reader.read_parts(path, spec, hand_on=fail)
        assert gone(pid)
        with pytest.raises(EmptyFileError):
            reader.read_parts(traps.empty(tmp_path), spec, hand_on=found.append)
        assert len(reader.read(path, spec).clip.frames) == 200


@pytest.mark.slow
def test_a_hanging_worker_is_killed_and_replaced(tmp_path) -> None:
    path = traps.plain(tmp_path)
    with GuardedReader() as reader:
        reader.read(path)
        pid = reader.pid
        os.kill(pid, signal.SIGSTOP)
        reader.limits = DecodeLimits(wall_s=0.3)
        with pytest.raises(
            DecodeTimeoutError, match=r"no progress in 0.3 s of wall time"
        ) as caught:
            reader.read(path)
        assert isinstance(caught.value, TimeoutError) and gone(pid)
        reader.limits = DecodeLimits()
        assert len(reader.read(path).clip.frames) == 8 and reader.pid != pid


@pytest.mark.slow
def test_a_crash_is_an_error_that_names_the_file(tmp_path) -> None:
    path = traps.plain(tmp_path)
    with GuardedReader() as reader:
        reader.read(path)
        os.kill(reader.pid, signal.SIGSTOP)
        threading.Timer(0.2, os.kill, (reader.pid, signal.SIGKILL)).start()
        with pytest.raises(DecoderCrashError, match=r"plain.mp4: the decoding process died on it"):
            reader.read(path)
        assert len(reader.read(path).clip.frames) == 8


@pytest.mark.slow
def test_a_fault_of_ours_is_told_by_name_and_costs_one_file(tmp_path, monkeypatch) -> None:
    path = traps.plain(tmp_path)
    broken = worker.BOOT.replace("serve(int", "serving.decode_clip = None; serve(int")
    broken = broken.replace("import serve", "import serve; from textreel.media import serving")
    with GuardedReader() as reader:
        monkeypatch.setattr(worker, "BOOT", broken)
        with pytest.raises(
            DecoderCrashError,
            match=r"plain.mp4: the decoding process failed on it: TypeError: 'None",
        ):
            reader.read(path)
        monkeypatch.undo()
        assert len(reader.read(path).clip.frames) == 8


@pytest.mark.slow
def test_a_worker_that_died_between_files_is_replaced(tmp_path) -> None:
    path = traps.plain(tmp_path)
    with GuardedReader() as reader:
        reader.read(path)
        os.kill(reader.pid, signal.SIGKILL)
        reader._process.wait()
        assert len(reader.read(path).clip.frames) == 8


@pytest.mark.slow
def test_the_cpu_limit_holds_inside_the_decoder(shared) -> None:
    path = shared / "media" / "real" / "imageio_cockatoo.mp4"
    with (
        GuardedReader(DecodeLimits(cpu_s=0.01)) as reader,
        pytest.raises(DecodeTimeoutError, match=r"needs more than 0.01 CPU seconds"),
    ):
        reader.read(path, SamplingSpec(policy="every_frame"))


@pytest.mark.slow
def test_a_worker_never_outlives_its_parent(tmp_path) -> None:
    code = (
        "import sys, time; from textreel.media.worker import GuardedReader; "
        "reader = GuardedReader(); reader.read(sys.argv[1]); "
        "print(reader.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(traps.plain(tmp_path))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
    assert gone(pid)


@pytest.mark.slow
def test_decoding_imports_neither_torch_nor_much_else() -> None:
    code = (
        "import sys; import textreel.media.worker; "
        "print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'av'" in out.stdout and "'numpy'" in out.stdout
    for heavy in ("torch", "transformers", "PIL", "pydantic", "rich", "typer"):
        assert f"'{heavy}'" not in out.stdout


def test_reading_leaks_no_descriptor(tmp_path) -> None:
    good, bad = traps.plain(tmp_path), traps.without_index(tmp_path)
    before = sum(1 for _ in Path("/dev/fd").iterdir())
    for _ in range(20):
        decode_clip(good, sound="mono")
        with pytest.raises(ValueError, match="without its index"):
            decode_clip(bad)
    assert sum(1 for _ in Path("/dev/fd").iterdir()) == before
