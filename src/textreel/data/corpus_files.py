"""The rows of an annotation file, each with its line: JSON list or lines, csv, or two files joined.

A csv has a header that names its columns; a row of more or fewer columns is no row, because what
stands in which column is then a guess. The questions and the answers of ActivityNet-QA are two
lists, `train_q.json` and `train_a.json`, joined by `question_id`: every question is a row, with all
answers that its id has; answers that no question asks for are none of the rows.
"""

import codecs
import csv
import json
from collections.abc import Iterator
from pathlib import Path

from textreel.data.errors import CorpusError, TextualDataError
from textreel.data.files import Json
from textreel.data.json_stream import read_json_list
from textreel.data.long_text import RowError

_QUESTIONS, _ANSWERS = "_q.json", "_a.json"
_LONGEST_FIELD_CHARS = 2**31 - 1
"""Of a column of a csv; the module's own limit, 131,072, is less than a long text has."""
Row = tuple[int, "Json | RowError"]


def read_csv_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a csv with a header as objects of texts.

    A row with another number of columns than the header comes as the error that it is.

    Raises:
        TextualDataError: a name twice in the header, or no csv from some place on.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        every = _long_rows(rows)
        try:
            names = next(every, [])
            if twice := sorted({name for name in names if name and names.count(name) > 1}):
                raise TextualDataError(
                    f"{path}: the header names {', '.join(map(repr, twice))} more than once",
                    hint="give every column a name of its own",
                )
            for row in every:
                if len(row) == len(names):
                    yield rows.line_num, dict(zip(names, row, strict=True))
                elif row:
                    yield rows.line_num, _other_columns(len(row), len(names))
        except (csv.Error, UnicodeDecodeError) as error:
            raise TextualDataError(
                f"{path} line {rows.line_num} is no csv: {error}", hint="mend or remove the line"
            ) from error


def _long_rows(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """Yield rows whose fields may be long; for all other readers the module's limit stays."""
    while True:
        before = csv.field_size_limit(_LONGEST_FIELD_CHARS)
        try:
            row = next(rows, None)
        finally:
            csv.field_size_limit(before)
        if row is None:
            return
        yield row


def _other_columns(found: int, wanted: int) -> RowError:
    return RowError(
        f"the row has {found} columns, the header {wanted}",
        code="columns",
        hint='put a text that has a comma between quotes ("), or leave the row out',
    )


def read_inner_rows(path: Path, field: str) -> Iterator[Row]:
    """Yield the rows of the list in an object's field, each with its line.

    A file that is a list itself is read as one.

    Raises:
        TextualDataError: no such list.
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


def read_json_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a JSON list or of JSON lines.

    Raises:
        TextualDataError: it is no JSON from some place on.
    """
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


def answers_beside(questions: Path) -> Path:
    """Return the file of answers that belongs to a file of questions: `_a.json` for `_q.json`.

    Raises:
        CorpusError: the name does not end in `_q.json`, or no such file is beside it.
    """
    if not questions.name.endswith(_QUESTIONS):
        raise CorpusError(
            f"{questions}: the file of questions has a name that ends in {_QUESTIONS}, and its "
            f"answers are beside it in one that ends in {_ANSWERS}",
            hint="name that file, such as train_q.json; a file that holds questions and answers "
            "both is read with --fields video=F,question=F,answer=F",
        )
    answers = questions.with_name(questions.name.removesuffix(_QUESTIONS) + _ANSWERS)
    if not answers.is_file():
        raise CorpusError(
            f"there is no file {answers}, which should hold the answers to {questions.name}",
            hint="put it there",
        )
    return answers


def read_joined_rows(questions: Path) -> Iterator[Row]:
    """Yield the rows of a file of questions, with `answers`: the different ones that each has.

    Raises:
        CorpusError: see `answers_beside`.
        TextualDataError: a row of the answers is none, or a file is no JSON.
    """
    path = answers_beside(questions)
    answers: dict[str, list[str]] = {}
    for line, row in read_json_rows(path):
        id, answer = (
            (row.get("question_id"), row.get("answer")) if isinstance(row, dict) else (None, None)
        )
        if not isinstance(id, str | int) or not isinstance(answer, str):
            raise TextualDataError(
                f"{path} line {line} is no answer: it needs a question_id, and a text as answer",
                hint="mend or remove the row",
            )
        known = answers.setdefault(str(id), [])
        known += [answer] if answer not in known else []
    for line, row in read_json_rows(questions):
        if not isinstance(row, dict):
            yield line, row
        else:
            yield line, {**row, "answers": list(answers.get(str(row.get("question_id")), []))}
