import json
import os
import resource
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from textreel.data import journal as journal_module
from textreel.data.errors import (
    FingerprintError,
    FormatError,
    JournalError,
    JournalWriteError,
    LockedError,
)
from textreel.data.journal import Entry, Journal, read_journal, run_lock


def opened(path: Path, fingerprint: str = "f") -> Journal:
    return Journal.open(path, kind="test", fingerprint=fingerprint)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "journal.jsonl"


@pytest.fixture
def filled(path: Path) -> Path:
    with opened(path) as journal:
        for number in range(4):
            journal.record(f"k{number}", {"n": number})
    return path


def test_what_is_recorded_is_read_back_now_and_later(path: Path) -> None:
    values = {"a": {"x": [1, 2.5, None]}, "b": "é\n\u2028", "c": "\ud83d", "d": 0}
    with opened(path) as journal:
        for key, value in values.items():
            journal.record(key, value)
        assert {key: journal[key] for key in journal} == values
    with opened(path) as journal:
        assert {key: journal[key] for key in journal} == values
        assert (len(journal), "a" in journal, "e" in journal) == (4, True, False)


def test_a_line_looks_as_documented(path: Path) -> None:
    with opened(path) as journal:
        journal.record("k", {"n": 1})
    header, line = path.read_bytes().splitlines()
    assert json.loads(header)["format"] == 1
    assert json.loads(header)["kind"] == "test"
    assert json.loads(header)["fingerprint"] == "f"
    body = b'{"key":"k","attempt":1,"value":{"n":1}}'
    assert line == body[:-1] + b',"checksum":"%08x"}' % zlib.crc32(body)


def test_the_last_attempt_counts_and_all_are_kept(path: Path) -> None:
    with opened(path) as journal:
        assert journal.attempt("k") == 0
        journal.record("k", "bad")
        journal.record("other", 0)
        journal.record("k", "good", attempt=3)
    with opened(path) as journal:
        assert (journal["k"], journal.attempt("k"), len(journal)) == ("good", 3, 2)
    assert list(read_journal(path, kind="test")) == [
        Entry(key="k", attempt=1, value="bad"),
        Entry(key="other", attempt=1, value=0),
        Entry(key="k", attempt=3, value="good"),
    ]


def test_the_same_attempt_twice_is_refused(filled: Path) -> None:
    size = filled.stat().st_size
    with (
        opened(filled) as journal,
        pytest.raises(JournalError, match=r"'k0' is recorded already \(attempt 1\), so attempt 1"),
    ):
        journal.record("k0", 5)
    assert filled.stat().st_size == size


def test_a_journal_cut_anywhere_keeps_every_whole_line(
    filled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = filled.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == 0x0A]
    for size in [ends[0], *range(ends[-2] - 1, len(whole) + 1)]:
        filled.write_bytes(whole[:size])
        caplog.clear()
        keys = [e.key for e in read_journal(filled, kind="test")]
        with opened(filled) as journal:
            assert (
                list(journal) == keys == [f"k{i}" for i in range(sum(e <= size for e in ends) - 1)]
            )
        torn = size - max(e for e in ends if e <= size)
        assert filled.stat().st_size == size - torn
        assert caplog.messages == (
            [f"{filled}: cut a torn last line of {torn} bytes"] if torn else []
        )
    assert len(ends) == 5


def test_work_goes_on_after_a_torn_line(filled: Path) -> None:
    with filled.open("ab") as file:
        file.write(b'{"key":"k4","att')
    with opened(filled) as journal:
        journal.record("k4", 4)
    assert [e.key for e in read_journal(filled, kind="test")] == ["k0", "k1", "k2", "k3", "k4"]


def test_zeros_after_a_power_cut_are_cut(filled: Path) -> None:
    size = filled.stat().st_size
    with filled.open("ab") as file:
        file.write(bytes(5000))
    with opened(filled) as journal:
        assert len(journal) == 4
    assert filled.stat().st_size == size


@pytest.mark.parametrize("number", [2, 3, 4])
def test_a_damaged_line_in_the_middle_is_an_error_with_its_number(
    filled: Path, number: int
) -> None:
    lines = filled.read_bytes().splitlines(keepends=True)
    lines[number - 1] = lines[number - 1].replace(b'"n":', b'"m":')
    damaged = b"".join(lines)
    filled.write_bytes(damaged)
    with pytest.raises(JournalError, match=f"line {number} is damaged, and lines follow it") as e:
        opened(filled)
    assert "delete" in e.value.hint
    assert filled.read_bytes() == damaged
    with pytest.raises(JournalError, match=f"line {number} is damaged"):
        list(read_journal(filled, kind="test"))
    with run_lock(filled):
        """A refused journal is not left locked."""


def test_other_settings_are_refused_and_both_shown(filled: Path) -> None:
    with pytest.raises(FingerprintError, match="has fingerprint f, this job has g") as caught:
        opened(filled, "g")
    assert "settings" in caught.value.hint


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b'{"format":2,"kind":"test","version":"9.0"}\n', "has format 2, written by textreel 9.0"),
        (b'{"format":1,"kind":"store"}\n', "holds 'store', expected 'test'"),
        (b"my topics\nand more\n", "is no test file of textreel"),
        (b"\x00\xff" * 100_000, "is no test file of textreel"),
    ],
)
def test_a_file_that_is_no_journal_of_this_job_is_refused_and_left_alone(
    path: Path, header: bytes, message: str
) -> None:
    path.parent.mkdir()
    path.write_bytes(header)
    with pytest.raises(FormatError, match=message):
        opened(path)
    assert path.read_bytes() == header


