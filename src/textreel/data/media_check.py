"""Decoding every file of a folder, to know which ones a long job would stumble over.

    files  --guarded workers side by side-->  a row each: fine, fine with a note, or bad and why

Nothing is written but the quarantine, and nothing is repaired.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from textreel.data.media_files import MediaFile
from textreel.data.quarantine import Quarantine
from textreel.media.errors import MediaError
from textreel.media.look import Look
from textreel.media.pool import ReaderPool, run_ahead
from textreel.media.sampling import SamplingSpec
from textreel.media.sound import SoundMode

AHEAD_PER_WORKER = 8
Show = Callable[[str, int, int, str], None]
"""Told the phase, how much of it is done, how much there is, and a note."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileRow:
    """What was found in one file.

    Attributes:
        path: the file.
        kind: empty for a good file, else the name of its error.
        message: what is wrong, empty for a good file.
        frames: how many would be read.
        sound: what became of its sound, empty for a bad file.
        notes: what is unusual about a good file.
    """

    path: str
    kind: str = ""
    message: str = ""
    frames: int = 0
    sound: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaCheck:
    """What was found in all files. JSON values only.

    Attributes:
        files: how many were looked at.
        good: how many could be read, those with notes among them.
        bad: how many could not.
        bad_by_kind: those by kind of error, most frequent first.
        noted: good ones about which something is unusual.
        sound: good ones by what became of their sound.
        seconds: wall time.
        files_per_s: files looked at per second of it.
        rows: one per bad or noted file, or per file, in the order of the files.
    """

    files: int
    good: int
    bad: int
    bad_by_kind: dict[str, int]
    noted: int
    sound: dict[str, int]
    seconds: float
    files_per_s: float
    rows: tuple[FileRow, ...]


def check_media(
    files: Sequence[MediaFile],
    pool: ReaderPool,
    *,
    spec: SamplingSpec | None = None,
    sound: SoundMode = "check",
    quarantine: Quarantine | None = None,
    show: Show = lambda phase, done, total, note: None,
) -> MediaCheck:
    """Decode what `spec` asks for of every file.

    Args:
        files: what `find_media` found.
        pool: the workers.
        spec: which frames; 8 segment centres where None.
        sound: `skip` leaves the sound alone; `check` decodes all of it and keeps nothing.
        quarantine: takes the bad files; its limit is not checked here, so that all are seen.
        show: told about every file.

    Returns:
        The counts, and a row for every file.
    """
    start_s = time.monotonic()
    rows: list[FileRow] = []
    bad = 0

    def submit(file: MediaFile) -> "Future[Look]":
        return pool.submit(lambda r: r.look(file.path, spec, sound=sound, describe=False))

    for file, task in run_ahead(files, submit, ahead=AHEAD_PER_WORKER * pool.workers):
        row = _row(file, task)
        rows.append(row)
        if row.kind:
            bad += 1
            if quarantine is not None:
                quarantine.add(str(file.path), source=row.path, code=row.kind, message=row.message)
        rate = len(rows) / max(time.monotonic() - start_s, 1e-9)
        show("files", len(rows), len(files), f"{rate:.1f} files/s, {bad} bad")
    return _summed(rows, seconds=time.monotonic() - start_s)


def _row(file: MediaFile, task: "Future[Look]") -> FileRow:
    path = str(file.path)
    try:
        found = task.result()
    except MediaError as error:
        return FileRow(path=path, kind=type(error).__name__, message=error.cause)
    return FileRow(
        path=path,
        frames=len(found.frame_times_s),
        sound=found.sound_status,
        notes=found.notes,
    )


def _summed(rows: Sequence[FileRow], *, seconds: float) -> MediaCheck:
    kinds = Counter(row.kind for row in rows if row.kind)
    good = [row for row in rows if not row.kind]
    return MediaCheck(
        files=len(rows),
        good=len(good),
        bad=len(rows) - len(good),
        bad_by_kind=dict(sorted(kinds.items(), key=lambda item: (-item[1], item[0]))),
        noted=sum(bool(row.notes) for row in good),
        sound=dict(sorted(Counter(row.sound for row in good).items())),
        seconds=seconds,
        files_per_s=len(rows) / max(seconds, 1e-9),
        rows=tuple(rows),
    )
