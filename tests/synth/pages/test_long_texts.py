"""Long texts, real and generated: whole when joined, unclipped, every pixel Pillow's."""

import json
import os
import tracemalloc
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.synth.pages.font_files import make_font
from tests.synth.pages.pillow_pages import assert_whole, joined
from textreel.synth.pages.fonts import default_font, open_font
from textreel.synth.pages.settings import PageSettings
from textreel.synth.pages.typeset import typeset

SHARED = Path(os.environ.get("TEXTREEL_SHARED", Path(__file__).parents[3] / ".." / "shared"))
CHARACTERS = 300_000
"""Of each file: about 600 pages."""


ALPHABETS = {
    "Latin": "abcdefghijklmnopqrstuvwxyzàéîõüçß",
    "Greek": "αβγδεζηθικλμνξοπρστυφχψωάέήίόύώ",
    "Cyrillic": "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    "Arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "Hebrew": "אבגדהוזחטיכלמנסעפצקרשתםןףץך",
    "Chinese": "的一是在不了有和人这中大为上个国我以要他",
}
LETTERS = 20_000
"""Of each generated text: about 50 pages."""


def long_texts() -> list[Any]:
    """Every file of the folder of texts, or one case that skips where there is no folder."""
    if not (SHARED / "text").is_dir():
        skip = pytest.mark.skip(reason=f"no {SHARED / 'text'} (set TEXTREEL_SHARED)")
        return [pytest.param(None, id="absent", marks=skip)]
    found = sorted(path for path in (SHARED / "text").iterdir() if path.is_file())
    assert found
    return [pytest.param(path, id=path.name) for path in found]


def words_of(path: Path) -> str:
    """Return all that a file of text, JSON or JSON lines says."""
    content = path.read_text(encoding="utf-8")
    if path.suffix == ".txt":
        return content
    one = path.suffix == ".json"
    rows = json.loads(content) if one else [json.loads(line) for line in content.splitlines()]
    return "\n\n".join(" | ".join(map(str, row.values())) for row in rows)


def generated(script: str, rng: Random) -> str:
    """Write words and sentences of a script's letters; Chinese has no spaces."""
    letters, made, size = ALPHABETS[script], [], 0
    while size < LETTERS:
        word = "".join(rng.choices(letters, k=rng.randint(1, 30 if script == "Chinese" else 12)))
        made.append(word + rng.choice(("", "", "", ",", ".", ".\n", "!\n\n")))
        size += len(word)
    return ("" if script == "Chinese" else " ").join(made)


@pytest.mark.slow
@pytest.mark.parametrize("path", long_texts())
def test_a_long_text_comes_back_whole_and_unclipped(path: Path) -> None:
    text = words_of(path)[:CHARACTERS]
    assert len(text) > 1000
    for settings in (
        PageSettings(missing="code"),
        PageSettings(missing="code", width_px=224, height_px=224, font_px=13, margin_px=2),
    ):
        document = typeset(text, settings, search=False)
        assert joined(document) == text
        assert_whole(document)


@pytest.mark.slow
@pytest.mark.parametrize("script", ALPHABETS)
def test_generated_texts_of_six_scripts_come_back_whole_and_unclipped(
    script: str, tmp_path: Path
) -> None:
    text = generated(script, Random(script))
    fonts = (default_font(),)
    if script == "Chinese":  # a font of boxes: no machine must have one, and boxes show clipping
        fonts = (
            open_font(make_font(tmp_path / "Box.ttf", "".join(sorted({*text, " "} - {"\n"})))),
        )
    document = typeset(text, PageSettings(), fonts=fonts, search=False)
    assert len(document.pages) > 20
    assert joined(document) == text
    assert_whole(document)


@pytest.mark.slow
def test_memory_stays_flat_over_thousands_of_pages() -> None:
    text = "Some words that fill a page, and then another one after it. " * 900
    document = typeset(text, PageSettings(), search=False)
    count = len(document.pages)
    tracemalloc.start()
    try:
        for number in range(200):
            document.draw(number % count)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(4000):
            document.draw(number % count)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert count > 50
    assert grown < 100_000, f"{grown} bytes more after 4,000 pages"
