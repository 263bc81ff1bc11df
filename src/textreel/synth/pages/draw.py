"""Lines of text at places of a page -> its pixels: one scatter of all inked pixels.

Where glyphs touch, coverages combine as Pillow combines them: `s + MULDIV255(d, 255 - s)`
(`Chops.c` and `Draw.c` of Pillow; glyphs of a line, and lines drawn one after the other, alike).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from textreel.synth.pages.errors import LayoutError
from textreel.synth.pages.fonts import FontFile
from textreel.synth.pages.glyphs import UNIT, GlyphBook, codes_of, load_pillow

Page = NDArray[np.uint8]
Direction = Literal["ltr", "rtl"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedLine:
    """One line as it is drawn.

    Attributes:
        text: what is drawn, without line ends.
        x_px: where the pen starts.
        baseline_px: row of the baseline; ink above it is in smaller rows.
        shaped_by: the font whose letters Raqm joins and orders; None: a glyph per character.
        direction: of the paragraph that a shaped line is part of; None: as its first letter has it.
    """

    text: str
    x_px: int
    baseline_px: int
    shaped_by: FontFile | None = None
    direction: Direction | None = None


def draw_coverage(
    lines: tuple[PlacedLine, ...], book: GlyphBook, *, height_px: int, clip: bool = False
) -> Page:
    """Draw lines.

    Args:
        lines: in order.
        book: glyphs for pages of this width.
        height_px: of the page.
        clip: cut what leaves the page, as the published renderer does.

    Returns:
        uint8 (H, W): 255 where ink covers a pixel wholly, 0 where there is none.

    Raises:
        LayoutError: ink leaves the page, and `clip` is false.
    """
    page = np.zeros(height_px * book.width_px, dtype=np.uint8)
    plain = [line for line in lines if line.text and line.shaped_by is None]
    if plain:
        places, values = _ink_of(plain, book, height_px=height_px, clip=clip)
        _combine(page, places, values, owner=book.scratch(len(page)))
    for line in lines:
        if line.text and line.shaped_by is not None:
            _draw_shaped(page.reshape(height_px, -1), line, size_px=book.size_px, clip=clip)
    return page.reshape(height_px, book.width_px)


def pen_positions(text: str, book: GlyphBook) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return glyph numbers, and where the pen stands before each glyph and after the last.

    Positions are in 1/64 px from the first one; there is one more of them than of glyphs.
    """
    ids = book.ids(codes_of(text))
    pen = np.zeros(len(ids) + 1, dtype=np.int64)
    steps = book.advances(ids)
    steps[:-1] += book.kerning(ids)
    np.cumsum(steps, out=pen[1:])
    return ids, pen


