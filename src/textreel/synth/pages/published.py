"""The published layout (xjtupanda/T2Vid @ e4d5ea2, `utils/text-to-images/t2vid.py`).

Word tokens joined by spaces, 115 a page; a line takes a word while the summed widths of its words
(each the right edge of the box of word and space) stay within the page less both margins; every
line is as high as the bottom edge of its own ink box, and the block is centred between top and
bottom. Text that is too tall is cut at top and bottom, a word that is too wide at the right: that
is what was published, and why `fit` is the default.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
from PIL import features

from textreel.synth.pages.draw import PlacedLine, pen_positions
from textreel.synth.pages.errors import EmptyTextError, LayoutError, MissingGlyphsError
from textreel.synth.pages.fit import Page
from textreel.synth.pages.fonts import FontFile
from textreel.synth.pages.glyphs import UNIT, GlyphBook, codes_of, glyph_book, load_pillow
from textreel.synth.pages.scripts import count_scripts
from textreel.synth.pages.settings import PageSettings
from textreel.synth.pages.treebank import treebank_tokens


def published_pages(
    text: str,
    font: FontFile,
    settings: PageSettings,
    *,
    tokens: Sequence[str] | None = None,
) -> tuple[Page, ...]:
    """Break a text into pages as the paper does.

    Args:
        text: the source; a page's `start` and `end` count tokens, for they are what is drawn.
        font: the only one: the published code has no other.
        settings: layout `published`.
        tokens: of the text; None: `treebank_tokens`.

    Raises:
        EmptyTextError: there are no tokens (the published code makes a sample without pictures).
        LayoutError: Raqm is asked for and not there.
        MissingGlyphsError: the font lacks characters (the published code draws boxes).
    """
    tokens = treebank_tokens(text) if tokens is None else tokens
    if not tokens:
        raise EmptyTextError(
            "no word tokens: a sample without pictures is not made", hint="leave the sample out"
        )
    missing = {c for token in tokens for c in token if ord(c) not in font.characters}
    if missing:
        scripts = ", ".join(f"{n} of {script}" for script, n in count_scripts(missing).items())
        raise MissingGlyphsError(
            f"the published layout has one font, and {font.name} lacks {len(missing)} characters: "
            f"{scripts}",
            hint="the fit layout finds other fonts",
        )
    measure = _measure(font, settings)
    size = settings.words or len(tokens)
    return tuple(
        Page(
            start=start,
            end=min(start + size, len(tokens)),
            lines=_place(_wrap(tokens[start : start + size], measure, settings), measure, settings),
        )
        for start in range(0, len(tokens), size)
    )


class _Measure(Protocol):
    """How words and lines are measured, and which font draws a line as a whole."""

    ascent_px: int
    shaped_by: FontFile | None

    def widths(self, words: Sequence[str]) -> list[int]:
        """Return the right edge of the box of each word with a space after it, in px."""
        ...

    def heights(self, lines: Sequence[str]) -> list[int]:
        """Return the bottom edge of each line's ink box, in px below the top of the ascent.

        An empty line has none: 0.
        """
        ...


def _measure(font: FontFile, settings: PageSettings) -> _Measure:
    if settings.engine == "raqm":
        return _RaqmMeasure(font, size_px=settings.font_px)
    return _BasicMeasure(glyph_book((font,), size_px=settings.font_px, width_px=settings.width_px))


class _RaqmMeasure:
    """Boxes by Pillow with Raqm, each word's once."""

    def __init__(self, font: FontFile, *, size_px: int) -> None:
        if not features.check("raqm"):
            raise LayoutError(
                "the published pages were drawn by Raqm, which this Pillow does not have",
                hint="install a Pillow with Raqm, or take engine='basic', which breaks elsewhere",
            )
        self.shaped_by: FontFile | None = font
        self._font, self._size_px = font, size_px
        self._pillow = load_pillow(font, size_px=size_px, shaping=True)
        self.ascent_px = self._pillow.getmetrics()[0]

    def widths(self, words: Sequence[str]) -> list[int]:
        return [_raqm_width(word, self._font, self._size_px) for word in words]

    def heights(self, lines: Sequence[str]) -> list[int]:
        return [int(self._pillow.getbbox(line)[3]) if line else 0 for line in lines]


@lru_cache(maxsize=2**16)
def _raqm_width(word: str, font: FontFile, size_px: int) -> int:
    return int(load_pillow(font, size_px=size_px, shaping=True).getbbox(f"{word} ")[2])


class _BasicMeasure:
    """Boxes of Pillow's basic layout, from the glyphs' own, all words at once."""

    shaped_by: FontFile | None = None

    def __init__(self, book: GlyphBook) -> None:
        self._book = book
        self.ascent_px = book.ascent_px

    def widths(self, words: Sequence[str]) -> list[int]:
        _, pen = pen_positions("".join(f"{word} " for word in words), self._book)
        lengths = np.array([len(word) + 1 for word in words])
        ends = np.cumsum(lengths)
        space = self._book.advances(self._book.ids(codes_of(" ")))[0]
        # Up to the pen before the space, and the space: no kerning with the next word is in the box
        edges = pen[ends - 1] + space - pen[ends - lengths]
        return [int(edge) for edge in (edges + UNIT // 2) >> 6]

    def heights(self, lines: Sequence[str]) -> list[int]:
        filled = [line for line in lines if line]
        if not filled:
            return [0] * len(lines)
        left, _, right, bottom = self._book.boxes(self._book.ids(codes_of("".join(filled))))
        lowest = np.where(right > left, bottom, -self.ascent_px)
        starts = np.cumsum([0, *(len(line) for line in filled[:-1])])
        found = iter((self.ascent_px + np.maximum.reduceat(lowest, starts)).tolist())
        return [next(found) if line else 0 for line in lines]


def _wrap(words: Sequence[str], measure: _Measure, settings: PageSettings) -> list[str]:
    """Return the lines of a page; a first word that is too wide leaves an empty line before it."""
    room = settings.width_px - 2 * settings.margin_px
    lines: list[list[str]] = [[]]
    used = 0
    for word, width in zip(words, measure.widths(words), strict=True):
        if used + width > room:
            lines.append([])
            used = 0
        lines[-1].append(word)
        used += width
    return [" ".join(line) for line in lines]


def _place(lines: list[str], measure: _Measure, settings: PageSettings) -> tuple[PlacedLine, ...]:
    heights = measure.heights(lines)
    top = (settings.height_px - sum(heights)) / 2
    placed = []
    for line, height in zip(lines, heights, strict=True):
        # Pillow rounds the top of a line half down (measured: 30.5 draws where 30 does).
        baseline = math.ceil(top - 0.5) + measure.ascent_px
        placed.append(
            PlacedLine(
                text=line,
                x_px=settings.margin_px,
                baseline_px=baseline,
                shaped_by=measure.shaped_by,
            )
        )
        top += height
    return tuple(placed)
