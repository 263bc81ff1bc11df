"""The golden pages of T2Vid's own renderer: where they are, and what is in them."""

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SHARED = Path(os.environ.get("TEXTREEL_SHARED", Path(__file__).parents[2] / ".." / "shared"))
GOLDENS = Path(os.environ.get("TEXTREEL_GOLDENS", SHARED / "goldens"))
FONT = SHARED / "fonts" / "LiberationSans-Regular.ttf"
VARIANTS = ("A", "B")
FLAVOURS = ("preserve_line", "punkt")


@dataclass(frozen=True)
class GoldenPage:
    """One page of the published renderer: lines, their (x, y) tops, the sha256 of its RGB bytes."""

    lines: list[str]
    tops: list[tuple[float, float]]
    pixels_sha256: str | None
    png: Path | None


@dataclass(frozen=True)
class GoldenText:
    name: str
    text: str
    tokens: dict[str, list[str]]
    pages: dict[str, list[GoldenPage]]
    size24_lines: dict[str, list[list[str]]]


def read_goldens(variant: str) -> dict[str, Any]:
    """Return a golden file's JSON, or skip the test where it or its font is not there."""
    path = GOLDENS / f"t2vid-{variant}.json"
    if not path.is_file() or not FONT.is_file():
        pytest.skip(f"no {path} or no {FONT} (set TEXTREEL_GOLDENS and TEXTREEL_SHARED)")
    return _read(path)


@cache
def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def golden_texts(variant: str) -> list[GoldenText]:
    """Return the texts of a variant, the crafted ones too, those without words left out."""
    values = read_goldens(variant)
    whole = [
        GoldenText(
            name=text["name"],
            text=text["text"],
            tokens=text["tokens"],
            pages={f: [_page(p) for p in text["tokenizers"][f]] for f in FLAVOURS},
            size24_lines=text["size24_lines"],
        )
        for text in values["texts"]
    ]
    crafted = [
        GoldenText(
            name=f"crafted {number}",
            text=text["text"],
            tokens={f: text[f]["tokens"] for f in FLAVOURS},
            pages={f: [_page(p) for p in text[f]["segments"]] for f in FLAVOURS},
            size24_lines={},
        )
        for number, text in enumerate(values["edge_cases"])
    ]
    return whole + crafted


def _page(values: dict[str, Any]) -> GoldenPage:
    return GoldenPage(
        lines=values["lines"],
        tops=[(x, y) for x, y in values["draw_xy"]],
        pixels_sha256=values.get("pixels_sha256"),
        png=GOLDENS / values["png"] if "png" in values else None,
    )


def rgb_sha256(page: np.ndarray) -> str:
    """Return the sha256 of a grey page's bytes as RGB pixels, row by row."""
    rgb = np.repeat(page[:, :, None], 3, axis=2)
    return hashlib.sha256(np.ascontiguousarray(rgb).tobytes()).hexdigest()
