"""The `published` layout against pages that T2Vid's own code drew."""

import math

import numpy as np
import pytest
from PIL import Image, features
from PIL import __version__ as pillow_version

from tests.parity.t2vid_cases import (
    FLAVOURS,
    FONT,
    VARIANTS,
    golden_texts,
    read_goldens,
    rgb_sha256,
)
from textreel.synth.pages.errors import EmptyTextError
from textreel.synth.pages.fonts import open_font
from textreel.synth.pages.glyphs import load_pillow
from textreel.synth.pages.settings import published
from textreel.synth.pages.treebank import treebank_tokens
from textreel.synth.pages.typeset import Typeset, typeset

ASCENT_PX = 19
CLOSE_GREY_LEVELS = 2.0
"""Mean difference that another Pillow or FreeType may make (the goldens' own tolerance)."""


def typeset_golden(text: str, tokens: list[str]) -> Typeset:
    return typeset(text, published(), fonts=(open_font(FONT),), tokens=tokens)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_font_is_the_goldens_font(variant: str) -> None:
    assert read_goldens(variant)["font"]["sha256"] == open_font(FONT).sha256
    assert load_pillow(open_font(FONT), size_px=20).getmetrics()[0] == ASCENT_PX


@pytest.mark.parametrize("variant", VARIANTS)
def test_tokens_equal(variant: str) -> None:
    texts = golden_texts(variant)
    assert len(texts) >= 4
    for text in texts:
        assert treebank_tokens(text.text) == text.tokens["preserve_line"], text.name


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_parts_lines_and_positions_equal(variant: str, flavour: str) -> None:
    compared = 0
    for text in golden_texts(variant):
        if not text.tokens[flavour]:
            continue  # see test_a_text_without_words_has_no_pages
        document = typeset_golden(text.text, text.tokens[flavour])
        for page, golden in zip(document.pages, text.pages[flavour], strict=True):
            assert [line.text for line in page.lines] == golden.lines, text.name
            tops = [(line.x_px, line.baseline_px - ASCENT_PX) for line in page.lines]
            assert tops == [(x, math.ceil(y - 0.5)) for x, y in golden.tops], text.name
            compared += 1
    assert compared >= 8


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_pixels_equal(variant: str, flavour: str) -> None:
    versions = read_goldens(variant)["versions"]
    here = {"pillow": pillow_version, "freetype": features.version("freetype2")}
    same = all(versions[name] == version for name, version in here.items())
    compared = 0
    for text in golden_texts(variant):
        if not text.tokens[flavour]:
            continue
        document = typeset_golden(text.text, text.tokens[flavour])
        for number, golden in enumerate(text.pages[flavour]):
            if same and golden.pixels_sha256 is not None:
                assert rgb_sha256(document.draw(number)) == golden.pixels_sha256, text.name
                compared += 1
            elif golden.png is not None:
                drawn = np.array(Image.open(golden.png).convert("L"), dtype=np.int16)
                assert np.abs(document.draw(number) - drawn).mean() < CLOSE_GREY_LEVELS, text.name
                compared += 1
    assert compared >= 2


@pytest.mark.parametrize("variant", VARIANTS)
def test_lines_at_the_functions_own_default_size_equal(variant: str) -> None:
    compared = 0
    for text in golden_texts(variant):
        for flavour, pages in text.size24_lines.items():
            settings = published()
            larger = type(settings).from_json(settings.to_json() | {"font_px": 24})
            document = typeset(
                text.text, larger, fonts=(open_font(FONT),), tokens=text.tokens[flavour]
            )
            assert [[line.text for line in page.lines] for page in document.pages] == pages
            compared += len(pages)
    assert compared >= 8


def test_a_text_without_words_has_no_pages() -> None:
    empty = [t for v in VARIANTS for t in golden_texts(v) if not t.tokens["preserve_line"]]
    assert empty and all(text.pages["preserve_line"] == [] for text in empty)
    with pytest.raises(EmptyTextError, match="has no pages"):
        typeset_golden(empty[0].text, [])
