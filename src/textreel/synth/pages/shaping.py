"""Lines in scripts whose letters join, stack or run from right to left: Pillow's Raqm does them.

Such a line is drawn by one font that has all its characters, as a whole: joining and the order of
mixed directions cannot be had glyph by glyph. Where Raqm is missing, or no font has everything on a
line, the text is refused with the script's name.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import features

from textreel.synth.pages.draw import Direction
from textreel.synth.pages.errors import MissingGlyphsError
from textreel.synth.pages.fonts import FontFile
from textreel.synth.pages.glyphs import GlyphBook, load_pillow
from textreel.synth.pages.scripts import SHAPED_PATTERN, is_shaped, runs_right_to_left, script_of

_LONGEST = 10_000
"""Letters of a word that are looked at for its height; none is nearly as long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShapedLine:
    """How a line between two line ends is measured and where its parts stand.

    Attributes:
        text: the whole displayed text, which places refer to.
        font: the one that draws the line.
        size_px: pixels per em.
        width_px: room for a line.
        right_to_left: whether its parts stand at the right margin.
    """

    text: str
    font: FontFile
    size_px: int
    width_px: int
    right_to_left: bool

    @property
    def direction(self) -> Direction:
        """Where its parts are read to, whatever letter they begin with."""
        return "rtl" if self.right_to_left else "ltr"

    def last_that_fits(self, at: int, ends: Sequence[int], *, first: int, last: int) -> int:
        """Return the largest index of `ends` whose text from `at` fits; first - 1 if none does.

        Looks twice as far each time, so that a line costs what it holds, not what the text holds.
        """
        reach = 1
        while first + reach <= last and self._fits(at, ends[first + reach]):
            reach *= 2
        near = range(first + reach // 2, min(first + reach, last) + 1)
        return near.start - 1 + bisect_left(near, True, key=lambda k: not self._fits(at, ends[k]))

    def x_px(self, text: str, *, frame_left: int, frame_right: int) -> int:
        """Return where the pen starts for `text`, so that its ink stays between the two."""
        left, right = self._reach(text)
        return frame_right - math.ceil(right) if self.right_to_left else frame_left - int(left)

    def _fits(self, start: int, end: int) -> bool:
        left, right = self._reach(self.text[start:end])
        return right - left <= self.width_px

    def _reach(self, text: str) -> tuple[int, float]:
        """Return how far ink and pen reach from the pen's start: left, at most 0, and right."""
        pillow = load_pillow(self.font, size_px=self.size_px, shaping=True)
        left, _, right, _ = pillow.getbbox(text, anchor="ls", direction=self.direction)
        length = pillow.getlength(text, direction=self.direction)
        return min(0, math.floor(left)), max(length, right)


def shape_line(line: str, text: str, *, book: GlyphBook, width_px: int) -> ShapedLine | None:
    """Return how `line` of `text` is shaped, or None where a glyph per character will do.

    Raises:
        MissingGlyphsError: there is no Raqm, or no font of the book has all characters of the line.
    """
    if not is_shaped(line):
        return None
    return ShapedLine(
        text=text,
        font=_font_for(line, book.fonts),
        size_px=book.size_px,
        width_px=width_px,
        right_to_left=runs_right_to_left(line),
    )


def shaped_ink(text: str, *, book: GlyphBook) -> tuple[int, int]:
    """Return how far the ink of shaped words reaches above and below the baseline, in px.

    Marks that Raqm stacks reach farther than those of any glyph alone.

    Raises:
        MissingGlyphsError: see `shape_line`.
    """
    above = below = 0
    for line in text.split("\n"):
        if not is_shaped(line):
            continue
        pillow = load_pillow(_font_for(line, book.fonts), size_px=book.size_px, shaping=True)
        for word in set(line.split()):
            _, top, _, bottom = pillow.getbbox(word[:_LONGEST], anchor="ls")
            above, below = max(above, math.ceil(-top)), max(below, math.ceil(bottom))
    return above, below


@lru_cache(maxsize=64)
def _font_for(line: str, fonts: tuple[FontFile, ...]) -> FontFile:
    found = SHAPED_PATTERN.search(line)
    script = script_of(found[0] if found else line[0])
    if not features.check("raqm"):
        raise MissingGlyphsError(
            f"{script} needs its letters joined and ordered, and this Pillow has no Raqm",
            hint="install a Pillow with Raqm (the wheels on PyPI for most systems have it)",
        )
    for font in fonts:
        if font.characters.issuperset(map(ord, line)):
            return font
    raise MissingGlyphsError(
        f"a line in {script} has characters that no single font has: {line[:40]!r}",
        hint=f"name a font for {script} that has these too",
    )
