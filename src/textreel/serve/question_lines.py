"""Questions as JSON lines: `{"video": "clip.mp4", "question": "What happens?"}` each.

    id        unique; the line's number where there is none
    video     a path, relative to the folder of the file of questions
    question  its text
    options   two or more texts to choose from, or nothing
    answer    of a choice, where it is known: the right option's text, letter, or index from 0

Any other field is carried along unread, so that it stays beside its prediction.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textreel.data.files import content_hash, fingerprint
from textreel.data.prompt import LETTERS
from textreel.serve.errors import LineError

RESULT_FIELDS = ("prediction", "error")
"""What an answered line adds to its question."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionLine:
    """One line.

    Attributes:
        number: from 1.
        id: its own, or `line N`.
        fields: everything in it; empty where it could not be read.
        video: the file it is about.
        fault: what is wrong with it, or None.
    """

    number: int
    id: str
    fields: dict[str, Any]
    video: Path
    fault: LineError | None = None

    @property
    def options(self) -> list[str] | None:
        """What to choose from, or None."""
        return self.fields.get("options")

    @property
    def answer(self) -> int | None:
        """The index of the right option; None where it is not known, or there is no choice."""
        return right_option(self.fields, where=self.id)

    def key(self) -> str:
        """Return a name that changes with the question and with the content of its video."""
        if self.fault is not None:
            return f"bad line {self.number}"
        content = content_hash(self.video) if self.video.is_file() else None
        return f"{self.id} {fingerprint([self.fields, content])}"


def read_question_lines(path: Path) -> list[QuestionLine]:
    """Read every line; what is wrong with one stands in its `fault`.

    Raises:
        LineError: there is no such file, it has no line, or it is not UTF-8.
    """
    if not path.is_file():
        raise LineError(f"there is no file of questions {path}", hint="Give a JSON lines file.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise LineError(
            f"{path} is not UTF-8 text (byte {error.start})", hint="Save it as UTF-8."
        ) from error
    lines = text.removesuffix("\n").split("\n") if text.strip() else []
    if not lines:
        raise LineError(
            f"{path} asks nothing: it has no line",
            hint='Write lines such as {"video": "clip.mp4", "question": "What happens?"}.',
        )
    return list(_checked(path, lines))


def _checked(path: Path, lines: list[str]) -> Iterator[QuestionLine]:
    seen: dict[str, int] = {}
    for number, text in enumerate(lines, start=1):
        name, fields = f"line {number}", {}
        fault: LineError | None = None
        try:
            fields = _fields(text, where=f"{path}, line {number}")
            name = str(fields.get("id", name))
            if (first := seen.setdefault(name, number)) != number:
                raise LineError(
                    f"{path}, line {number}: the id {name!r} is that of line {first}",
                    hint="Give every line an id of its own, or none any.",
                )
        except LineError as error:
            fault = error
        video = path.parent / str(fields.get("video", ""))
        yield QuestionLine(number=number, id=name, fields=fields, video=video, fault=fault)


def _fields(text: str, *, where: str) -> dict[str, Any]:
    if not text.strip():
        raise LineError(f"{where} is empty", hint="Delete the line, or put a question there.")
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise LineError(f"{where} is not JSON: {error}", hint="Write one object a line.") from error
    if not isinstance(fields, dict):
        raise LineError(
            f"{where} holds {type(fields).__name__}, not an object", hint="Write one object a line."
        )
    for name in ("video", "question"):
        if not isinstance(fields.get(name), str) or not fields[name].strip():
            raise LineError(
                f"{where}: {name!r} must be a text, and not empty",
                hint='Such as {"video": "clip.mp4", "question": "What happens?"}.',
            )
    options = fields.get("options")
    if options is not None and not (
        isinstance(options, list) and all(isinstance(option, str) for option in options)
    ):
        raise LineError(
            f"{where}: 'options' must be a list of texts", hint='Such as ["red", "blue"].'
        )
    right_option(fields, where=where)
    if taken := [name for name in RESULT_FIELDS if name in fields]:
        raise LineError(
            f"{where} has a field {taken[0]!r}, which answers are written to",
            hint="Rename it.",
        )
    return fields


def right_option(fields: dict[str, Any], *, where: str) -> int | None:
    """Return the index of the right option of a line; None where it is not known.

    A text is looked for among the options first, then read as a letter. An `answer` of a question
    in free words is carried along unread.

    Args:
        fields: of the line.
        where: which line, for messages.

    Raises:
        LineError: the answer is none of the options.
    """
    answer, options = fields.get("answer"), fields.get("options")
    if answer is None or not options:
        return None
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(options):
        return answer
    if isinstance(answer, str):
        plain = [_plain(option) for option in options]
        if _plain(answer) in plain:
            return plain.index(_plain(answer))
        letter = answer.strip().strip("().").upper()
        if len(letter) == 1 and letter in LETTERS[: len(options)]:
            return LETTERS.index(letter)
    raise LineError(
        f"{where}: the answer {answer!r} is none of its {len(options)} options",
        hint="Give the right option's text, its letter, or its index from 0; or rename the field.",
    )


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
