"""Corpora by name -> records: every row becomes one, or is set aside with its reason.

    for record in read_corpus("LongAlpaca-12k.json", "longalpaca", quarantine): ...

A file is a JSON list or JSON lines; either is read a row at a time. Ids of long texts are hashes of
their content, so a corpus may be filtered or reordered and a mix of it stays the same.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textreel.data.corpus_rows import (
    from_booksum,
    from_fields,
    from_longalpaca,
    from_longqlora,
    from_natural_questions,
)
from textreel.data.errors import HintedError, TextualDataError
from textreel.data.files import Json
from textreel.data.json_stream import read_json_list
from textreel.data.long_text import LongText, RowError, content_key
from textreel.data.quarantine import Quarantine
from textreel.data.record import Record, RecordError
from textreel.data.video_rows import from_llava_video, from_video_chatgpt

FIELDS = ("context", "instruction", "answer")
TEXTS: dict[str, Callable[[Mapping[str, Json]], LongText]] = {
    "longalpaca": from_longalpaca,
    "longqlora": from_longqlora,
    "booksum": from_booksum,
    "natural-questions": from_natural_questions,
}
"""Corpora of long texts."""
VIDEOS = {"video-chatgpt": from_video_chatgpt, "sharegemini": from_llava_video}
"""Sets of questions about videos."""
CORPORA = (*TEXTS, *VIDEOS, "fields", "records")
"""All names; `fields` is any JSON with named fields, `records` are our own."""


class CorpusError(HintedError, ValueError):
    """A corpus that cannot be read as asked."""

    exit_code: ClassVar[int] = 2


@dataclass(kw_only=True, slots=True)
class CorpusCount:
    """How many rows became what; `rows` is the sum of the other two.

    Attributes:
        rows: seen so far.
        records: read.
        rejected: set aside.
    """

    rows: int = 0
    records: int = 0
    rejected: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusFile:
    """A file and how to read it.

    Attributes:
        path: JSON list or JSON lines.
        corpus: one of `CORPORA`.
        licence: of its rows, where a row does not say; empty: unknown.
        fields: for `fields`: which field holds the context, the instruction, the answer.
    """

    path: Path
    corpus: str
    licence: str = ""
    fields: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if self.corpus not in CORPORA:
            raise CorpusError(
                f"there is no corpus {self.corpus!r}", hint=f"there are: {', '.join(CORPORA)}"
            )
        if (self.corpus == "fields") != (self.fields is not None):
            raise CorpusError(
                f"corpus {self.corpus!r}: names of fields go with the corpus 'fields', and it "
                f"needs them",
                hint="such as context=text,instruction=question,answer=answer",
            )
        if self.fields is not None and self.fields.keys() != set(FIELDS):
            raise CorpusError(
                f"fields for {', '.join(sorted(self.fields))}: {', '.join(FIELDS)} are needed"
            )


def read_corpus(
    file: CorpusFile, *, quarantine: Quarantine, count: CorpusCount | None = None
) -> Iterator[Record]:
    """Yield the records of a corpus.

    Args:
        file: what to read, and how.
        quarantine: takes the rows that are no samples.
        count: is counted up as rows are read.

    Raises:
        CorpusError: the file is not there.
        TextualDataError: it is no JSON from some place on.
    """
    if not file.path.is_file():
        raise CorpusError(f"there is no file {file.path}", hint="check the path")
    count = CorpusCount() if count is None else count
    for line, row in _rows(file.path):
        count.rows += 1
        try:
            record = _record(file, row, line)
        except (RowError, RecordError) as error:
            count.rejected += 1
            quarantine.add(
                f"{file.path.name} line {line} row {count.rows}",
                source=str(file.path),
                line=line,
                code=getattr(error, "code", "record"),
                message=str(error),
            )
            continue
        count.records += 1
        yield record


def _record(file: CorpusFile, row: Json, line: int) -> Record:
    if not isinstance(row, dict):
        raise RowError(f"a row is a {type(row).__name__}, no object", code="no object")
    if file.corpus == "records":
        return Record.from_json(row)
    source = f"{file.corpus}: {file.path.name} line {line}"
    licence = str(row.get("licence") or row.get("license") or file.licence)
    if file.corpus in VIDEOS:
        messages = VIDEOS[file.corpus](row)
        made = Record(id="-", messages=messages, source=source, licence=licence)
        return Record(id=content_key(made)[:16], messages=messages, source=source, licence=licence)
    if file.fields is not None:
        return from_fields(row, file.fields).to_record(source=source, licence=licence)
    return TEXTS[file.corpus](row).to_record(source=source, licence=licence)


def _rows(path: Path) -> Iterator[tuple[int, Json]]:
    """Yield line number and value of every row of a JSON list or of JSON lines."""
    with path.open("rb") as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"["):
        yield from read_json_list(path)
        return
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, _parse(line, path, number)


def _parse(line: str, path: Path, number: int) -> Json:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TextualDataError(
            f"{path} line {number} is no JSON: {error}", hint="mend or remove the line"
        ) from error
