from random import Random

import numpy as np
import pytest
from PIL import Image, ImageDraw

from textreel.synth.pages import glyphs
from textreel.synth.pages.draw import PlacedLine, draw_coverage
from textreel.synth.pages.fonts import default_font
from textreel.synth.pages.glyphs import GlyphBook

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,;'\"-()éÅğЖЯфΩ"


def random_lines(random: Random, *, step_px: int) -> tuple[PlacedLine, ...]:
    return tuple(
        PlacedLine(
            text="".join(random.choices(LETTERS, k=28)),
            x_px=random.randrange(-30, 40),
            baseline_px=number * step_px + random.randrange(12),
        )
        for number in range(12)
    )


def by_pillow(lines: tuple[PlacedLine, ...], book: GlyphBook, *, height_px: int) -> np.ndarray:
    image = Image.new("L", (book.width_px, height_px), 0)
    draw = ImageDraw.Draw(image)
    for line in lines:
        place = (line.x_px, line.baseline_px)
        draw.text(place, line.text, font=book.pillow[0], fill=255, anchor="ls")
    return np.array(image)


@pytest.mark.parametrize("size_px", [9, 20, 31])
def test_pixels_are_those_of_pillows_basic_layout_also_at_the_edges(size_px: int) -> None:
    book = GlyphBook((default_font(),), size_px=size_px, width_px=300)
    random = Random(size_px)
    for _ in range(6):
        lines = random_lines(random, step_px=size_px + 12)
        page = draw_coverage(lines, book, height_px=240, clip=True)
        np.testing.assert_array_equal(page, by_pillow(lines, book, height_px=240))


def test_glyphs_that_meet_combine_as_in_pillow() -> None:
    book = GlyphBook((default_font(),), size_px=20, width_px=200)
    two = (
        PlacedLine(text="WAVES", x_px=10, baseline_px=30),
        PlacedLine(text="mixed", x_px=12, baseline_px=33),
    )
    page = draw_coverage(two, book, height_px=50)
    np.testing.assert_array_equal(page, by_pillow(two, book, height_px=50))


def test_kerning_of_later_glyphs_is_the_same(monkeypatch) -> None:
    monkeypatch.setattr(glyphs, "_PAIRED", 2)
    monkeypatch.setattr(glyphs, "_MAX_LATER_PAIRS", 3)
    book = GlyphBook((default_font(),), size_px=20, width_px=400)
    lines = (PlacedLine(text="AVAToTaWAVeLT", x_px=5, baseline_px=30),)
    page = draw_coverage(lines, book, height_px=40)
    np.testing.assert_array_equal(page, by_pillow(lines, book, height_px=40))


def test_nothing_is_drawn_for_empty_lines() -> None:
    book = GlyphBook((default_font(),), size_px=20, width_px=50)
    line = PlacedLine(text="", x_px=5, baseline_px=30)
    assert not draw_coverage((line,), book, height_px=40).any()
