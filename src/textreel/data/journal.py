"""`Journal`: what a long job has finished, one line per unit, so that a killed job repeats nothing.

    {"format": 1, "kind": "predict", "version": "0.1.0", "fingerprint": "9f86d081884c7d65"}
    {"key":"clip-7","attempt":1,"value":{"answer":2},"checksum":"5d41402a"}

- A line reaches the operating system before `record` returns, so SIGKILL loses no finished unit;
  one fsync for all lines of the last few milliseconds protects them from a power cut as well.
- The checksum is the CRC-32 of the line without it. A broken last line is cut on opening and
  logged; a broken line before it is an error, for it cannot come from a kill.
- The fingerprint names the job's settings; a journal of other settings is refused.
- Values stay on disk: memory holds a key, an attempt and an offset per unit.
"""

import json
import logging
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from textreel.data.errors import FingerprintError, JournalError, JournalWriteError
from textreel.data.files import Json, check_header, make_header, write_atomic
from textreel.data.locks import run_lock

__all__ = ["Entry", "Journal", "read_journal", "run_lock"]

_log = logging.getLogger("textreel.data")
_GATHER_S = 0.005
"""How long lines are gathered for one fsync; with the waking of a thread it begins within 10 ms."""
_MAX_HEADER_BYTES = 65_536
_CHECKSUM_BYTES = len(b',"checksum":"01234567"}\n')


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One finished unit: its key, which attempt (from 1) it was, and its JSON value."""

    key: str
    attempt: int
    value: Json


class Journal:
    """An append-only file of finished units, written by one process at a time.

    `record`, look-ups and `flush` may be called from any thread of the process that opened it.
    """

    def __init__(self, path: Path, *, file: IO[bytes], reader: IO[bytes], held: ExitStack) -> None:
        self.path = path
        self._file, self._reader, self._held = file, reader, held
        self._pid = os.getpid()
        self._index: dict[str, tuple[int, int]] = {}
        self._end = 0
        self._lock = threading.Lock()
        self._failure: OSError | None = None
        self._written, self._closing = threading.Event(), False
        self._syncer: threading.Thread | None = None

    @classmethod
    def open(cls, path: Path | str, *, kind: str, fingerprint: str) -> Self:
        """Open a journal for writing, made if it is not there, and lock it.

        Args:
            path: the file; missing parent folders are made.
            kind: what sort of job writes it, such as `predict`.
            fingerprint: name of the job's settings (`files.fingerprint`).

        Raises:
            LockedError: another process has it open; the message names its pid.
            FormatError: no journal, another kind, or a newer format. The file stays as it is.
            FingerprintError: made by a job with other settings; both are named.
            JournalError: a line other than the last is damaged; the message names its number.
        """
        path = Path(path)
        with ExitStack() as held:
            held.enter_context(run_lock(path))
            if not path.exists() or path.stat().st_size == 0:
                header = json.dumps(make_header(kind, fingerprint=fingerprint))
                write_atomic(path, header + "\n")
            reader = held.enter_context(path.open("rb"))
            file = held.enter_context(path.open("ab", buffering=0))
            journal = cls(path, file=file, reader=reader, held=held)
            journal._load(kind, fingerprint)
            journal._held = held.pop_all()
        return journal

    def record(self, key: str, value: object, *, attempt: int = 1) -> None:
        """Append one finished unit; it survives a kill as soon as this returns.

        Args:
            key: name of the unit.
            value: anything JSON holds (tuples come back as lists); NaN is refused.
            attempt: from 1; a later record of the same key needs a higher one.

        Raises:
            JournalError: the key has this attempt already, the value is no JSON, or the journal is
                used by another process than the one that opened it.
            JournalWriteError: the disk refuses; what was recorded before is intact.
        """
        if os.getpid() != self._pid:
            raise JournalError(
                f"{self.path} was opened by process {self._pid} and is used by {os.getpid()}",
                hint="open a journal in the process that records into it",
            )
        line = self._line(key, attempt, value)
        with self._lock:
            self._refuse_after_failure()
            if attempt <= self._index.get(key, (0, 0))[0]:
                raise JournalError(
                    f"{self.path}: {key!r} is recorded already (attempt {self._index[key][0]}), "
                    f"so attempt {attempt} cannot be added",
                    hint="skip keys that are in the journal",
                )
            self._append(line)
            self._index[key] = (attempt, self._end)
            self._end += len(line)
            if self._syncer is None:
                self._syncer = threading.Thread(target=self._sync_often, daemon=True)
                self._syncer.start()
        self._written.set()

    def __contains__(self, key: object) -> bool:
        return key in self._index

    def __len__(self) -> int:
        """Return the number of different keys."""
        return len(self._index)

    def __iter__(self) -> Iterator[str]:
        """Yield the keys in the order in which each was first recorded."""
        return iter(tuple(self._index))

    def __getitem__(self, key: str) -> Json:
        """Return the value of a key's last attempt, read from the file."""
        with self._lock:
            self._reader.seek(self._index[key][1])
            entry = _parse(self._reader.readline())
        if entry is None or entry.key != key:
            raise JournalError(
                f"{self.path}: the line of {key!r} changed while the journal was open",
                hint="nothing else may write this file; start again",
            )
        return entry.value

    def attempt(self, key: str) -> int:
        """Return the number of the last recorded attempt, 0 if there is none."""
        return self._index.get(key, (0, 0))[0]

    def flush(self) -> None:
        """Return when everything recorded so far is on the disk itself."""
        self._refuse_after_failure()
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._lost(error) from error

    def close(self) -> None:
        """Flush, close and unlock; closing twice is allowed."""
        if self._file.closed:
            return
        self._closing = True
        self._written.set()
        try:
            if self._syncer is not None:
                self._syncer.join()
            self.flush()
        finally:
            self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _load(self, kind: str, fingerprint: str) -> None:
        header = _read_header(self._reader, kind=kind, path=self.path)
        if header.get("fingerprint") != fingerprint:
            raise FingerprintError(
                f"{self.path} belongs to a job with other settings: it has fingerprint "
                f"{header.get('fingerprint')}, this job has {fingerprint}",
                hint="repeat the settings it was started with, or choose another output",
            )
        self._end = self._reader.tell()
        torn = 0
        for offset, line, entry in _entries(self._reader, path=self.path):
            if entry is None:
                torn = len(line)
                break
            self._index[entry.key] = (entry.attempt, offset)
            self._end = offset + len(line)
        if torn:
            _log.warning("%s: cut a torn last line of %d bytes", self.path, torn)
            self._file.truncate(self._end)

    def _line(self, key: str, attempt: int, value: object) -> bytes:
        try:
            body = json.dumps(
                {"key": key, "attempt": attempt, "value": value},
                separators=(",", ":"),
                allow_nan=False,
            ).encode()
        except (TypeError, ValueError) as error:
            raise JournalError(
                f"{self.path}: the value of {key!r} is no JSON: {error}",
                hint="record numbers, texts, lists and dictionaries",
            ) from error
        return b'%s,"checksum":"%08x"}\n' % (body[:-1], zlib.crc32(body))

    def _append(self, line: bytes) -> None:
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._file.truncate(self._end)
            raise self._lost(error, "the last line was taken back") from error

    def _sync_often(self) -> None:
        pause = threading.Event()
        while not self._closing:
            self._written.wait()
            pause.wait(_GATHER_S)
            self._written.clear()
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                self._failure = error
                return

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise self._lost(self._failure)

    def _lost(
        self, error: OSError, consequence: str = "the last lines may be lost"
    ) -> JournalWriteError:
        return JournalWriteError(
            f"{self.path} cannot be written after {len(self._index)} units ({error}); "
            f"{consequence}",
            hint="make room on the disk, then start the same command again",
        )


