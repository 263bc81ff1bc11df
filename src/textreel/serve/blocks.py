"""Frames as coloured blocks for a terminal, and as one contact sheet for everything else.

A terminal cell is about twice as high as wide: an upper half block shows two pixels, its
foreground the upper and its background the lower. This file only computes colours; who prints them
decides how.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from textreel.data.files import write_atomic

_PAD_PX, _LABEL_PX = 8, 16
_BACK, _INK = (24, 26, 30), (200, 204, 212)


def half_blocks(
    frames: NDArray[np.uint8], *, columns: int, gap: int = 1, per_line: int | None = None
) -> NDArray[np.uint8]:
    """Shrink frames to the colours of half-block cells, side by side, line below line.

    Each frame keeps its aspect; a pixel is the mean of the area it stands for.

    Args:
        frames: uint8 (T, 3, H, W), RGB, T at least 1.
        columns: cells of one frame's width.
        gap: empty (black) cells between frames, and empty rows between lines.
        per_line: frames beside each other; None: all of them.

    Returns:
        uint8 (rows, columns in all, 2, 3): for each cell the RGB of its upper and lower half.

    Raises:
        ValueError: no frames, or `columns` below 1.
    """
    _require_frames(frames)
    if columns < 1:
        raise ValueError(f"columns={columns} must be at least 1")
    height, width = frames.shape[2:]
    rows = max(1, round(columns * height / width / 2))
    small = [_shrink(frame, height_px=2 * rows, width_px=columns) for frame in frames]
    per_line = min(per_line or len(small), len(small))
    lines = -(-len(small) // per_line)
    sheet = np.zeros(
        (lines * (rows + gap) - gap, per_line * (columns + gap) - gap, 2, 3), dtype=np.uint8
    )
    for index, pixels in enumerate(small):
        top, left = index // per_line * (rows + gap), index % per_line * (columns + gap)
        cells = pixels.reshape(rows, 2, columns, 3).transpose(0, 2, 1, 3)
        sheet[top : top + rows, left : left + columns] = cells
    return sheet


def contact_sheet(
    frames: NDArray[np.uint8],
    times_s: Sequence[float] | NDArray[np.float64],
    path: str | Path,
    *,
    frame_width_px: int = 192,
    per_line: int = 4,
) -> None:
    """Write all frames with their times as one PNG, atomically.

    Args:
        frames: uint8 (T, 3, H, W), RGB, T at least 1.
        times_s: T times in seconds, written below the frames.
        path: the PNG's name.
        frame_width_px: width of each frame; small frames are enlarged with sharp edges.
        per_line: frames beside each other.

    Raises:
        ValueError: no frames, or not one time per frame.
    """
    _require_frames(frames)
    if len(times_s) != len(frames):
        raise ValueError(f"{len(frames)} frames but {len(times_s)} times")
    high, wide = frames.shape[2:]
    size = (frame_width_px, max(1, round(frame_width_px * high / wide)))
    per_line = min(per_line, len(frames))
    cell = (size[0] + _PAD_PX, size[1] + _LABEL_PX + _PAD_PX)
    lines = -(-len(frames) // per_line)
    sheet = Image.new("RGB", (per_line * cell[0] + _PAD_PX, lines * cell[1] + _PAD_PX), _BACK)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    resample = Image.Resampling.NEAREST if wide < frame_width_px else Image.Resampling.BOX
    for index, (frame, time_s) in enumerate(zip(frames, times_s, strict=True)):
        left = index % per_line * cell[0] + _PAD_PX
        top = index // per_line * cell[1] + _PAD_PX
        picture = Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0)))
        sheet.paste(picture.resize(size, resample), (left, top))
        draw.text((left, top + size[1] + 2), f"{time_s:.2f} s", fill=_INK, font=font)
    file = io.BytesIO()
    sheet.save(file, format="PNG", optimize=True)
    write_atomic(path, file.getvalue())


def _require_frames(frames: NDArray[np.uint8]) -> None:
    if frames.ndim != 4 or frames.shape[1] != 3 or not len(frames):
        raise ValueError(f"need frames (T, 3, H, W) with T at least 1, got {frames.shape}")


def _shrink(frame: NDArray[np.uint8], *, height_px: int, width_px: int) -> NDArray[np.uint8]:
    picture = Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0)))
    return np.asarray(picture.resize((width_px, height_px), Image.Resampling.BOX))
