"""A JSON list, one element at a time, so that a file of gigabytes needs memory for one record.

Python's own decoder does the parsing. A fault is reported with line and column, after everything
before it has been yielded; a key that stands twice in an object is kept in mind, where `json.load`
drops one of the two values.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from textreel.data.errors import TextualDataError
from textreel.data.files import Json

_CHUNK_CHARS = 2**20
_LONGEST_TOKEN_CHARS = 16
"""An error farther than this from the end of what was read is not for want of more text."""


class JsonObject(dict[str, Json]):
    """A JSON object; `repeated` holds the keys that stand in it more than once."""

    repeated: tuple[str, ...] = ()


def read_json_list(path: Path | str) -> Iterator[tuple[int, Json]]:
    """Yield line (from 1) and value of every element of the list a file holds.

    Objects come as `JsonObject`.

    Raises:
        TextualDataError: the file is no UTF-8 JSON list, or ends before the list does.
    """
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        window = _Window(file, path)
        if (first := window.peek()) != "[":
            found = f"starts with {first!r}" if first else "is empty"
            raise window.fault(f"a JSON list was expected, the file {found}")
        window.skip()
        while window.peek() != "]":
            line, value = window.line, window.take()
            if (follows := window.peek()) not in (",", "]"):
                raise window.fault("expected ',' or ']' after a record", cut=not follows)
            yield line, value
            if follows == ",":
                window.skip()
        window.skip()
        if window.peek():
            raise window.fault("text follows the end of the list")


class _Window:
    """The part of the file that is being looked at: read, but not yet taken."""

    def __init__(self, file: IO[str], path: Path | str) -> None:
        self._file, self._path = file, path
        self._text, self._at = "", 0
        self._decoder = json.JSONDecoder(object_pairs_hook=_object)
        self.line = 1
        self._dropped = self._line_start = 0

    def peek(self) -> str:
        """Pass over white space and return the next character, empty at the end."""
        while True:
            rest = len(self._text)
            while self._at < rest and self._text[self._at] in " \t\r\n":
                self._advance(self._at + 1)
            if self._at < rest:
                return self._text[self._at]
            if not self._more():
                return ""

    def skip(self) -> None:
        self._advance(self._at + 1)

    def take(self) -> Json:
        """Return the value that starts here."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._may_be_cut(error) and self._more():
                    continue
                cut = error.pos == len(self._text) or error.msg.startswith("Unterminated string")
                self._advance(error.pos)
                raise self.fault(error.msg, cut=cut) from error
            except RecursionError as error:
                raise self.fault("nested too deeply") from error
            if end == len(self._text) and self._more():
                continue
            self._advance(end)
            return value

    def fault(self, message: str, *, cut: bool = False) -> TextualDataError:
        """Return the error that says what is wrong here; `cut`: for want of more text."""
        column = self._dropped + self._at - self._line_start + 1
        where = f"{self._path} line {self.line}, column {column}"
        if cut:
            message = f"the file ends in the middle ({message})"
        error = TextualDataError(
            f"{where}: {message}",
            hint="the file was cut or is not JSON: fetch it again, or mend this place",
        )
        error.line = self.line
        return error

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        near_end = error.pos >= len(self._text) - _LONGEST_TOKEN_CHARS
        return near_end or error.msg.startswith("Unterminated string")

    def _more(self) -> bool:
        kept = self._text[self._at :]
        try:
            fresh = self._file.read(max(_CHUNK_CHARS, len(kept)))
        except UnicodeDecodeError as error:
            raise self.fault(f"not UTF-8 text from here on ({error.reason})") from error
        if fresh:
            self._dropped += self._at
            self._text, self._at = kept + fresh, 0
        return bool(fresh)

    def _advance(self, to: int) -> None:
        if newlines := self._text.count("\n", self._at, to):
            self.line += newlines
            self._line_start = self._dropped + self._text.rindex("\n", self._at, to) + 1
        self._at = to


def _object(pairs: list[tuple[str, Json]]) -> JsonObject:
    made = JsonObject(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        made.repeated = tuple(key for key in made if keys.count(key) > 1)
    return made
