"""Lines in scripts whose letters join, stack or run from right to left: Pillow's Raqm does them.

Such a line is drawn by one font that has all its characters, as a whole: joining and the order of
mixed directions cannot be had glyph by glyph. Where Raqm is missing, or no font has everything on a
line, the text is refused with the script's name.
"""

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache

from PIL import features

from textreel.synth.pages.errors import MissingGlyphsError
from textreel.synth.pages.fonts import FontFile
from textreel.synth.pages.glyphs import GlyphBook, load_pillow
from textreel.synth.pages.scripts import SHAPED_PATTERN, is_shaped, runs_right_to_left, script_of


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

    def length_px(self, text: str) -> float:
        """Return the measure of a text."""
        pillow = load_pillow(self.font, size_px=self.size_px, shaping=True)
        left, _, right, _ = pillow.getbbox(text, anchor="ls")
        return max(pillow.getlength(text), right) - min(0, left)

    def last_that_fits(self, at: int, ends: list[int], *, first: int, last: int) -> int:
        """Return the largest index of `ends` whose text from `at` fits; first - 1 if none does."""
        candidates = range(first, last + 1)
        return first - 1 + bisect_left(candidates, True, key=lambda k: not self._fits(at, ends[k]))

    def x_px(self, text: str, *, frame_right: int) -> int:
        """Return where the pen starts for `text`; 0 stands for the left margin."""
        return frame_right - int(-(-self.length_px(text) // 1)) if self.right_to_left else 0

    def _fits(self, start: int, end: int) -> bool:
        return self.length_px(self.text[start:end]) <= self.width_px


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