def _ink_of(
    lines: list[PlacedLine], book: GlyphBook, *, height_px: int, clip: bool
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    ids, pen = pen_positions("".join(line.text for line in lines), book)
    lengths = np.array([len(line.text) for line in lines])
    starts = np.cumsum(lengths) - lengths
    # Kerning across a line end moves the pen of the next line's start; taking the pen there as the
    # line's zero takes it out again.
    shifts = np.array([line.x_px for line in lines]) * UNIT - pen[starts]
    columns = (pen[:-1] + np.repeat(shifts, lengths) + UNIT // 2) >> 6
    baselines = np.repeat([line.baseline_px for line in lines], lengths)
    inside, outside = _where(ids, columns, baselines, book, height_px=height_px)
    if not clip and not inside.all():
        _refuse(lines, lengths, ~inside, book, height_px=height_px)
    if inside.all():
        return book.ink(ids, baselines * book.width_px + columns)
    part = ~outside & ~inside
    whole = book.ink(ids[inside], baselines[inside] * book.width_px + columns[inside])
    cut = [
        _cut_ink(ids[at : at + 1], int(columns[at]), int(baselines[at]), book, height_px)
        for at in np.flatnonzero(part).tolist()
    ]
    places, values = zip(whole, *cut, strict=True)
    return np.concatenate(places), np.concatenate(values)


def _where(
    ids: NDArray[np.int32],
    columns: NDArray[np.int64],
    baselines: NDArray[np.int64],
    book: GlyphBook,
    *,
    height_px: int,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which glyphs lie wholly on the page (those without ink do), and which wholly off."""
    left, top, right, bottom = book.boxes(ids)
    empty = right == left
    west, east = columns + left, columns + right
    north, south = baselines + top, baselines + bottom
    inside = (west >= 0) & (east <= book.width_px) & (north >= 0) & (south <= height_px)
    outside = (east <= 0) | (west >= book.width_px) | (south <= 0) | (north >= height_px)
    return inside | empty, outside & ~empty


def _cut_ink(
    id: NDArray[np.int32], column: int, baseline: int, book: GlyphBook, height_px: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the pixels of one glyph that lie on the page."""
    width = book.width_px
    left, _, _, _ = book.boxes(id)
    # Pixels are stored for a page of this width: with the ink's left edge at column 0 of some row
    # far from the first, row and column of each can be told apart.
    far = 2 * height_px + 4 * book.size_px + abs(baseline)
    places, values = book.ink(id, np.array([far * width - int(left[0])]))
    rows = places // width - far + baseline
    columns = places % width + int(left[0]) + column
    kept = (rows >= 0) & (rows < height_px) & (columns >= 0) & (columns < width)
    return rows[kept] * width + columns[kept], values[kept]


def _combine(
    page: Page,
    places: NDArray[np.int64],
    values: NDArray[np.uint8],
    *,
    owner: NDArray[np.int32],
) -> None:
    """Put pixels on a flat page, those that meet another one by Pillow's rule, in their order.

    Args:
        page: uint8 (pixels,), changed.
        places: of the pixels to put.
        values: their coverages.
        owner: scratch, int32 (pixels,).
    """
    while len(places):
        order = np.arange(len(places), dtype=np.int32)
        owner[places[::-1]] = order[::-1]  # of several, the last assignment stays: the first pixel
        winner = owner[places] == order
        if winner.all():
            page[places] = _screen(page[places], values)
            return
        page[places[winner]] = _screen(page[places[winner]], values[winner])
        places, values = places[~winner], values[~winner]


def _screen(under: Page, over: Page) -> Page:
    if not under.any():
        return over
    product = under.astype(np.uint32) * (255 - over.astype(np.uint32)) + 128
    return over + (((product >> 8) + product) >> 8).astype(np.uint8)


def _draw_shaped(page: Page, line: PlacedLine, *, size_px: int, clip: bool) -> None:
    assert line.shaped_by is not None
    font = load_pillow(line.shaped_by, size_px=size_px, shaping=True)
    mask, (left, top) = font.getmask2(line.text, mode="L", anchor="ls", direction=line.direction)
    width, height = mask.size
    pixels = np.array(mask, dtype=np.uint8).reshape(height, width)
    row, column = line.baseline_px + top, line.x_px + left
    rows, columns = np.nonzero(pixels)
    values = pixels[rows, columns]
    rows, columns = rows + row, columns + column
    kept = (rows >= 0) & (rows < page.shape[0]) & (columns >= 0) & (columns < page.shape[1])
    if not clip and not kept.all():
        raise LayoutError(
            f"ink leaves the page of {page.shape[1]} x {page.shape[0]} px in line {line.text!r}",
            hint="this is a fault of the layout: please report the text and the settings",
        )
    rows, columns, values = rows[kept], columns[kept], values[kept]
    page[rows, columns] = _screen(page[rows, columns], values)


def _refuse(
    lines: list[PlacedLine],
    lengths: NDArray[np.int64],
    wrong: NDArray[np.bool_],
    book: GlyphBook,
    *,
    height_px: int,
) -> None:
    number = int(np.repeat(np.arange(len(lines)), lengths)[wrong][0])
    raise LayoutError(
        f"{int(wrong.sum())} glyphs leave the page of {book.width_px} x {height_px} px, the first "
        f"in line {lines[number].text!r}",
        hint="this is a fault of the layout: please report the text and the settings",
    )
