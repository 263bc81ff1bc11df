"""Frames of a clip as PNG files, each named by its number and its time."""

import io
from pathlib import Path

from PIL import Image

from textreel.data.files import write_atomic
from textreel.media.clip import Clip


def save_frames(clip: Clip, folder: Path | str) -> list[Path]:
    """Write every frame of a clip; a file that is there is replaced whole.

    Args:
        clip: frames uint8 (T, 3, H, W).
        folder: where; made if needed.

    Returns:
        The files, such as `00003-1.500s.png`, in order of time.
    """
    written = []
    for number, (frame, time_s) in enumerate(zip(clip.frames, clip.frame_times_s, strict=True)):
        content = io.BytesIO()
        Image.fromarray(frame.transpose(1, 2, 0)).save(content, format="PNG")
        path = Path(folder) / f"{number:05d}-{time_s:.3f}s.png"
        write_atomic(path, content.getvalue())
        written.append(path)
    return written
