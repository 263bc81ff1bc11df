"""Bench: long text as page pictures, against the published way of drawing them.

    textreel bench pages

The published way (T2Vid's, arXiv 2411.19951): for every page the font is opened, every word and
every line measured by Pillow, every line drawn onto an RGB picture; then a PNG at Pillow's own
level, or the pixels as a tensor (3, H, W). Pillow draws with Raqm where it has it, so that is the
published way; Pillow's basic layout, which is faster, is a side of its own.

Ours draws the same words on the same pages with the same lines as that last side, from the glyph
book; `differences` says by how many grey levels any of their pixels differ. Another case is the
`fit` layout with as many words on a page. Texts: prose, whose words repeat as those of a language
do, and one in which no word occurs twice. Both sides get their words ready split.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features

from textreel.recipes.bench import BenchCase, BenchReport, compare, make_case, make_report
from textreel.synth.pages.export import encode_page
from textreel.synth.pages.fonts import default_font
from textreel.synth.pages.settings import PUBLISHED_TOKENS, PageSettings, published
from textreel.synth.pages.typeset import Typeset, typeset

NUM_WORDS = 60 * PUBLISHED_TOKENS
VOCABULARY = 8000
LETTERS = (
    "eeeeeeeeeeeetttttttttaaaaaaaaooooooooiiiiiiinnnnnnnsssssshhhhhhrrrrrr"
    "ddddllllcccuuummwwffggyyppbbvk"
)
"""Letters about as often as in English."""


def run_bench_pages(*, num_words: int = NUM_WORDS, rounds: int = 5) -> BenchReport:
    """Compare the sides on both texts, into tensors and into PNG files in memory.

    Args:
        num_words: of each text.
        rounds: of every comparison.

    Returns:
        `notes` hold pages per CPU second of our side.
    """
    texts = {"prose": make_prose(num_words), "no word repeats": make_unique(num_words)}
    cases = [
        case
        for name, words in texts.items()
        for case in (
            _compare(name, words, png=False, rounds=rounds),
            _compare(name, words, png=True, rounds=rounds),
        )
    ]
    raqm = features.version("raqm") or "not there"
    return make_report(
        "pages", tuple(cases), remarks=(f"Raqm {raqm}; FreeType {features.version('freetype2')}",)
    )


def make_prose(num_words: int) -> list[str]:
    """Return words of a made-up language, a word's frequency being about one over its rank."""
    generator = Random(0)
    vocabulary = _different_words(VOCABULARY, generator)
    weights = list(accumulate(1 / (rank + 3) for rank in range(VOCABULARY)))
    words = generator.choices(vocabulary, cum_weights=weights, k=num_words)
    return [w + ("." if generator.random() < 0.06 else "") for w in words]


def make_unique(num_words: int) -> list[str]:
    """Return words that are all different, about as long as those of prose."""
    return _different_words(num_words, Random(1))


def _different_words(count: int, generator: Random) -> list[str]:
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(generator.choices(LETTERS, k=generator.choice((3, 4, 4, 5, 5, 6, 7))))] = None
    return list(words)


def _compare(name: str, words: Sequence[str], *, png: bool, rounds: int) -> BenchCase:
    basic = published(engine="basic")
    fit = PageSettings(words=PUBLISHED_TOKENS)
    sides: dict[str, Callable[[], object]] = {
        "ours": partial(_ours, words, basic, png=png),
        "ours, fit layout": partial(_ours, words, fit, png=png),
        "published way": partial(_published_way, words, png=png, engine=None),
        "published way, basic layout": partial(
            _published_way, words, png=png, engine=ImageFont.Layout.BASIC
        ),
    }
    for side in sides.values():
        side()
    timings = compare(sides, rounds=rounds)
    pages = -(-len(words) // PUBLISHED_TOKENS)
    notes = {"pages per CPU second": pages / timings[0].median_cpu_s}
    if not png:
        notes["pages of the fit layout"] = len(_document(words, fit).pages)
    return make_case(
        f"{name}, {'PNG' if png else 'tensor'}",
        timings,
        settings={"words": len(words), "pages": pages, "font": default_font().name},
        differences={"largest grey level, basic layout": _difference(words, basic)},
        notes=notes,
    )


def _document(words: Sequence[str], settings: PageSettings) -> Typeset:
    text = " ".join(words)
    if settings.layout == "published":
        return typeset(text, settings, tokens=words)
    return typeset(text, settings, search=False)


def _ours(words: Sequence[str], settings: PageSettings, *, png: bool) -> None:
    document = _document(words, settings)
    for number in range(len(document.pages)):
        page = document.draw(number)
        if png:
            encode_page(page)
        else:
            torch.from_numpy(np.repeat(page[None], 3, axis=0))


def _published_way(words: Sequence[str], *, png: bool, engine: ImageFont.Layout | None) -> None:
    for start in range(0, len(words), PUBLISHED_TOKENS):
        picture = _published_page(words[start : start + PUBLISHED_TOKENS], engine)
        if png:
            picture.save(io.BytesIO(), format="PNG")
        else:
            torch.from_numpy(np.array(picture).transpose(2, 0, 1).copy())


def _published_page(words: Sequence[str], engine: ImageFont.Layout | None) -> Image.Image:
    """Draw one page as the published code does: steps and order, not its lines."""
    settings = published()
    picture = Image.new("RGB", (settings.width_px, settings.height_px), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.truetype(str(default_font().path), settings.font_px, layout_engine=engine)
    room = settings.width_px - 2 * settings.margin_px
    lines: list[list[str]] = [[]]
    used = 0.0
    for word in words:
        width = font.getbbox(f"{word} ")[2]
        if used + width > room:
            lines.append([])
            used = 0.0
        lines[-1].append(word)
        used += width
    texts = [" ".join(line) for line in lines]
    y = (settings.height_px - sum(font.getbbox(text)[3] for text in texts)) / 2
    for text in texts:
        height = font.getbbox(text)[3]
        draw.text((settings.margin_px, y), text, font=font, fill="black")
        y += height
    return picture


def _difference(words: Sequence[str], settings: PageSettings) -> float:
    """Return the largest difference of any pixel from Pillow's basic layout, in grey levels."""
    document = _document(words, replace(settings))
    worst = 0
    for number in range(len(document.pages)):
        part = words[number * PUBLISHED_TOKENS : (number + 1) * PUBLISHED_TOKENS]
        theirs = np.array(_published_page(part, ImageFont.Layout.BASIC).convert("L"))
        worst = max(worst, _largest(document.draw(number), theirs))
    return float(worst)


def _largest(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
    return int(np.abs(one.astype(np.int16) - other).max())
