"""The `published` layout against pages that T2Vid's own code drew, for every case there is."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, features
from PIL import __version__ as pillow_version

from tests.parity.cases import Case, find_cases
from tests.parity.t2vid_cases import (
    PATTERN,
    GoldenText,
    golden_font,
    golden_texts,
    rgb_sha256,
)
from textreel.synth.pages.errors import EmptyTextError
from textreel.synth.pages.glyphs import load_pillow
from textreel.synth.pages.settings import PageSettings, published
from textreel.synth.pages.treebank import treebank_tokens
from textreel.synth.pages.typeset import Typeset, typeset

ASCENT_PX = 19
CLOSE_GREY_LEVELS = 2.0
"""Mean difference that another Pillow or FreeType may make (the goldens' own tolerance)."""
each_case = pytest.mark.parametrize("case", find_cases(PATTERN))


def typeset_golden(
    case: Case, text: GoldenText, flavour: str, settings: PageSettings | None = None
) -> Typeset:
    fonts = (golden_font(case),)
    return typeset(text.text, settings or published(), fonts=fonts, tokens=text.tokens[flavour])


def with_words(case: Case) -> Iterator[tuple[GoldenText, str]]:
    """Every text with words, in every flavour."""
    for text in golden_texts(case):
        yield from ((text, flavour) for flavour, tokens in text.tokens.items() if tokens)


@each_case
def test_the_fonts_ascent_is_the_published_one(case: Case) -> None:
    assert load_pillow(golden_font(case), size_px=20).getmetrics()[0] == ASCENT_PX


@each_case
def test_tokens_equal(case: Case) -> None:
    texts = [text for text in golden_texts(case) if "preserve_line" in text.tokens]
    assert texts
    for text in texts:
        assert treebank_tokens(text.text) == text.tokens["preserve_line"], text.name


@each_case
def test_parts_lines_and_positions_equal(case: Case) -> None:
    compared = set()
    for text, flavour in with_words(case):
        document = typeset_golden(case, text, flavour)
        for page, golden in zip(document.pages, text.pages[flavour], strict=True):
            assert [line.text for line in page.lines] == golden.lines, text.name
            tops = [(line.x_px, line.baseline_px - ASCENT_PX) for line in page.lines]
            assert tops == [(x, math.ceil(y - 0.5)) for x, y in golden.tops], text.name
            compared.add(flavour)
    assert compared == {flavour for text in golden_texts(case) for flavour in text.tokens}


@each_case
def test_pixels_equal(case: Case) -> None:
    versions = case.json["versions"]
    here = {"pillow": pillow_version, "freetype": features.version("freetype2")}
    same = all(versions[name] == version for name, version in here.items())
    compared = 0
    for text, flavour in with_words(case):
        document = typeset_golden(case, text, flavour)
        for number, golden in enumerate(text.pages[flavour]):
            if same and golden.pixels_sha256 is not None:
                assert rgb_sha256(document.draw(number)) == golden.pixels_sha256, text.name
                compared += 1
            elif golden.png is not None:
                drawn = np.array(Image.open(golden.png).convert("L"), dtype=np.int16)
                assert np.abs(document.draw(number) - drawn).mean() < CLOSE_GREY_LEVELS, text.name
                compared += 1
    assert compared


@each_case
def test_lines_at_the_functions_own_default_size_equal(case: Case) -> None:
    larger = PageSettings.from_json(published().to_json() | {"font_px": 24})
    compared = 0
    for text in golden_texts(case):
        for flavour, pages in text.size24_lines.items():
            document = typeset_golden(case, text, flavour, larger)
            assert [[line.text for line in page.lines] for page in document.pages] == pages
            compared += len(pages)
    assert compared


@each_case
def test_a_text_without_words_has_no_pages(case: Case) -> None:
    for text in golden_texts(case):
        for flavour, tokens in text.tokens.items():
            if not tokens:
                assert text.pages[flavour] == []
                with pytest.raises(EmptyTextError, match="has no pages"):
                    typeset_golden(case, text, flavour)
