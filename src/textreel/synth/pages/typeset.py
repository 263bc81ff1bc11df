"""A text and settings -> pages, drawn only when they are looked at.

document = typeset(text, PageSettings())
len(document.pages), document.page_text(0)
document.draw(0)                  uint8 (H, W)
document.clip()                   a `Clip` like that of any video
Typeset.from_json(text, record)   the same pages on another machine, by the fonts' hashes
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from textreel.media.clip import Clip
from textreel.synth.pages.choosing import choose_fonts, refuse_missing
from textreel.synth.pages.display import make_display
from textreel.synth.pages.draw import draw_coverage
from textreel.synth.pages.errors import EmptyTextError, LayoutError
from textreel.synth.pages.fit import Page, fit_pages
from textreel.synth.pages.fonts import FontFile, default_font, font_by_hash
from textreel.synth.pages.glyphs import GlyphBook, glyph_book
from textreel.synth.pages.published import published_pages
from textreel.synth.pages.scripts import VISIBLE_PATTERN
from textreel.synth.pages.settings import SMALLEST_FONT_PX, PageSettings, with_font_px


@dataclass(frozen=True, kw_only=True)
class Typeset:
    """A text as pages.

    Attributes:
        text: the source.
        settings: they were made with; a budget is resolved into the font size it led to.
        fonts: that draw it.
        pages: at least one.
        found: those of the fonts that were found on the machine, not named; the last ones.
    """

    text: str
    settings: PageSettings
    fonts: tuple[FontFile, ...]
    pages: tuple[Page, ...]
    found: tuple[FontFile, ...] = ()

    def __repr__(self) -> str:
        return (
            f"Typeset({len(self.text)} characters, {len(self.pages)} pages of "
            f"{self.settings.width_px} x {self.settings.height_px} px)"
        )

    @cached_property
    def _shades(self) -> NDArray[np.uint8]:
        """Grey level of each coverage: Pillow's blend, DIV255(paper * (255 - c) + ink * c)."""
        covered = np.arange(256, dtype=np.uint32)
        product = self.settings.paper * (255 - covered) + self.settings.ink * covered + 128
        return (((product >> 8) + product) >> 8).astype(np.uint8)

    @property
    def _book(self) -> GlyphBook:
        return glyph_book(
            self.fonts, size_px=self.settings.font_px, width_px=self.settings.width_px
        )

    def page_text(self, number: int) -> str:
        """Return the part of the source that a page shows.

        With the `fit` layout all of them joined are the source; `published` shows word tokens.
        """
        if self.settings.layout == "published":
            return " ".join(line.text for line in self.pages[number].lines if line.text)
        page = self.pages[number]
        return self.text[page.start : page.end]

    def draw(self, number: int) -> NDArray[np.uint8]:
        """Return one page, uint8 (H, W), grey levels."""
        coverage = draw_coverage(
            self.pages[number].lines,
            self._book,
            height_px=self.settings.height_px,
            clip=self.settings.layout == "published",
        )
        if (self.settings.ink, self.settings.paper) == (0, 255):
            return np.invert(coverage, out=coverage)
        return self._shades[coverage]

    def frames(self) -> NDArray[np.uint8]:
        """Return all pages, uint8 (T, 3, H, W); the three channels are equal."""
        size = (self.settings.height_px, self.settings.width_px)
        frames = np.empty((len(self.pages), 3, *size), dtype=np.uint8)
        for number in range(len(self.pages)):
            frames[number] = self.draw(number)
        return frames

    def clip(self, *, source: str = "pages") -> Clip:
        """Return all pages as a video of one page a second."""
        count = len(self.pages)
        return Clip(
            frames=self.frames(),
            frame_times_s=np.arange(count, dtype=np.float64),
            duration_s=float(count),
            source=source,
        )

    def to_json(self) -> dict[str, Any]:
        """Return what makes the same pages of the same text anywhere: settings and font hashes."""
        return {
            "settings": self.settings.to_json(),
            "fonts": [
                {"name": font.name, "sha256": font.sha256}
                | ({"found": True} if font in self.found else {})
                for font in self.fonts
            ],
            "num_pages": len(self.pages),
        }

    @classmethod
    def from_json(cls, text: str, values: Mapping[str, Any]) -> Self:
        """Typeset `text` again as `to_json` recorded it.

        Raises:
            FontError: a font of these hashes is not on this machine.
            LayoutError: the text gives another number of pages, so it is not the recorded one.
        """
        fonts: dict[bool, list[FontFile]] = {False: [], True: []}
        for font in values["fonts"]:
            fonts[font.get("found", False)].append(font_by_hash(font["sha256"]))
        settings = PageSettings.from_json(values["settings"])
        made = typeset(text, settings, fonts=fonts[False], search=fonts[True])
        if len(made.pages) != values["num_pages"]:
            raise LayoutError(
                f"the text gives {len(made.pages)} pages, {values['num_pages']} were recorded",
                hint="this is not the text of the record",
            )
        return cls(
            text=text,
            settings=made.settings,
            fonts=made.fonts,
            pages=made.pages,
            found=made.found,
        )


