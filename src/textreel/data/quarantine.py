"""`Quarantine`: bad samples with their reasons, counted, and limited by what the user allows.

    {"id": "v17", "source": "textvid.json", "line": 212, "code": "answer", "message": "..."}

A bad sample is set aside here and left out; it is never replaced by another one. A run that is
repeated finds its earlier entries again and does not count them twice.
"""

import json
import logging
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from textreel.data.errors import FormatError, HintedError, TooManyBadError
from textreel.data.files import write_atomic

_log = logging.getLogger("textreel.data")
_HINT_LIMIT = "give a number such as 20, a share such as 1%, or nothing for no limit"


@dataclass(frozen=True, kw_only=True, slots=True)
class BadSample:
    """One sample that was set aside.

    Attributes:
        id: its name, or the best there is where it has none.
        source: the file or data set it came from.
        code: one or two words that name the kind of fault, for counting.
        message: what is wrong, where, and how much of it.
        line: line in the source, from 1, where there is one.
    """

    id: str
    source: str
    code: str
    message: str
    line: int | None = None


class LimitError(HintedError, ValueError):
    """A text that is no limit on the number of bad samples."""

    exit_code: ClassVar[int] = 2


class Quarantine:
    """The bad samples of one job.

    Args:
        path: JSON lines file that is appended to; None keeps the entries in memory only.
        max_bad: how many `check` allows: a number (`20`, `"20"`), a share of the total (`"1%"`),
            or None for no limit.

    Raises:
        LimitError: `max_bad` is none of these.
        FormatError: the file at `path` holds something else; it is left as it is.
    """

    def __init__(self, path: Path | str | None = None, *, max_bad: int | str | None = "1%") -> None:
        self.path = None if path is None else Path(path)
        self.max_bad = max_bad
        self._allowed(total=0)
        self._samples: dict[BadSample, None] = {}
        if self.path is not None and self.path.exists():
            self._load(self.path)

    def add(
        self, id: str, *, source: str, code: str, message: str, line: int | None = None
    ) -> None:
        """Set one sample aside; the very same entry a second time changes nothing."""
        sample = BadSample(id=id, source=source, line=line, code=code, message=message)
        if sample in self._samples:
            return
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                file.write(_line(sample))
        self._samples[sample] = None

    def start_again(self, ids: Collection[str]) -> None:
        """Begin another run over `ids`, which will be looked at again.

        Their earlier entries are taken out, so that a sample that was mended leaves the list. Those
        of other samples stay in the file, but are this job's no longer: neither counted nor
        limited.
        """
        kept = [sample for sample in self._samples if sample.id not in ids]
        if self.path is not None and len(kept) < len(self._samples):
            write_atomic(self.path, b"".join(map(_line, kept)))
        self._samples = {}

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[BadSample]:
        return iter(tuple(self._samples))

    def summary(self) -> dict[str, int]:
        """Return the number of entries per code, most frequent first, ties by name."""
        counts = Counter(sample.code for sample in self._samples)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def check(self, total: int) -> None:
        """Stop the job if too much is bad.

        Args:
            total: samples looked at, good and bad; for a job under way, the number planned.

        Raises:
            TooManyBadError: more than `max_bad` entries; the message counts them per code.
        """
        allowed = self._allowed(total=total)
        if allowed is None or len(self) <= allowed:
            return
        first = next(iter(self._samples))
        place = first.source + ("" if first.line is None else f" line {first.line}")
        counts = ", ".join(f"{count} {code}" for code, count in self.summary().items())
        raise TooManyBadError(
            f"{len(self)} of {total} samples are bad, {self.max_bad} allowed: {counts} "
            f"(first: {first.id!r} in {place}: {first.message})",
            hint="mend them or raise --max-bad"
            + ("" if self.path is None else f"; all are listed in {self.path}"),
        )

    def _allowed(self, *, total: int) -> float | None:
        if self.max_bad is None:
            return None
        text = str(self.max_bad).strip()
        try:
            number = float(text[:-1]) * total / 100 if text.endswith("%") else float(int(text))
            fine = number >= 0 and (not text.endswith("%") or float(text[:-1]) <= 100)
        except ValueError:
            fine = False
        if not fine:
            raise LimitError(
                f"max_bad={self.max_bad!r} is no limit: {_HINT_LIMIT}",
                hint="a share is of all samples of the job",
            )
        return number

    def _load(self, path: Path) -> None:
        content = path.read_bytes()
        whole, _, torn = content.rpartition(b"\n")
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                self._samples[BadSample(**json.loads(line))] = None
            except (TypeError, ValueError) as error:
                raise FormatError(
                    f"{path} line {number} is no quarantine entry: {error}",
                    hint="choose another output, or move the file away",
                ) from error
        if torn:
            _log.warning("%s: cut a torn last line of %d bytes", path, len(torn))
            with path.open("r+b") as file:
                file.truncate(len(content) - len(torn))


def _line(sample: BadSample) -> bytes:
    return json.dumps(asdict(sample)).encode() + b"\n"
