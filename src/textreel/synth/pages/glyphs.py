"""`GlyphBook`: every glyph drawn once by Pillow, then only looked up, whole texts at a time.

Text drawn this way has the pixels of Pillow's own basic layout. What that layout does (measured on
Pillow 13, FreeType 2.14, equal on all lines tried): glyphs are hinted and drawn at whole pixels;
the pen moves in 1/64 px by advance and pair kerning; a glyph stands at `floor(pen + 1/2)`.

Every glyph is kept as its inked pixels only: their place on a page of the book's width, and their
coverage. So drawing a page is a handful of numpy operations over all its inked pixels, and costs
the same whether words repeat or not.
"""

import threading
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from textreel.synth.pages.errors import FontError, MissingGlyphsError
from textreel.synth.pages.fonts import FontFile
from textreel.synth.pages.scripts import has_ink, script_of

UNIT = 64
"""Parts of a pixel in which the pen moves (FreeType's 26.6 fixed point)."""
MAX_PIXELS = 2**23
"""Inked pixels in a book before it is emptied: 9 bytes each, 72 MiB; 50,000 Chinese glyphs."""
_PAIRED = 1024
"""Glyphs whose kerning is kept in a table; pairs with later ones are kept in a dictionary."""
_UNKNOWN = np.iinfo(np.int16).min
_MAX_LATER_PAIRS = 2**18
_MAX_BOOKS = 8
_THREAD = threading.local()
Ints = NDArray[np.int64]


