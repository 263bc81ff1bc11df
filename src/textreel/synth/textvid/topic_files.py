"""Read topics from files: plain lines, captions in CSV or JSON lines, lists of object words.

    .csv .tsv    a column: `name` (WebVid), `caption`, `title`, `text`, ... or the one that is named
    .jsonl       a key of the same names
    others       a topic a line; `kind` says what the lines are

A file that is empty, binary or has a line of megabytes is refused with its place. Blank lines,
repeated topics and topics of more than 2,000 characters are left out and counted.
"""

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from textreel.synth.textvid.errors import TopicError
from textreel.synth.textvid.topics import TopicKind, TopicSource

LONGEST_LINE_BYTES = 1 << 20
LONGEST_TOPIC_CHARS = 2000
COLUMNS = ("name", "caption", "title", "text", "sentence", "query", "description", "topic")
"""Names of columns and keys that hold topics, the first that is there; any case."""
_SUFFIX_KINDS: dict[str, TopicKind] = {".csv": "caption", ".tsv": "caption", ".jsonl": "caption"}
_WORDNET_LINE = re.compile(r"(\S+) [nvar] \d+ ")


def read_topics(
    path: Path | str,
    *,
    kind: TopicKind | None = None,
    weight: float = 1.0,
    column: str | None = None,
    licence: str = "",
) -> TopicSource:
    """Read the topics of one file.

    Args:
        path: the file.
        kind: what its topics are; None: captions in tables, plain lines elsewhere.
        weight: of the source in a draw.
        column: which column or key holds them; None: the first of `COLUMNS` that is there.
        licence: of the texts, for the data card.

    Raises:
        TopicError: no such file, it is empty, binary, has an endless line, no such column, or no
            topic in it. The message says where.
    """
    path = Path(path)
    if not path.is_file():
        raise TopicError(f"the topics file {path} is not there", hint="check the path")
    if path.stat().st_size == 0:
        raise TopicError(f"the topics file {path} is empty", hint="write one topic a line")
    suffix = path.suffix.lower()
    if column is not None and suffix not in _SUFFIX_KINDS:
        raise TopicError(
            f"{path} has lines, not columns: column={column!r} has no effect",
            hint="leave --column out, or give a .csv, .tsv or .jsonl file",
        )
    kind = kind or _SUFFIX_KINDS.get(suffix, "line")
    with path.open("rb") as file:
        texts, skipped = _distinct(_reader(suffix)(_lines(file, path), path, column), kind)
    if not texts:
        counts = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
        raise TopicError(f"no topic in {path} ({counts})", hint="write one topic a line")
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
    return TopicSource(
        name=path.name,
        kind=kind,
        texts=tuple(texts),
        weight=weight,
        skipped=tuple(sorted(skipped.items())),
        licence=licence,
        digest=digest,
    )


def _reader(suffix: str) -> Callable[[Iterator[str], Path, str | None], Iterator[str]]:
    return {".csv": _cells, ".tsv": _cells, ".jsonl": _values}.get(suffix, _plain)


def _lines(file: IO[bytes], path: Path) -> Iterator[str]:
    """Yield lines as text; a line is never read beyond what a topic may need."""
    number = 0
    while line := file.readline(LONGEST_LINE_BYTES + 1):
        number += 1
        if b"\0" in line:
            raise TopicError(
                f"{path} line {number} holds a zero byte: it is a binary file, not text",
                hint="give a text file with one topic a line, a CSV or JSON lines",
            )
        if len(line) > LONGEST_LINE_BYTES:
            raise TopicError(
                f"{path} line {number} is longer than {LONGEST_LINE_BYTES} bytes",
                hint="a topic is a line; put line breaks between them",
            )
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise TopicError(
                f"{path} line {number} is not UTF-8 text ({error.reason} at byte {error.start})",
                hint="convert the file to UTF-8",
            ) from error


def _plain(lines: Iterator[str], path: Path, column: str | None) -> Iterator[str]:
    for line in lines:
        found = _WORDNET_LINE.match(line)
        yield (
            ""
            if line.startswith("  ") and not line.strip()[:1].isalpha()
            else (found[1] if found else line)
        )


def _cells(lines: Iterator[str], path: Path, column: str | None) -> Iterator[str]:
    rows = csv.reader(lines, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    try:
        header = next(rows)
        index = header.index(_column(header, path, column))
        for row in rows:
            yield row[index] if index < len(row) else ""
    except csv.Error as error:
        raise TopicError(
            f"{path} line {rows.line_num} is no CSV: {error}", hint="mend the line"
        ) from error


def _values(lines: Iterator[str], path: Path, column: str | None) -> Iterator[str]:
    """Yield the texts under the key that the first object has; one without it counts as blank."""
    key: str | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            yield ""
            continue
        try:
            raw = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise TopicError(f"{path} line {number} is no JSON: {error}") from error
        if isinstance(raw, str):
            yield raw
            continue
        if not isinstance(raw, dict):
            raise TopicError(f"{path} line {number} is neither an object nor a text")
        key = key if key is not None else _column(list(raw), path, column)
        value = raw.get(key)
        yield value if isinstance(value, str) else ""


def _column(names: Sequence[str], path: Path, column: str | None) -> str:
    if column is not None and column in names:
        return column
    lowered = {name.strip().lower(): name for name in reversed(names)}
    known = [lowered[name] for name in COLUMNS if name in lowered]
    if column is not None or not known:
        wanted = repr(column) if column is not None else f"one of {', '.join(COLUMNS)}"
        raise TopicError(
            f"{path} has no column {wanted}; it has: {', '.join(map(repr, names))[:300]}",
            hint="name the column that holds the topics with --column",
        )
    return known[0]


def _distinct(texts: Iterator[str], kind: TopicKind) -> tuple[list[str], Counter[str]]:
    found: dict[str, None] = {}
    skipped: Counter[str] = Counter()
    for text in texts:
        text = " ".join((text.replace("_", " ") if kind == "object" else text).split())
        if not text:
            skipped["blank"] += 1
        elif len(text) > LONGEST_TOPIC_CHARS:
            skipped["too-long"] += 1
        elif text in found:
            skipped["repeated"] += 1
        else:
            found[text] = None
    return list(found), skipped
