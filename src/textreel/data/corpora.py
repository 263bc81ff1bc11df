"""Corpora by name -> records: every row becomes one, or is set aside with its reason.

    for record in read_corpus("LongAlpaca-12k.json", "longalpaca", quarantine): ...

A file is a JSON list or JSON lines, read a row at a time. WebVid's is a csv with a header, as a
file of named fields may be; the captions of CC595k and MiniGPT-4 are a list inside an object; the
answers of ActivityNet-QA are a second file. Ids of long texts, and of questions about
videos, are hashes of their content, so a corpus may be filtered or reordered and a mix of it stays
the same.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from textreel.data.conversation_rows import Conversations, from_conversations
from textreel.data.corpus_files import (
    Row,
    answers_beside,
    read_csv_rows,
    read_inner_rows,
    read_joined_rows,
    read_json_rows,
)
from textreel.data.corpus_rows import (
    from_booksum,
    from_fields,
    from_longalpaca,
    from_longqlora,
    from_natural_questions,
)
from textreel.data.errors import CorpusError
from textreel.data.files import Json
from textreel.data.long_text import LongText, RowError, content_key
from textreel.data.named_fields import check_field_names
from textreel.data.quarantine import Quarantine
from textreel.data.record import Message, Record, RecordError
from textreel.data.video_rows import (
    from_activitynet_qa,
    from_captions,
    from_llava_instruct,
    from_llava_video,
    from_named_fields,
    from_video_chatgpt,
    from_videochat,
    from_webvid,
)

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
    "activitynet-qa": from_activitynet_qa,
}
"""Sets of questions about, or captions of, videos and pictures."""
_CSV = ("webvid",)
_INSIDE = {"captions": "annotations"}
"""Corpora whose rows are a list inside an object, and where."""
_JOINED = ("activitynet-qa",)
"""Corpora whose answers stand in a file of their own, beside that of the questions."""
CONVERSATIONS: tuple[Conversations, ...] = ("llava", "sharegpt")
"""Conversations that are read so that they can be written again as they were."""
CORPORA = (*TEXTS, *VIDEOS, *CONVERSATIONS, "fields", "records")
"""All names; `fields` is any JSON or csv with named fields, `records` are our own."""


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
        path: JSON list or JSON lines, or a csv.
        corpus: one of `CORPORA`.
        licence: of its rows, where a row does not say; empty: unknown.
        fields: for `fields`: which field holds what; see `named_fields`.
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
                hint="such as --fields text,question,answer, or "
                "--fields video=video_name,question=question,answer=answer",
            )
        if self.fields is not None:
            check_field_names(self.fields)

    @property
    def beside(self) -> tuple[Path, ...]:
        """Further files that belong to it.

        Raises:
            CorpusError: they are not there.
        """
        return (answers_beside(self.path),) if self.corpus in _JOINED else ()


def read_corpus(
    file: CorpusFile, *, quarantine: Quarantine, count: CorpusCount | None = None
) -> Iterator[Record]:
    """Yield the records of a corpus.

    Args:
        file: what to read, and how.
        quarantine: takes the rows that are no samples.
        count: is counted up as rows are read.

    Raises:
        CorpusError: the file is not there, or is a csv where JSON is wanted.
        TextualDataError: it is no JSON, or no csv, from some place on.
    """
    if not file.path.is_file():
        raise CorpusError(f"there is no file {file.path}", hint="check the path")
    count = CorpusCount() if count is None else count
    for line, row in _rows(file):
        count.rows += 1
        try:
            if isinstance(row, RowError):
                raise row
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
        return _shown(VIDEOS[file.corpus](row), source=source, licence=licence)
    if file.fields is None:
        return TEXTS[file.corpus](row).to_record(source=source, licence=licence)
    if "context" in file.fields:
        return from_fields(row, file.fields).to_record(source=source, licence=licence)
    return _shown(from_named_fields(row, file.fields), source=source, licence=licence)


def _shown(messages: tuple[Message, ...], *, source: str, licence: str) -> Record:
    """Return the record of messages about a video or picture; its id is a hash of them."""
    made = Record(id="-", messages=messages, source=source, licence=licence)
    return replace(made, id=content_key(made)[:16])


def _rows(file: CorpusFile) -> Iterator[Row]:
    """Yield line number and value of every row."""
    is_csv = file.path.suffix.lower() == ".csv"
    if file.corpus in _CSV or (file.corpus == "fields" and is_csv):
        return read_csv_rows(file.path)
    if is_csv:
        raise CorpusError(
            f"{file.path} is a csv, and the corpus {file.corpus!r} is JSON",
            hint="name its columns, as textreel data mix --fields NAME=video=F,question=F,answer=F "
            "does (context=F for long texts)",
        )
    if file.corpus in _INSIDE:
        return read_inner_rows(file.path, _INSIDE[file.corpus])
    if file.corpus in _JOINED:
        return read_joined_rows(file.path)
    return read_json_rows(file.path)
