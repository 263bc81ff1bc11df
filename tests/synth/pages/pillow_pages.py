"""The same lines drawn by Pillow on a page with a wide border: what a page should look like."""

import numpy as np
from PIL import Image, ImageDraw

from textreel.synth.pages.glyphs import load_pillow
from textreel.synth.pages.typeset import Typeset

BORDER_PX = 120


def pillow_page(document: Typeset, number: int) -> tuple[np.ndarray, int]:
    """Return a page drawn by Pillow, black on white, and how many of its pixels were cut off."""
    settings = document.settings
    size = (settings.width_px + 2 * BORDER_PX, settings.height_px + 2 * BORDER_PX)
    canvas = Image.new("L", size, 255)
    draw = ImageDraw.Draw(canvas)
    for line in document.pages[number].lines:
        place = (line.x_px + BORDER_PX, line.baseline_px + BORDER_PX)
        if line.shaped_by is not None:
            font = load_pillow(line.shaped_by, size_px=settings.font_px, shaping=True)
            draw.text(place, line.text, font=font, fill=0, anchor="ls", direction=line.direction)
            continue
        assert len(document.fonts) == 1, "Pillow draws a line with one font"
        font = load_pillow(document.fonts[0], size_px=settings.font_px)
        draw.text(place, line.text, font=font, fill=0, anchor="ls")
    pixels = np.array(canvas)
    page = pixels[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]
    return page, int((pixels < 255).sum() - (page < 255).sum())


def assert_whole(document: Typeset) -> None:
    """Check every page: nothing cut, and the pixels are Pillow's."""
    assert document.pages
    for number in range(len(document.pages)):
        page, lost = pillow_page(document, number)
        assert lost == 0, f"page {number} of {document!r}: {lost} inked pixels beyond its edge"
        np.testing.assert_array_equal(document.draw(number), page)


def joined(document: Typeset) -> str:
    return "".join(document.page_text(number) for number in range(len(document.pages)))
