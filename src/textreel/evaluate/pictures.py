"""Pictures inside a page: frames as PNG data URIs, one chart as SVG. Nothing is loaded."""

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from textreel.evaluate.score import Score

_WIDTH, _LEFT, _RIGHT = 860, 236, 96
_ROW, _BAR, _TOP, _BOTTOM = 50, 26, 22, 34
"""Chart measures in px: page width, space for names and numbers, height of a row and of a bar."""


def png_data_uri(frame: NDArray[np.uint8], *, min_side_px: int = 0) -> str:
    """Return one frame as `data:image/png;base64,...`.

    Args:
        frame: uint8 (3, H, W), RGB.
        min_side_px: a smaller frame is enlarged by a whole factor until its short side has at
            least this many pixels, each pixel staying a sharp square; 0: never.

    Raises:
        ValueError: not uint8 (3, H, W).
    """
    if frame.ndim != 3 or frame.shape[0] != 3 or frame.dtype != np.uint8:
        raise ValueError(f"a frame must be uint8 (3, H, W), got {frame.dtype} {frame.shape}")
    factor = max(1, -(-min_side_px // min(frame.shape[1:])))
    pixels = frame.transpose(1, 2, 0).repeat(factor, axis=0).repeat(factor, axis=1)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def bar_chart(
    bars: Sequence[tuple[str, str, Score, str]], *, chance: float | None, title: str
) -> str:
    """Return horizontal bars from 0 to 1 with 95% intervals and a line at chance, as SVG.

    Args:
        bars: (name, what it is in a few words, score, CSS class of the bar), from top to bottom.
        chance: where the dashed line stands; None: no line.
        title: read aloud in the place of the picture.
    """
    height = _TOP + _ROW * len(bars) + _BOTTOM
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" class="chart">',
        f"<title>{escape(title)}</title>",
        *_grid(height),
    ]
    for index, (name, note, score, style) in enumerate(bars):
        parts += _bar(_TOP + _ROW * index, name=name, note=note, score=score, style=style)
    if chance is not None:
        x, bottom = _x(chance), height - _BOTTOM
        parts.append(
            f'<line class="chance" x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{bottom}"/>'
            f'<text class="chance-name" x="{x:.1f}" y="{_TOP - 10}" text-anchor="middle">'
            f"chance {chance:.0%}</text>"
        )
    return "\n".join([*parts, "</svg>"])


def _x(value: float) -> float:
    return _LEFT + value * (_WIDTH - _LEFT - _RIGHT)


def _grid(height: int) -> list[str]:
    bottom = height - _BOTTOM
    return [
        f'<line class="grid" x1="{_x(v):.1f}" y1="{_TOP}" x2="{_x(v):.1f}" y2="{bottom}"/>'
        f'<text class="tick" x="{_x(v):.1f}" y="{bottom + 20}" text-anchor="middle">{v:.0%}</text>'
        for v in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]


def _bar(y: float, *, name: str, note: str, score: Score, style: str) -> list[str]:
    middle, top = y + _ROW / 2, y + (_ROW - _BAR) / 2
    low, high = (_x(value) for value in score.interval())
    end = _x(score.value)
    return [
        f'<text class="name" x="{_LEFT - 14}" y="{middle - 3:.1f}" text-anchor="end">'
        f"{escape(name)}</text>",
        f'<text class="note" x="{_LEFT - 14}" y="{middle + 13:.1f}" text-anchor="end">'
        f"{escape(note)}</text>",
        f'<rect class="bar {escape(style)}" x="{_LEFT}" y="{top:.1f}" width="{end - _LEFT:.1f}" '
        f'height="{_BAR}" rx="3"/>',
        f'<path class="error" d="M{low:.1f} {middle:.1f}H{high:.1f}M{low:.1f} {middle - 6:.1f}v12'
        f'M{high:.1f} {middle - 6:.1f}v12"/>',
        f'<text class="value" x="{max(high, end) + 10:.1f}" y="{middle + 6:.1f}">'
        f"{100 * score.value:.1f}%</text>",
    ]
