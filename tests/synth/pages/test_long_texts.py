"""Real long texts: they come back whole, no glyph is clipped, every pixel is Pillow's."""

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.synth.pages.pillow_pages import assert_whole, joined
from textreel.synth.pages.settings import PageSettings
from textreel.synth.pages.typeset import typeset

SHARED = Path(os.environ.get("TEXTREEL_SHARED", Path(__file__).parents[3] / ".." / "shared"))
CHARACTERS = 300_000
"""Of each file: about 600 pages."""


def _plain(content: str) -> list[str]:
    return [content]


def _lines(content: str) -> list[str]:
    rows = [json.loads(line) for line in content.splitlines()]
    return [" | ".join(str(value) for value in row.values()) for row in rows]


def _answers(content: str) -> list[str]:
    return [str(row.get("output") or row.get("QA") or row) for row in json.loads(content)]


FILES: dict[str, Callable[[str], list[str]]] = {
    "lf_wiki_demo.txt": _plain,
    "lf_c4_demo.jsonl": _lines,
    "internvid_queries.jsonl": _lines,
    "lf_alpaca_en_demo.json": _answers,
    "llava_complex_reasoning_2k.json": _answers,
    "minigpt_caption_3k.json": _answers,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_long_text_comes_back_whole_and_unclipped(name: str) -> None:
    path = SHARED / "text" / name
    if not path.is_file():
        pytest.skip(f"no {path} (set TEXTREEL_SHARED)")
    text = "\n\n".join(FILES[name](path.read_text(encoding="utf-8")))[:CHARACTERS]
    assert len(text) > 2000
    for settings in (
        PageSettings(missing="code"),
        PageSettings(missing="code", width_px=224, height_px=224, font_px=13, margin_px=2),
    ):
        document = typeset(text, settings, search=False)
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