def codes_of(text: str) -> NDArray[np.uint32]:
    """Return the code points of a text; lone surrogates keep their numbers."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


class GlyphBook:
    """Glyphs of some fonts at one size, for pages of one width.

    Args:
        fonts: a character is drawn by the first that has it.
        size_px: pixels per em.
        width_px: of the pages.
    """

    def __init__(self, fonts: tuple[FontFile, ...], *, size_px: int, width_px: int) -> None:
        self.fonts, self.size_px, self.width_px = fonts, size_px, width_px
        self.pillow = tuple(load_pillow(font, size_px=size_px) for font in fonts)
        metrics = [font.getmetrics() for font in self.pillow]
        self.ascent_px = max(ascent for ascent, _ in metrics)
        self.descent_px = max(descent for _, descent in metrics)
        self._clear()

    def _clear(self) -> None:
        self._ids = np.full(0x110000, -1, dtype=np.int32)
        self._count = 0
        self._font = np.empty(256, dtype=np.int16)
        self._characters: list[str] = []
        self._table = np.empty((256, 7), dtype=np.int64)
        self._places = np.empty(2**14, dtype=np.int64)
        self._values = np.empty(2**14, dtype=np.uint8)
        self._pixels = 0
        self._kerning = np.full((_PAIRED, _PAIRED), _UNKNOWN, dtype=np.int16)
        self._later: dict[tuple[int, int], int] = {}
        self._scratch = np.empty(0, dtype=np.int32)

    def scratch(self, size: int) -> NDArray[np.int32]:
        """Return memory that may be written over, int32 (size,): always the same, never cleared."""
        if len(self._scratch) < size:
            self._scratch = np.empty(size, dtype=np.int32)
        return self._scratch[:size]

    def ids(self, codes: NDArray[np.uint32]) -> NDArray[np.int32]:
        """Return the glyph number of each code point.

        Numbers hold until the next call of `ids`, which may empty a book that has grown too large.

        Raises:
            MissingGlyphsError: no font of the book has one of them.
        """
        if self._pixels > MAX_PIXELS:
            self._clear()
        found = self._ids[codes]
        if found.size and found.min() < 0:
            for code in np.unique(codes[found < 0]).tolist():
                self._ids[code] = self._draw(chr(code))
            found = self._ids[codes]
        return found

    def advances(self, ids: NDArray[np.int32]) -> Ints:
        """Return by how much each glyph moves the pen, in 1/64 px."""
        return self._table[ids, 0]

    def boxes(self, ids: NDArray[np.int32]) -> tuple[Ints, Ints, Ints, Ints]:
        """Return left, top, right and bottom of each glyph's ink from its origin on the baseline.

        In whole pixels, y downwards; all 0 for a glyph without ink.
        """
        left, top, right, bottom = self._table[ids, 1:5].T
        return left, top, right, bottom

    def kerning(self, ids: NDArray[np.int32]) -> Ints:
        """Return what is added between each glyph and the next, in 1/64 px: one value fewer."""
        first, second = ids[:-1], ids[1:]
        kerned = np.array([font.has_kerning for font in self.fonts])
        if not kerned.any():
            return np.zeros(max(0, len(ids) - 1), dtype=np.int64)
        same = (self._font[first] == self._font[second]) & kerned[self._font[first]]
        result = np.zeros(len(first), dtype=np.int64)
        near = same & (first < _PAIRED) & (second < _PAIRED)
        values = self._kerning[first[near], second[near]]
        if (unknown := values == _UNKNOWN).any():
            pairs = np.stack([first[near][unknown], second[near][unknown]], axis=1)
            for one, two in np.unique(pairs, axis=0).tolist():
                self._kerning[one, two] = self._pair(one, two)
            values = self._kerning[first[near], second[near]]
        result[near] = values
        for at in np.flatnonzero(same & ~near).tolist():
            result[at] = self._later_pair(int(first[at]), int(second[at]))
        return result

    def ink(self, ids: NDArray[np.int32], origins: Ints) -> tuple[Ints, NDArray[np.uint8]]:
        """Return place and coverage of every inked pixel of glyphs on a flat page.

        Args:
            ids: glyph numbers.
            origins: place of each glyph's origin: row times the page's width, plus column.

        Returns:
            Places and values, glyph after glyph. A place may occur more than once.
        """
        counts = self._table[ids, 6]
        total = int(counts.sum())
        ends = np.cumsum(counts)
        source = np.repeat(self._table[ids, 5] - (ends - counts), counts)
        source += np.arange(total)
        places = self._places[source]
        places += np.repeat(origins, counts)
        return places, self._values[source]

    def _pair(self, first: int, second: int) -> int:
        font = self.pillow[int(self._font[first])]
        one, two = self._characters[first], self._characters[second]
        both = font.getlength(one + two) - font.getlength(one) - font.getlength(two)
        return round(both * UNIT)

    def _later_pair(self, first: int, second: int) -> int:
        if len(self._later) > _MAX_LATER_PAIRS:
            self._later.clear()
        if (first, second) not in self._later:
            self._later[first, second] = self._pair(first, second)
        return self._later[first, second]

    def _draw(self, character: str) -> int:
        number = self._font_of(character)
        font = self.pillow[number]
        try:
            mask, (left, top) = font.getmask2(character, mode="L", anchor="ls")
        except OSError as error:
            raise FontError(
                f"{self.fonts[number].name} is damaged: its glyph for U+{ord(character):04X} "
                f"cannot be drawn ({error})",
                hint="get the font file again, or name another font",
            ) from error
        width, height = mask.size
        pixels = np.array(mask, dtype=np.uint8).reshape(height, width)
        rows, columns = np.nonzero(pixels)
        if not rows.size and has_ink(character):
            raise MissingGlyphsError(
                f"{self.fonts[number].name} draws nothing for U+{ord(character):04X} "
                f"({script_of(character)}): its glyph is empty, as in fonts of coloured pictures",
                hint="name a font with outlines for it, or leave such texts out",
            )
        box = (0, 0, 0, 0)
        if rows.size:
            box = (
                left + int(columns.min()),
                top + int(rows.min()),
                left + int(columns.max()) + 1,
                top + int(rows.max()) + 1,
            )
        places = (rows + top) * self.width_px + columns + left
        start = self._append_pixels(places, pixels[rows, columns])
        advance = round(font.getlength(character) * UNIT)
        if self._count == len(self._table):
            self._table = np.concatenate([self._table, np.empty_like(self._table)])
            self._font = np.concatenate([self._font, np.empty_like(self._font)])
        self._table[self._count] = (advance, *box, start, rows.size)
        self._font[self._count] = number
        self._characters.append(character)
        self._count += 1
        return self._count - 1

    def _append_pixels(self, places: Ints, values: NDArray[np.uint8]) -> int:
        start, end = self._pixels, self._pixels + len(places)
        while end > len(self._places):
            self._places = np.concatenate([self._places, np.empty_like(self._places)])
            self._values = np.concatenate([self._values, np.empty_like(self._values)])
        self._places[start:end], self._values[start:end] = places, values
        self._pixels = end
        return start

    def _font_of(self, character: str) -> int:
        for number, font in enumerate(self.fonts):
            if ord(character) in font.characters:
                return number
        raise MissingGlyphsError(
            f"no glyph for U+{ord(character):04X} in {', '.join(f.name for f in self.fonts)}",
            hint="name a font that has it",
        )


@lru_cache(maxsize=64)
def load_pillow(font: FontFile, *, size_px: int, shaping: bool = False) -> ImageFont.FreeTypeFont:
    """Return Pillow's font object: basic layout, or Raqm's where `shaping`."""
    engine = ImageFont.Layout.RAQM if shaping else ImageFont.Layout.BASIC
    return ImageFont.truetype(str(font.path), size_px, layout_engine=engine)


def glyph_book(fonts: tuple[FontFile, ...], *, size_px: int, width_px: int) -> GlyphBook:
    """Return this thread's book of these fonts, this size and this page width.

    A book changes as it is read, so threads do not share one. The last few are kept.
    """
    books: dict[tuple[object, ...], GlyphBook] | None = getattr(_THREAD, "books", None)
    if books is None:
        books = _THREAD.books = {}
    key = (fonts, size_px, width_px)
    book = books.pop(key, None) or GlyphBook(fonts, size_px=size_px, width_px=width_px)
    books[key] = book
    if len(books) > _MAX_BOOKS:
        del books[next(iter(books))]
    return book
