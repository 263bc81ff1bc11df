"""Corpora by name -> records: every row becomes one, or is set aside with its reason.

    for record in read_corpus("LongAlpaca-12k.json", "longalpaca", quarantine): ...

A file is a JSON list or JSON lines, read a row at a time; WebVid's is a csv with a header, and the
captions of CC595k and MiniGPT-4 are a list inside an object. Ids of long texts are hashes of
their content, so a corpus may be filtered or reordered and a mix of it stays the same.
"""

import codecs
import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from textreel.data.conversation_rows import Conversations, from_conversations
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
from textreel.data.record import Message, Record, RecordError
from textreel.data.video_rows import (
    from_captions,
    from_llava_instruct,
    from_llava_video,
    from_video_chatgpt,
    from_videochat,
    from_webvid,
)

FIELDS = ("context", "instruction", "answer")
TEXTS: dict[str, Callable[[Mapping[str, Json]], LongText]] = {
    "longalpaca": from_longalpaca,
    "longqlora": from_longqlora,
    "booksum": from_booksum,
    "natural-questions": from_natural_questions,
}
"""Corpora of long texts."""
VIDEOS: dict[str, Callable[[Mapping[str, Json]], tuple[Message, ...]]] = {
    "video-chatgpt": from_video_chatgpt,
    "sharegemini": from_llava_video,
    "webvid": from_webvid,
    "captions": from_captions,
    "llava-instruct": from_llava_instruct,
    "videochat": from_videochat,
}
"""Sets of questions about, or captions of, videos and pictures."""
_CSV = ("webvid",)
_INSIDE = {"captions": "annotations"}
"""Corpora whose rows are a list inside an object, and where."""
CONVERSATIONS: tuple[Conversations, ...] = ("llava", "sharegpt")
"""Conversations that are read so that they can be written again as they were."""
CORPORA = (*TEXTS, *VIDEOS, *CONVERSATIONS, "fields", "records")
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
        reasons: how many were set aside, by reason.
    """

    rows: int = 0
    records: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        """Rows that were set aside."""
        return self.reasons.total()


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
                hint="such as --fields text,question,answer",
            )
        if self.fields is not None and self.fields.keys() != set(FIELDS):
            raise CorpusError(
                f"fields for {', '.join(sorted(self.fields))}: {', '.join(FIELDS)} are needed"
            )


def read_field_names(text: str) -> dict[str, str]:
    """Read `CONTEXT,INSTRUCTION,ANSWER`, the names of the fields that hold them.

    Raises:
        CorpusError: not three names.
    """
    names = [name.strip() for name in text.split(",")]
    if len(names) != len(FIELDS) or not all(names):
        raise CorpusError(
            f"fields {text!r}: three names are needed, of context, instruction and answer",
            hint="such as text,question,answer",
        )
    return dict(zip(FIELDS, names, strict=True))


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
    for line, row in _rows(file):
        count.rows += 1
        try:
            record = _writable(_record(file, row, line))
        except (RowError, RecordError) as error:
            code = getattr(error, "code", "record")
            count.reasons[code] += 1
            quarantine.add(
                f"{file.path.name} line {line} row {count.rows}",
                source=str(file.path),
                line=line,
                code=code,
                message=f"{error}; {error.hint}" if error.hint else str(error),
            )
            continue
        count.records += 1
        yield record


def _writable(record: Record) -> Record:
    """Return a record, or refuse one with half a character of UTF-16, which no file can hold."""
    try:
        json.dumps(record.to_json(), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise RowError(
            f"half a character ({error.object[error.start : error.end]!a}) stands in a text",
            code="lone surrogate",
        ) from error
    return record


def _record(file: CorpusFile, row: Json, line: int) -> Record:
    if not isinstance(row, dict):
        raise RowError(f"a row is a {type(row).__name__}, no object", code="no object")
    if file.corpus == "records":
        return Record.from_json(row)
    source = f"{file.corpus}: {file.path.name} line {line}"
    licence = str(row.get("licence") or row.get("license") or file.licence)
    for shape in CONVERSATIONS:
        if file.corpus == shape:
            return from_conversations(row, shape, source=source, licence=licence)
    if file.corpus in VIDEOS:
        messages = VIDEOS[file.corpus](row)
        made = Record(id="-", messages=messages, source=source, licence=licence)
        return Record(id=content_key(made)[:16], messages=messages, source=source, licence=licence)
    if file.fields is not None:
        return from_fields(row, file.fields).to_record(source=source, licence=licence)
    return TEXTS[file.corpus](row).to_record(source=source, licence=licence)


def _rows(file: CorpusFile) -> Iterator[tuple[int, Json]]:
    """Yield line number and value of every row."""
    if file.corpus in _CSV:
        return _csv_rows(file.path)
    if file.corpus in _INSIDE:
        return _inner_rows(file.path, _INSIDE[file.corpus])
    return _json_rows(file.path)


def _csv_rows(path: Path) -> Iterator[tuple[int, Json]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        try:
            yield from ((rows.line_num, dict(row)) for row in rows)
        except (csv.Error, UnicodeDecodeError) as error:
            raise TextualDataError(
                f"{path} line {rows.line_num} is no csv: {error}", hint="mend or remove the line"
            ) from error


def _inner_rows(path: Path, field: str) -> Iterator[tuple[int, Json]]:
    """Yield the rows of the list in an object's field, each with its line.

    A file that is a list itself is read as one.
    """
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    if content.lstrip().startswith(b"["):
        yield from read_json_list(path)
        return
    whole, text = _parse(content, path, 1), content.decode()
    rows = whole.get(field) if isinstance(whole, dict) else None
    if not isinstance(rows, list):
        raise TextualDataError(
            f"{path} holds no list {field!r}", hint=f'it looks like {{"{field}": [...]}}'
        )
    decoder, at = json.JSONDecoder(), text.index("[", text.index(f'"{field}"')) + 1
    for _ in rows:
        at = next(i for i in range(at, len(text)) if text[i] not in " \t\r\n,")
        row, end = decoder.raw_decode(text, at)
        yield 1 + text.count("\n", 0, at), row
        at = end


def _json_rows(path: Path) -> Iterator[tuple[int, Json]]:
    """Yield the rows of a JSON list or of JSON lines."""
    with path.open("rb") as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"["):
        yield from read_json_list(path)
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            content = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if content.strip():
                yield number, _parse(content, path, number)


def _parse(line: bytes, path: Path, number: int) -> Json:
    try:
        return json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise TextualDataError(
            f"{path} line {number} is no JSON: {error}", hint="mend or remove the line"
        ) from error
