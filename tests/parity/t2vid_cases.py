"""The golden pages of T2Vid's own renderer: where they are, and what is in them.

A case is a file `t2vid-*.json`; which there are, and how many, is up to the folder (`cases.py`).
Its font is found by its hash in the folder of fonts beside the goldens.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity.cases import GOLDENS, SHARED, Case
from textreel.synth.pages.fonts import FontFile, open_font

PATTERN = "t2vid-*"
FONT_FOLDERS = (SHARED / "fonts", GOLDENS.parent / "fonts", GOLDENS)


@dataclass(frozen=True)
class GoldenPage:
    """One page of the published renderer: lines, their (x, y) tops, the sha256 of its RGB bytes."""

    lines: list[str]
    tops: list[tuple[float, float]]
    pixels_sha256: str | None
    png: Path | None


@dataclass(frozen=True)
class GoldenText:
    """One text in every flavour of the published tokenizer that the case has."""

    name: str
    text: str
    tokens: dict[str, list[str]]
    pages: dict[str, list[GoldenPage]]
    size24_lines: dict[str, list[list[str]]]


def golden_font(case: Case) -> FontFile:
    """Return the font that a case was drawn with; a case without its font fails."""
    sha256 = case.json["font"]["sha256"]
    files = [path for folder in FONT_FOLDERS for path in sorted(folder.glob("*.ttf"))]
    found = [font for font in map(open_font, files) if font.sha256 == sha256]
    assert found, f"{case.path.name} was drawn with a font of sha256 {sha256}: not in {files}"
    return found[0]


def golden_texts(case: Case) -> list[GoldenText]:
    """Return the texts of a case, the crafted ones too."""
    whole = [
        GoldenText(
            name=text["name"],
            text=text["text"],
            tokens=text["tokens"],
            pages={f: _pages(case, pages) for f, pages in text["tokenizers"].items()},
            size24_lines=text.get("size24_lines", {}),
        )
        for text in case.json["texts"]
    ]
    crafted = [
        GoldenText(
            name=f"crafted {number}",
            text=text["text"],
            tokens={f: made["tokens"] for f, made in _flavours(text)},
            pages={f: _pages(case, made["segments"]) for f, made in _flavours(text)},
            size24_lines={},
        )
        for number, text in enumerate(case.json["edge_cases"])
    ]
    return whole + crafted


def _flavours(text: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, made) for name, made in text.items() if isinstance(made, dict)]


def _pages(case: Case, pages: list[dict[str, Any]]) -> list[GoldenPage]:
    return [
        GoldenPage(
            lines=values["lines"],
            tops=[(x, y) for x, y in values["draw_xy"]],
            pixels_sha256=values.get("pixels_sha256"),
            png=case.path.parent / values["png"] if "png" in values else None,
        )
        for values in pages
    ]


def rgb_sha256(page: np.ndarray) -> str:
    """Return the sha256 of a grey page's bytes as RGB pixels, row by row."""
    rgb = np.repeat(page[:, :, None], 3, axis=2)
    return hashlib.sha256(np.ascontiguousarray(rgb).tobytes()).hexdigest()
