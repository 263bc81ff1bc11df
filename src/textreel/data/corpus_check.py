"""An annotation file checked as a whole: which rows are samples, and why the others are not."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from textreel.data.corpora import CorpusCount, CorpusFile, read_corpus
from textreel.data.media_names import named_file
from textreel.data.quarantine import Quarantine
from textreel.media.errors import MissingFileError

FIRST_SHOWN = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusReport:
    """What is in an annotation file.

    Attributes:
        file: the file.
        corpus: how it was read.
        rows: in it.
        records: rows that are samples.
        rejected: the others, by reason; and missing files of records, where they are looked for.
        media: pictures and videos that the records show.
        missing: of them, those that are not below the folder that was named; None: not looked for.
        messages: of all records.
        first: the first faults, each with its line and the way out.
    """

    file: str
    corpus: str
    rows: int
    records: int
    rejected: dict[str, int]
    media: int
    missing: int | None
    messages: int
    first: tuple[str, ...]


def check_corpus(
    file: CorpusFile, *, media: Path | None = None, max_bad: int | str | None = None
) -> tuple[CorpusReport, Quarantine]:
    """Read every row of an annotation file.

    Args:
        file: what to read, and how.
        media: folder that paths of pictures and videos start at; None: they are not looked for.
        max_bad: for the quarantine.

    Returns:
        The report, and the bad rows as a quarantine that can be checked against a limit.

    Raises:
        CorpusError: the file is not there.
        TextualDataError: it cannot be read from some place on; says the line.
    """
    bad, count = Quarantine(max_bad=max_bad), CorpusCount()
    totals: Counter[str] = Counter()
    for record in read_corpus(file, quarantine=bad, count=count):
        totals["messages"] += len(record.messages)
        paths = [
            part.value
            for message in record.messages
            for part in message.parts
            if part.kind in ("image", "video")
        ]
        totals["media"] += len(paths)
        if media is None:
            continue
        for path in paths:
            try:
                named_file(media, path)
            except MissingFileError as error:
                totals["missing"] += 1
                bad.add(
                    record.id,
                    source=str(file.path),
                    code="missing file",
                    message=f"{error}; fetch it, or leave the row out",
                )
    report = CorpusReport(
        file=str(file.path),
        corpus=file.corpus,
        rows=count.rows,
        records=count.records,
        rejected=bad.summary(),
        media=totals["media"],
        missing=None if media is None else totals["missing"],
        messages=totals["messages"],
        first=tuple(
            f"{'' if b.line is None else f'line {b.line}: '}{b.message} ({b.code})" for b in bad
        )[:FIRST_SHOWN],
    )
    return report, bad