def test_an_empty_file_is_a_new_journal(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    with opened(path) as journal:
        assert len(journal) == 0


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"x"])
def test_a_value_that_is_no_json_is_refused(path: Path, value: object) -> None:
    with opened(path) as journal:
        with pytest.raises(JournalError, match="the value of 'k' is no JSON"):
            journal.record("k", value)
        journal.record("k", 1)


def test_a_second_writer_is_told_the_pid_of_the_first(path: Path) -> None:
    with (
        opened(path),
        pytest.raises(LockedError, match=f"is being written by process {os.getpid()}$") as caught,
    ):
        opened(path)
    assert caught.value.exit_code == 2
    opened(path).close()


def test_a_lock_may_be_taken_before_its_folder_exists_and_by_any_thread(tmp_path: Path) -> None:
    target = tmp_path / "runs" / "a"
    with run_lock(target):
        target.mkdir()
        with pytest.raises(LockedError), run_lock(target / "." / ".." / "a"):
            pytest.fail("two holders")
        (tmp_path / "runs" / ".a.lock.pid").write_text("77 elsewhere")
        with pytest.raises(LockedError, match="process 77 on elsewhere"), run_lock(target):
            pytest.fail("two holders")
        (tmp_path / "runs" / ".a.lock.pid").unlink()
        with pytest.raises(LockedError, match="another process that took it"), run_lock(target):
            pytest.fail("two holders")
    with run_lock(target):
        assert (tmp_path / "runs" / ".a.lock.pid").read_text().split()[0] == str(os.getpid())


def test_a_journal_closed_by_another_thread_is_free_again(path: Path) -> None:
    thread = threading.Thread(target=opened(path).close)
    thread.start()
    thread.join()
    again = opened(path)
    assert len(again) == 0
    again.close()


def test_closing_twice_is_allowed(path: Path) -> None:
    journal = opened(path)
    journal.record("k", 1)
    journal.close()
    journal.close()
    again = opened(path)
    assert again["k"] == 1
    again.close()


def test_another_process_may_not_record_through_an_inherited_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as journal:
        me = os.getpid()
        monkeypatch.setattr(journal_module.os, "getpid", lambda: me + 1)
        with pytest.raises(JournalError, match=f"opened by process {me} and is used by {me + 1}"):
            journal.record("k", 1)
        monkeypatch.undo()


def test_a_full_disk_takes_back_the_line_and_keeps_the_rest(path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(path) as journal:
        journal.record("k0", 0)
        size = path.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, before[1]))
        try:
            with pytest.raises(JournalWriteError, match="cannot be written after 1 units") as e:
                journal.record("k1", 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert "the last line was taken back" in str(e.value)
        assert path.stat().st_size == size
        journal.record("k1", "second try")
    assert [e.key for e in read_journal(path, kind="test")] == ["k0", "k1"]


def test_a_failed_fsync_is_reported_by_the_next_call(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError("the disk is gone")

    journal = opened(path)
    monkeypatch.setattr(journal_module.os, "fsync", broken)
    journal.record("k", 1)
    wait_until(lambda: journal._failure is not None)
    with pytest.raises(JournalWriteError, match=r"the disk is gone.*may be lost"):
        journal.record("l", 1)
    journal._failure = None
    with pytest.raises(JournalWriteError, match="the disk is gone"):
        journal.close()
    monkeypatch.undo()
    opened(path).close()


def test_one_fsync_serves_many_lines_and_begins_soon(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[float] = []
    real = os.fsync
    with opened(path) as journal:
        monkeypatch.setattr(
            journal_module.os, "fsync", lambda fd: (calls.append(time.monotonic()), real(fd))
        )
        start = time.monotonic()
        for number in range(200):
            last = time.monotonic()
            journal.record(str(number), number)
        wait_until(lambda: bool(calls) and calls[-1] >= last)
        count, spent_s = len(calls), time.monotonic() - start
    assert count <= 1 + spent_s / journal_module._GATHER_S
    assert journal_module._GATHER_S < 0.010


def test_many_threads_may_record(path: Path) -> None:
    with opened(path) as journal:
        threads = [
            threading.Thread(target=lambda t=t: [journal.record(f"{t}-{i}", i) for i in range(50)])
            for t in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {key: journal[key] for key in journal} == {
            f"{t}-{i}": i for t in range(8) for i in range(50)
        }
    assert len(list(read_journal(path, kind="test"))) == 400


def test_a_line_changed_under_an_open_journal_is_noticed(filled: Path) -> None:
    with opened(filled) as journal:
        filled.write_bytes(filled.read_bytes().replace(b'"n":2', b'"n":9'))
        with pytest.raises(JournalError, match="the line of 'k2' changed while"):
            journal["k2"]
        with pytest.raises(KeyError, match="k9"):
            journal["k9"]


@pytest.mark.slow
def test_no_finished_unit_is_lost_or_doubled_by_kills_at_random_moments(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("kill_journal.py")), str(path), "12", "1"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["counts"]
    assert len(counts) == 12
    assert counts[-1] > 30, "the writers hardly wrote, so the test shows nothing"


def wait_until(condition: Callable[[], bool], *, limit_s: float = 2.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)
