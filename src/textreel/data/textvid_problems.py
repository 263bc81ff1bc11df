"""What can be wrong with a TextVid record, and how it is noted while the record is read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from textreel.data.files import Json
from textreel.data.json_stream import JsonObject
from textreel.data.textual_video import TextualVideo

Level = Literal["error", "warning"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing wrong with a TextVid file.

    Attributes:
        record: index of the record in the list, from 0.
        line: line of the file the record starts on, from 1.
        id: the record's `idx`, empty where it has none.
        field: place in the record, such as `frames[3].caption`.
        code: short name of the kind of problem, for counting.
        level: an `error` makes the record (or, in a question, that question) unusable.
        message: what is wrong.
        remedy: what to do about it.
    """

    record: int
    line: int
    id: str
    field: str
    code: str
    level: Level
    message: str
    remedy: str

    @property
    def question(self) -> str:
        """Return the place of the question it is in, such as `QAs[2]`, or nothing."""
        found = re.match(r"QAs\[\d+\]", self.field)
        return found[0] if found else ""

    def __str__(self) -> str:
        name = f" ({self.id})" if self.id else ""
        return f"record {self.record}{name}, line {self.line}, {self.field}: {self.message}"


@dataclass(kw_only=True, slots=True)
class ParsedRecord:
    """A record read: the video, or None if it is unusable, and all problems.

    Questions with an error are left out of the video.
    """

    record: int
    line: int
    id: str = ""
    video: TextualVideo | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def errors(self) -> list[Problem]:
        """Return the problems that cost the record or a question."""
        return [problem for problem in self.problems if problem.level == "error"]

    def note(
        self, where: str, code: str, message: str, *, remedy: str, level: Level = "error"
    ) -> None:
        """Add a problem."""
        self.problems.append(
            Problem(
                record=self.record,
                line=self.line,
                id=self.id,
                field=where,
                code=code,
                level=level,
                message=message,
                remedy=remedy,
            )
        )

    def text_at(self, raw: Mapping[str, Json], key: str, where: str) -> str:
        """Return a text of an object, noting it if it is missing, none, empty or broken."""
        if key not in raw:
            self.note(where, "missing-key", "is missing", remedy="add the text")
            return ""
        return self.text(raw[key], where)

    def text(self, value: Json, where: str) -> str:
        """Return a value that should be a text, noting it if it is none, empty or broken."""
        if not isinstance(value, str):
            self.note(where, "wrong-type", f"is {kind(value)}, not a text", remedy="write a text")
            return ""
        if not value.strip():
            self.note(where, "empty-text", "is empty", remedy="write a text, or remove the entry")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            self.note(
                where,
                "broken-text",
                f"holds half a surrogate pair at character {error.start}",
                remedy="remove that character",
            )
        return value

    def list_at(self, raw: Mapping[str, Json], key: str, where: str) -> list[Json]:
        """Return a list of an object, noting it if it is missing or none."""
        if key not in raw:
            self.note(where, "missing-key", "is missing", remedy="add the list")
            return []
        value = raw[key]
        if not isinstance(value, list):
            self.note(where, "wrong-type", f"is {kind(value)}, not a list", remedy="make it a list")
            return []
        return value

    def check_keys(self, raw: Mapping[str, Json], prefix: str, *, known: set[str]) -> None:
        """Note keys that nothing reads, and keys that stand twice."""
        self.check_repeated(raw, prefix.rstrip("."))
        for key in raw:
            if key not in known:
                self.note(
                    f"{prefix}{key}",
                    "unknown-key",
                    "is not read",
                    remedy=f"harmless; known keys are {', '.join(sorted(known))}",
                    level="warning",
                )

    def check_repeated(self, raw: Mapping[str, Json], where: str) -> None:
        """Note keys that stand twice in one object."""
        if isinstance(raw, JsonObject) and raw.repeated:
            self.note(
                where,
                "repeated-key",
                f"has {', '.join(map(repr, raw.repeated))} more than once; a text would be lost",
                remedy="give every entry a key of its own",
            )


def kind(value: Json) -> str:
    """Return what sort of JSON value this is, for messages."""
    names = {bool: "true or false", str: "a text", list: "a list"}
    if isinstance(value, dict):
        return "an object"
    return "null" if value is None else names.get(type(value), "a number")


def short(text: str) -> str:
    """Return a text quoted, and cut to 40 characters, for messages."""
    return repr(text if len(text) <= 40 else text[:37] + "...")