def typeset(
    text: str,
    settings: PageSettings,
    *,
    fonts: Sequence[FontFile] = (),
    search: bool | Sequence[FontFile] = True,
    folders: Sequence[Path] | None = None,
    tokens: Sequence[str] | None = None,
) -> Typeset:
    """Break a text into pages; nothing is drawn yet.

    Args:
        text: any text with something in it.
        settings: of the pages.
        fonts: in order of preference; none: the default font.
        search: whether characters that these lack may be drawn by fonts of the machine; or all
            fonts of it that may draw them, in order of preference.
        folders: where those are looked for; None: the machine's usual folders.
        tokens: word tokens of the text, for the published layout; None: by its rules without a
            model of sentences.

    Raises:
        EmptyTextError: no text, or white space only.
        MissingGlyphsError: characters that cannot be drawn.
        LayoutError: the page holds nothing, or the text does not fit into its budget.
        FontError: the default font is missing.
    """
    if not VISIBLE_PATTERN.search(text):
        raise _empty(text)
    named = tuple(fonts) or (default_font(),)
    if settings.layout == "published":
        pages = published_pages(text, named[0], settings, tokens=tokens)
        return Typeset(text=text, settings=settings, fonts=named[:1], pages=pages)
    if tokens is not None:
        raise LayoutError("tokens have no effect on the fit layout", hint="leave them out")
    return _fit(text, settings, named, search=search, folders=folders)


def _fit(
    text: str,
    settings: PageSettings,
    named: tuple[FontFile, ...],
    *,
    search: bool | Sequence[FontFile],
    folders: Sequence[Path] | None,
) -> Typeset:
    has_glyph = frozenset().union(*(font.characters for font in named))
    display = make_display(text, reflow=settings.reflow, has_glyph=has_glyph)
    chosen, missing = choose_fonts(
        set(display.text) - {"\n"}, named, search=search, folders=folders
    )
    if settings.missing == "code" and missing:
        display = make_display(text, reflow=settings.reflow, has_glyph=has_glyph, coded=missing)
    else:
        refuse_missing(missing, fonts=chosen)

    def pages_at(font_px: int) -> tuple[Page, ...]:
        book = glyph_book(chosen, size_px=font_px, width_px=settings.width_px)
        return fit_pages(text, display, book, with_font_px(settings, font_px))

    if settings.max_pages is not None:
        settings = with_font_px(settings, _largest_font(pages_at, settings))
    return Typeset(
        text=text,
        settings=settings,
        fonts=chosen,
        pages=pages_at(settings.font_px),
        found=tuple(font for font in chosen if font not in named),
    )


def _empty(text: str) -> EmptyTextError:
    return EmptyTextError(
        f"a text of {len(text)} characters, none of them visible, has no pages",
        hint="a sample without context is no page sample: leave it out",
    )


def _largest_font(pages_at: Callable[[int], tuple[Page, ...]], settings: PageSettings) -> int:
    """Return the largest size, in px, at which the pages are not more than the budget pays for."""
    allowed = settings.max_pages or 0
    least, most = SMALLEST_FONT_PX, settings.font_px
    if (needed := len(pages_at(least))) > allowed:
        raise LayoutError(
            f"{settings.visual_tokens} visual tokens pay for {allowed} pages, and the text needs "
            f"{needed} even in letters of {least} px",
            hint="a larger budget, larger pages, or a shorter text",
        )
    while least < most:
        middle = (least + most + 1) // 2
        if len(pages_at(middle)) <= allowed:
            least = middle
        else:
            most = middle - 1
    return least
