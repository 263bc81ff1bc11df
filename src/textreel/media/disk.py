"""What a power cut must not take: contents before a rename, and the rename itself.

A file system may write a new name before the bytes that it stands for; who replaces a file syncs
its content first and its folder afterwards.
"""

import os
from pathlib import Path


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    with path.open("r+b") as file:  # Windows syncs what it may write only
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Make renames inside a folder survive a power cut; only POSIX can open a folder for that."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
