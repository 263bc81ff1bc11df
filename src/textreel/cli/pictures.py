"""Frames as blocks of colour, for a terminal that has colours."""

import sys
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UPPER_HALF = "\N{UPPER HALF BLOCK}"
FRAME_COLUMNS = 18


def show_frames(frames: "NDArray[np.uint8]", *, stream: TextIO | None = None) -> bool:
    """Print frames side by side, as many per line as the terminal has room for.

    Args:
        frames: uint8 (T, 3, H, W), RGB, T at least 1.
        stream: where to; stdout by default.

    Returns:
        Whether they were printed: a file, a pipe and a terminal without colours get nothing.
    """
    from textreel.serve.blocks import half_blocks

    console = Console(file=stream or sys.stdout)
    if not console.is_terminal or console.color_system is None or console.no_color:
        return False
    per_line = max(1, (console.width + 1) // (FRAME_COLUMNS + 1))
    columns = min(FRAME_COLUMNS, console.width)
    for row in half_blocks(frames, columns=columns, per_line=per_line):
        line = Text()
        for upper, lower in row.tolist():
            line.append(UPPER_HALF, style=f"rgb({_rgb(upper)}) on rgb({_rgb(lower)})")
        console.print(line, no_wrap=True, crop=False, overflow="ignore")
    return True


def _rgb(colour: list[int]) -> str:
    return ",".join(map(str, colour))
