"""Small files of different content for the tests of the encoding job."""

from pathlib import Path

from tests.media import traps
from textreel.data.media_files import MediaFile, find_media


def make_videos(folder: Path, *, count: int) -> tuple[MediaFile, ...]:
    """`v0.mp4` with two frames, `v1.mp4` with three, and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        traps.video(folder / f"v{number}.mp4", traps.every(100, 2 + number))
    return find_media([folder]).files
