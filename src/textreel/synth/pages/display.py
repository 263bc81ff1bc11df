r"""A source text -> the characters that are drawn for it, and the way back from each of them.

What is drawn differs from the source in six ways, and in no other: every kind of line end becomes
`\\n`; a tab becomes four spaces; white space of other widths becomes a space where no font has it;
invisible characters are left out; characters without a glyph become their code, where that is
asked for; and inside paragraphs that were wrapped by hand a line end with
the indentation after it becomes one space (`reflow`). The pages' text is cut from the source, so
all of it comes back.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from textreel.synth.pages.scripts import INVISIBLE_PATTERN, LINE_END_PATTERN

TAB = "    "
_WIDE = "[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]"
_SPECIAL = re.compile("|".join((LINE_END_PATTERN.pattern, "\t", INVISIBLE_PATTERN.pattern, _WIDE)))
_MARKED = re.compile(r"\s*(?:[-*+•‣◦>|#=~`]|\d{1,3}[.)]\s|\(?[a-zA-Z\d]{1,2}\)\s|```|</?\w)")
"""How lines begin that stand for themselves: items, quotes, tables, headings, fences, tags."""
_WRAPPED_CHARS = 50
"""A paragraph whose longest line is shorter was not wrapped at a margin."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Display:
    r"""What is drawn for a text.

    Attributes:
        text: drawn characters; `\\n` ends a line.
        source: int64 (len(text) + 1,), where in the source each of them begins, ascending; the last
            is the source's length. None where both are the same text.
    """

    text: str
    source: NDArray[np.int64] | None

    def to_source(self, at: int) -> int:
        """Return the place in the source of a place in `text`."""
        return at if self.source is None else int(self.source[at])


def make_display(
    source: str, *, reflow: bool, has_glyph: frozenset[int], coded: frozenset[int] = frozenset()
) -> Display:
    """Return what is drawn for `source`.

    Args:
        source: any text.
        reflow: join lines of paragraphs that were wrapped by hand.
        has_glyph: code points that some font has; decides about white space of other widths.
        coded: code points that are drawn as `[U+1D8F]`.
    """
    pieces: list[str] = []
    places: list[NDArray[np.int64]] = []
    at = 0

    def put(piece: str, start: int, end: int) -> None:
        pieces.append(piece)
        same = end - start == len(piece)
        places.append(np.arange(start, end) if same else np.full(len(piece), start, dtype=np.int64))

    pattern = _SPECIAL
    if coded:
        codes = "".join(f"\\U{code:08x}" for code in sorted(coded))
        pattern = re.compile(f"{_SPECIAL.pattern}|[{codes}]")
    for found in pattern.finditer(source):
        is_coded = len(found[0]) == 1 and ord(found[0]) in coded
        drawn = f"[U+{ord(found[0]):04X}]" if is_coded else _drawn(found[0], has_glyph)
        if drawn == found[0]:
            continue
        put(source[at : found.start()], at, found.start())
        put(drawn, *found.span())
        at = found.end()
    changed = bool(pieces)
    put(source[at:], at, len(source))
    text = "".join(pieces)
    back = np.concatenate([*places, [len(source)]]) if changed else None
    return _join_lines(text, back) if reflow else Display(text=text, source=back)


def _drawn(special: str, has_glyph: frozenset[int]) -> str:
    if special == "\t":
        return TAB
    if LINE_END_PATTERN.fullmatch(special):
        return "\n"
    if special.isspace():
        return special if ord(special) in has_glyph else " "
    return ""


def _join_lines(text: str, back: NDArray[np.int64] | None) -> Display:
    joints = [span for block in _blocks(text) for span in _joints(text, *block)]
    if not joints:
        return Display(text=text, source=back)
    if back is None:
        back = np.arange(len(text) + 1)
    keep = np.ones(len(text) + 1, dtype=np.bool_)
    pieces, at = [], 0
    for start, end in joints:
        pieces += [text[at:start], " "]
        keep[start + 1 : end] = False
        at = end
    pieces.append(text[at:])
    return Display(text="".join(pieces), source=back[keep])


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of two or more lines in a row that are not blank."""
    at = start = count = 0
    for line in text.split("\n"):
        if line and not line.isspace():
            start = start if count else at
            count += 1
        else:
            if count > 1:
                yield start, at - 1
            count = 0
        at += len(line) + 1
    if count > 1:
        yield start, len(text)


def _joints(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the spans of white space within a block of lines that are to become one space.

    A block was wrapped by hand at some margin if each of its lines but the last could not have
    taken the first word of the next one as well. Lines of code, verse, addresses and lists fail
    this, and keep all their line ends.
    """
    lines = [(m.start(), m.end()) for m in re.finditer(r"[^\n]+", text[start:end])]
    words = [text[start + a : start + b] for a, b in lines]
    if any(map(_MARKED.match, words[1:])) or words[0].lstrip().startswith(("```", "|", "#", ">")):
        return []
    widest = max(len(line.rstrip()) for line in words)
    if widest < _WRAPPED_CHARS or len({len(w) - len(w.lstrip()) for w in words[1:]}) > 1:
        return []
    if any(
        len(line.rstrip()) + 1 + len(after.split(None, 1)[0]) <= widest
        for line, after in pairwise(words)
    ):
        return []
    if len(words) == 2 and not words[1].lstrip()[0].islower():
        return []  # one line end alone proves little
    return [
        (start + a + len(text[start + a : start + b].rstrip()), start + c + _indent(after))
        for ((a, b), (c, _)), after in zip(pairwise(lines), words[1:], strict=True)
    ]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
