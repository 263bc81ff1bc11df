"""An answer as a piece of HTML, for notebooks: frames with their times, odds, sound."""

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_PX = 120
_STYLE = "display:inline-block;margin:2px;text-align:center;font:11px sans-serif;color:#666"
_CELL = "padding:1px 8px 1px 0;text-align:left;border:0"


def frames_html(frames: NDArray[np.uint8] | None, times_s: Sequence[float]) -> str:
    """Return frames side by side with their times; the times alone where there are no pixels.

    Args:
        frames: uint8 (T, 3, H, W), RGB, or None.
        times_s: T times in seconds.
    """
    if frames is None:
        return f"<div>{escape(', '.join(f'{time_s:.2f} s' for time_s in times_s))}</div>"
    cells = (
        f'<figure style="{_STYLE}"><img alt="frame" src="{thumbnail(frame)}">'
        f"<figcaption>{time_s:.2f} s</figcaption></figure>"
        for frame, time_s in zip(frames, times_s, strict=True)
    )
    return f"<div>{''.join(cells)}</div>"


def thumbnail(frame: NDArray[np.uint8]) -> str:
    """Return a small JPEG of one frame (3, H, W) as a data URI."""
    picture = Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0)))
    picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def odds_html(options: Sequence[str], probabilities: Sequence[float], chosen: int | None) -> str:
    """Return options with bars of their probabilities, the chosen one in bold."""
    if not options:
        return ""
    rows = []
    for index, (option, probability) in enumerate(zip(options, probabilities, strict=True)):
        text = f"<b>{escape(option)}</b>" if index == chosen else escape(option)
        bar = f'<div style="background:#7aa2f7;height:9px;width:{round(140 * probability)}px">'
        rows.append(
            f'<tr><td style="{_CELL}">{text}</td><td style="{_CELL}">{probability:.1%}</td>'
            f'<td style="{_CELL}">{bar}</div></td></tr>'
        )
    return f'<table style="border:0">{"".join(rows)}</table>'


def answer_html(*, question: str, text: str, body: str, footer: str) -> str:
    """Put the parts of an answer together."""
    asked = f'<div style="color:#666">{escape(question)}</div>' if question else ""
    small = f'<div style="color:#666;font-size:smaller">{escape(footer)}</div>'
    said = f'<p style="margin:4px 0">{escape(text) or "(no words)"}</p>'
    return f"<div>{asked}{said}{body}{small}</div>"
