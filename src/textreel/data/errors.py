"""Errors of this room: what a user's files and settings can cause, each with a way out.

Every error carries `exit_code` (1 runtime, 2 usage or configuration, 3 too much bad data) and a
`hint`, which the command line prints after the message. All of them survive pickling, so a worker
process can raise them.
"""

from typing import ClassVar


class HintedError(Exception):
    """One message, and one way out beside it; every error of this room is one."""

    exit_code: ClassVar[int] = 1
    hint: str = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class TakenError(HintedError, FileExistsError):
    """Something is already where a result should go."""

    exit_code: ClassVar[int] = 2


class FormatError(HintedError, ValueError):
    """A file is of another kind, or written by a newer textreel."""

    exit_code: ClassVar[int] = 2


class CorpusError(HintedError, ValueError):
    """An annotation file that cannot be read as asked."""

    exit_code: ClassVar[int] = 2


class FingerprintError(HintedError, ValueError):
    """A file belongs to a job with other settings."""

    exit_code: ClassVar[int] = 2


class LockedError(HintedError, RuntimeError):
    """Another process is writing the same thing."""

    exit_code: ClassVar[int] = 2


class JournalError(HintedError, ValueError):
    """A journal is damaged, or was asked for something it does not hold."""


class JournalWriteError(HintedError, OSError):
    """A journal could not be written (full disk, quota); finished lines are intact."""


class ShardError(HintedError, ValueError):
    """A shard that does not exist, or items that cannot be split."""

    exit_code: ClassVar[int] = 2


class TooManyBadError(HintedError, RuntimeError):
    """More bad samples than the user allowed."""

    exit_code: ClassVar[int] = 3


class TextualDataError(HintedError, ValueError):
    """Textual videos that cannot be read or written as they are.

    Attributes:
        line: line of the file, from 1, where the fault is in its JSON; else 0.
    """

    line: int = 0