def read_journal(path: Path | str, *, kind: str) -> Iterator[Entry]:
    """Yield every entry in order, all attempts, without locking or changing the file.

    The file may be being written: a torn last line is not yielded.

    Raises:
        FormatError: no journal, another kind, or a newer format.
        JournalError: a line other than the last is damaged.
    """
    with Path(path).open("rb") as file:
        _read_header(file, kind=kind, path=path)
        for _, _, entry in _entries(file, path=path):
            if entry is not None:
                yield entry


def _read_header(file: IO[bytes], *, kind: str, path: Path | str) -> dict[str, Any]:
    try:
        header = json.loads(file.readline(_MAX_HEADER_BYTES))
    except ValueError:
        header = None
    return dict(check_header(header, kind=kind, path=path))


def _entries(file: IO[bytes], *, path: Path | str) -> Iterator[tuple[int, bytes, Entry | None]]:
    """Yield offset, bytes and entry of every line; the entry of a broken last line is None."""
    offset = file.tell()
    broken: tuple[int, bytes, None] | None = None
    for number, line in enumerate(file, start=2):
        if broken is not None:
            raise JournalError(
                f"{path}: line {number - 1} is damaged, and lines follow it",
                hint="restore the file from a copy; to go on without the damaged unit, delete "
                "that line, and the unit is done again",
            )
        entry = _parse(line)
        if entry is None:
            broken = (offset, line, None)
        else:
            yield offset, line, entry
        offset += len(line)
    if broken is not None:
        yield broken


def _parse(line: bytes) -> Entry | None:
    body = line[:-_CHECKSUM_BYTES] + b"}"
    if line[-_CHECKSUM_BYTES:] != b',"checksum":"%08x"}\n' % zlib.crc32(body):
        return None
    raw = json.loads(body)
    return Entry(key=raw["key"], attempt=raw["attempt"], value=raw["value"])
