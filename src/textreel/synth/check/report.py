"""A file of textual videos checked as a whole: `textreel data check FILE`."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from textreel.data.files import atomic_file
from textreel.data.quarantine import Quarantine
from textreel.data.textual_jsonl import read_videos, write_videos
from textreel.data.textual_video import TextualVideo
from textreel.data.textvid import read_textvid
from textreel.synth.check.checker import Checker, Verdict, most_first
from textreel.synth.check.letters import count_letters, letter_excess

FIRST_SHOWN = 10
LONGEST_SHARE = 0.5
"""From this share of right options that are the longest, a guesser who takes the longest wins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataReport:
    """What is in a file of textual videos. Counts are ordered by size.

    Attributes:
        file: the file or folder.
        records: in it, unreadable ones included.
        passed: records without a fault that costs them.
        unreadable: records and questions that are not of the format, by reason.
        rejected: records, by reason.
        questions: that could be read.
        questions_passed: of them, in records that passed.
        questions_rejected: by reason.
        questions_lost: fine themselves, in a record that was rejected.
        findings: every finding by code; several may concern one record.
        letters: how often each letter is right, by number of options.
        letter_excess: see `letters.letter_excess`.
        longest_is_right: share of questions whose right option is the only longest one.
        warnings: about the file as a whole.
        first: the first findings, in words.
    """

    file: str
    records: int
    passed: int
    unreadable: dict[str, int]
    rejected: dict[str, int]
    questions: int
    questions_passed: int
    questions_rejected: dict[str, int]
    questions_lost: int
    findings: dict[str, int]
    letters: dict[str, dict[str, int]]
    letter_excess: float
    longest_is_right: float
    warnings: tuple[str, ...]
    first: tuple[str, ...]


def read_any(path: Path | str, *, quarantine: Quarantine | None = None) -> Iterator[TextualVideo]:
    """Yield the textual videos of a TextVid file (`.json`), a `.jsonl` file or a folder of them.

    A folder that `synth textvid` left stands for its `videos`.

    Raises:
        TextualDataError, FormatError: as the readers raise them.
    """
    path = Path(path)
    if path.suffix == ".json" and not path.is_dir():
        return read_textvid(path, quarantine=quarantine)
    inner = path / "videos"
    return read_videos(inner if inner.is_dir() else path, quarantine=quarantine)


def check_file(
    path: Path | str,
    checker: Checker,
    *,
    list_to: Path | None = None,
    keep_to: Path | None = None,
    max_bad: int | str | None = None,
) -> tuple[DataReport, Quarantine]:
    """Check every record of a file.

    Args:
        path: see `read_any`.
        checker: fresh.
        list_to: file for every finding (JSON lines).
        keep_to: file for what passes (textual videos, JSON lines), questions that failed left out.
        max_bad: for the quarantine.

    Returns:
        The report, and the rejected records as a quarantine that can be checked against a limit.

    Raises:
        TextualDataError, FormatError: nothing that can be read at `path`.
    """
    unreadable = Quarantine(max_bad=None)
    bad = Quarantine(max_bad=max_bad)
    tally = _Tally(path=Path(path), checker=checker, bad=bad)
    with ExitStack() as held:
        listed = None if list_to is None else held.enter_context(atomic_file(list_to))
        kept = tally.passing(read_any(path, quarantine=unreadable), listed)
        if keep_to is None:
            for _ in kept:
                pass
        else:
            write_videos(keep_to, kept)
    return tally.report(unreadable), bad


class _Tally:
    def __init__(self, *, path: Path, checker: Checker, bad: Quarantine) -> None:
        self._path, self._checker, self._bad = path, checker, bad
        self._letters: dict[int, Counter[str]] = {}
        self._longest = self._asked = 0
        self._first: list[str] = []

    def passing(
        self, videos: Iterator[TextualVideo], listed: IO[bytes] | None
    ) -> Iterator[TextualVideo]:
        """Yield what passes; note everything else."""
        for video in videos:
            verdict = self._checker.check(video)
            self._note(video, verdict, listed)
            self._count(video)
            if verdict.video is not None:
                yield verdict.video

    def _note(self, video: TextualVideo, verdict: Verdict, listed: IO[bytes] | None) -> None:
        for one in verdict.findings:
            if len(self._first) < FIRST_SHOWN:
                self._first.append(f"{video.id} {one.where}: {one.message} ({one.code})")
            if listed is not None:
                entry = {"id": video.id, "level": one.level, "code": one.code, "where": one.where}
                entry["message"] = one.message
                listed.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
        if (reason := verdict.reason) is not None:
            self._bad.add(
                video.id, source=str(self._path), code=reason.code, message=reason.message
            )

    def _count(self, video: TextualVideo) -> None:
        usable = [q for q in video.questions if 0 <= q.answer < len(q.options) >= 2]
        for options, letters in count_letters(usable).items():
            self._letters.setdefault(options, Counter()).update(letters)
        for question in usable:
            lengths = sorted(map(len, question.options))
            self._longest += len(question.options[question.answer]) == lengths[-1] > lengths[-2]
        self._asked += len(usable)

    def report(self, unreadable: Quarantine) -> DataReport:
        counts = self._checker.counts
        whole = [one for one in unreadable if " QAs[" not in one.id]
        for one in whole:
            self._bad.add(one.id, source=one.source, code=one.code, message=one.message)
        first = [f"{one.id}: {one.message} ({one.code})" for one in unreadable]
        excess = letter_excess(self._letters)
        longest = round(self._longest / self._asked, 4) if self._asked else 0.0
        letters = {str(k): dict(sorted(c.items())) for k, c in sorted(self._letters.items())}
        return DataReport(
            file=str(self._path),
            records=counts.records + len(whole),
            passed=counts.passed,
            unreadable=unreadable.summary(),
            rejected=most_first(counts.rejected),
            questions=counts.questions,
            questions_passed=counts.questions_passed,
            questions_rejected=most_first(counts.questions_rejected),
            questions_lost=counts.questions_lost,
            findings=most_first(counts.all_findings),
            letters=letters,
            letter_excess=excess,
            longest_is_right=longest,
            warnings=tuple(_warnings(excess, longest, limit=self._checker.limits.letter_excess)),
            first=tuple([*first, *self._first][:FIRST_SHOWN]),
        )


def _warnings(excess: float, longest: float, *, limit: float) -> Iterator[str]:
    if excess > limit:
        yield (
            f"one letter is right {excess:.1%} more often than chance allows: shuffle the options "
            "(building with `synth textvid` balances them)"
        )
    if longest > LONGEST_SHARE:
        yield f"the right option is the longest in {longest:.0%} of the questions"
