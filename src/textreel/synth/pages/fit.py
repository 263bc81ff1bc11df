"""The `fit` layout: lines measured to fit, pages that end where a reader would end them.

A page takes as many lines as fit, or as many words or characters as it may. If the text goes on, it
ends after the last paragraph that ends in its last quarter, else after the last sentence that does,
else where it is full. A word wider than a line is broken between characters. Blank lines are drawn
as one, and not at the top of a page. What lies between two pages belongs to the first, so pages are
cut from the source without a gap: joined, they are the source.
"""

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np

from textreel.synth.pages.breaks import (
    cluster_start,
    line_breaks,
    paragraph_ends,
    sentence_ends,
    word_starts,
)
from textreel.synth.pages.display import Display
from textreel.synth.pages.draw import PlacedLine, pen_positions
from textreel.synth.pages.errors import LayoutError
from textreel.synth.pages.glyphs import UNIT, GlyphBook
from textreel.synth.pages.scripts import is_shaped
from textreel.synth.pages.settings import PageSettings
from textreel.synth.pages.shaping import ShapedLine, shape_line, shaped_ink

LAST_PART = 0.75
"""A page may end early, but not before this share of what it could hold."""


_BLANK_REST = re.compile(r"[^\S\n]*(?:\n|\Z)")
"""What follows a place up to the end of its line, if it is all white space."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One page of a text.

    Attributes:
        start: where its text begins in the source.
        end: where the text of the next one begins.
        lines: what is drawn.
    """

    start: int
    end: int
    lines: tuple[PlacedLine, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Where lines go on a page, in px: made of the settings and of the ink of the glyphs used."""

    left: int
    right: int
    first_baseline: int
    pitch: int
    capacity: int

    @property
    def width(self) -> int:
        """What a line may measure."""
        return self.right - self.left


def make_frame(text: str, book: GlyphBook, settings: PageSettings) -> Frame:
    """Return where the lines of `text` go, so that no ink of it leaves the page.

    Raises:
        LayoutError: the page holds no line, or its lines not even the widest character.
    """
    ids, _ = pen_positions("".join(sorted(set(text) - {"\n"})) or " ", book)
    advances = book.advances(ids)
    left, top, right, bottom = book.boxes(ids)
    over_left = max(settings.margin_px, -int(left.min()))
    over_right = max(settings.margin_px, int((right - advances // UNIT).max()) + 1)
    above, below = shaped_ink(text, book=book)
    ascent = max(book.ascent_px, -int(top.min()), above)
    descent = max(book.descent_px, int(bottom.max()), below)
    pitch = int(np.ceil((ascent + descent) * settings.line_spacing))
    room = settings.height_px - 2 * settings.margin_px - ascent - descent
    frame = Frame(
        left=over_left,
        right=settings.width_px - over_right,
        first_baseline=settings.margin_px + ascent,
        pitch=pitch,
        capacity=1 + room // pitch if room >= 0 else 0,
    )
    widest = -(-int(advances.max()) // UNIT)
    if frame.capacity < 1 or frame.width < widest:
        raise LayoutError(
            f"a page of {settings.width_px} x {settings.height_px} px with margins of "
            f"{settings.margin_px} px holds no line of {ascent + descent} px, or none as wide as "
            f"the widest character ({widest} px)",
            hint="larger pages, smaller margins or smaller letters",
        )
    return frame


def fit_pages(
    source: str, display: Display, book: GlyphBook, settings: PageSettings
) -> tuple[Page, ...]:
    """Break a text into pages.

    Args:
        source: the text, not blank.
        display: what is drawn for it.
        book: glyphs of fonts that cover it.
        settings: of a page, layout `fit`.

    Raises:
        LayoutError: a page holds nothing.
        MissingGlyphsError: a script that needs shaping cannot be shaped here.
    """
    setter = _Setter(display.text, book, settings)
    spans, at = [], 0
    while at < len(display.text):
        start = at
        lines, at = setter.fill(start)
        if lines:
            spans.append((start, at, lines))
    ends = [display.to_source(start) for start, _, _ in spans[1:]] + [len(source)]
    starts = [0, *ends[:-1]]
    return tuple(
        Page(start=a, end=b, lines=setter.place(lines))
        for a, b, (_, _, lines) in zip(starts, ends, spans, strict=True)
    )


Span = tuple[int, int]
"""Start and end in the displayed text of what a line draws; both equal: a blank line."""


class _Setter:
    """Breaks one displayed text into lines and pages."""

    def __init__(self, text: str, book: GlyphBook, settings: PageSettings) -> None:
        self.text, self.settings = text, settings
        self.book = book
        self.frame = make_frame(text, book, settings)
        self.shaped_text = is_shaped(text)
        _, self.pen = pen_positions(text.replace("\n", " "), book)
        self.words = word_starts(text) if settings.words is not None else []
        self.paragraphs, self.sentences = paragraph_ends(text), sentence_ends(text)
        self._visible_end = len(text.rstrip())
        self._hard = (-1, -1)  # the line between two line ends that is being broken
        self._shaped_span = (-1, -1)
        self._shaped_line: ShapedLine | None = None

    def fill(self, start: int) -> tuple[list[Span], int]:
        """Return the lines of the page that begins at `start`, and where the next one begins."""
        at, stop = start, self._stop(start)
        lines: list[Span] = []
        while at < stop and len(lines) < self.frame.capacity:
            end = self._line_end(at)
            if _BLANK_REST.match(self.text, at):
                if lines and lines[-1][0] != lines[-1][1]:
                    lines.append((at, at))
                at = end + 1
                continue
            if lines and stop < self._first_break(at, end):
                break  # the limit of words or characters is reached: no word is parted for it
            drawn_end, following = self._next_line(at, end=end, stop=stop)
            lines.append((at, drawn_end))
            at = end + 1 if following >= end else following
        if at >= self._visible_end:
            at = len(self.text)
        elif lines:
            at = self._better_end(start, at)
        return self._cut(lines, at), at

    def place(self, lines: list[Span]) -> tuple[PlacedLine, ...]:
        """Return lines at their places."""
        placed = []
        for number, (start, end) in enumerate(lines):
            if start == end:
                continue
            text = self.text[start:end]
            baseline = self.frame.first_baseline + number * self.frame.pitch
            placed.append(self._place(text, baseline, self._shaped(start)))
        return tuple(placed)

    def _place(self, text: str, baseline_px: int, shaped: ShapedLine | None) -> PlacedLine:
        if shaped is None:
            return PlacedLine(text=text, x_px=self.frame.left, baseline_px=baseline_px)
        return PlacedLine(
            text=text,
            x_px=shaped.x_px(text, frame_left=self.frame.left, frame_right=self.frame.right),
            baseline_px=baseline_px,
            shaped_by=shaped.font,
            direction=shaped.direction,
        )

    def _stop(self, start: int) -> int:
        """Return where the page that begins at `start` ends at the latest."""
        stop = len(self.text)
        if self.settings.characters is not None:
            stop = min(stop, start + self.settings.characters)
        if self.settings.words is not None:
            last = bisect_left(self.words, start) + self.settings.words
            stop = min(stop, self.words[last] if last < len(self.words) else stop)
        return stop

    def _line_end(self, at: int) -> int:
        end = self.text.find("\n", at)
        return len(self.text) if end < 0 else end

    def _next_line(self, at: int, *, end: int, stop: int) -> Span:
        """Return where what a line draws ends, and where the next line begins."""
        self._break_hard_line(at, end)
        limit = min(end, stop)
        first = bisect_right(self._ends, at)
        last = bisect_right(self._ends, limit) - 1
        shaped = self._shaped(at)
        if shaped is None:
            room = int(self.pen[at]) + self.frame.width * UNIT
            best = min(last, bisect_right(self._tails, room) - 1)
        else:
            best = shaped.last_that_fits(at, self._ends, first=first, last=last)
        if best >= first:
            return self._ends[best], self._nexts[best]
        return self._break_word(at, limit, shaped)

    def _first_break(self, at: int, end: int) -> int:
        """Return where the first word from `at` on ends."""
        self._break_hard_line(at, end)
        return self._ends[bisect_right(self._ends, at)]

    def _break_word(self, at: int, limit: int, shaped: ShapedLine | None) -> Span:
        if shaped is None:
            room = int(self.pen[at]) + self.frame.width * UNIT
            place = int(np.searchsorted(self.pen[at : limit + 1], room, side="right")) - 1 + at
        else:
            places = range(at + 1, limit + 1)
            place = at + 1 + shaped.last_that_fits(at, places, first=0, last=len(places) - 1)
        place = cluster_start(self.text, min(max(place, at + 1), limit), first=at)
        return place, place

    def _break_hard_line(self, at: int, end: int) -> None:
        if self._hard[0] <= at and self._hard[1] == end:
            return
        start = self.text.rfind("\n", 0, at) + 1
        found = line_breaks(self.text[start:end])
        self._hard = (start, end)
        self._ends = [start + a for a, _ in found]
        self._nexts = [start + b for _, b in found]
        self._tails = np.maximum.accumulate(self.pen[self._ends]).tolist()

    def _shaped(self, at: int) -> ShapedLine | None:
        if not self.shaped_text:
            return None
        if not self._shaped_span[0] <= at <= self._shaped_span[1]:
            start, end = self.text.rfind("\n", 0, at) + 1, self._line_end(at)
            self._shaped_span = (start, end)
            self._shaped_line = shape_line(
                self.text[start:end], self.text, book=self.book, width_px=self.frame.width
            )
        return self._shaped_line

    def _better_end(self, start: int, end: int) -> int:
        """Return where to end a page that is full at `end`."""
        least = start + LAST_PART * (end - start)
        for ends in (self.paragraphs, self.sentences):
            last = bisect_right(ends, end) - 1
            if last >= 0 and ends[last] >= least:
                return ends[last]
        return end

    def _cut(self, lines: list[Span], end: int) -> list[Span]:
        """Return lines up to `end`, without blank ones at the end."""
        kept = []
        for a, b in lines:
            if a >= end:
                break
            b = min(b, a + len(self.text[a : min(b, end)].rstrip()))
            kept.append((a, b))
        while kept and kept[-1][0] == kept[-1][1]:
            kept.pop()
        return kept
