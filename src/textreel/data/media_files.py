"""Which files of a folder are looked at: all but those whose ending says that they are no media.

The ending decides nothing else: a video named `.bin` is a video. What is passed over is counted by
ending; names that start with a dot (notes of file systems, drafts) count as `hidden`. Links to
files and folders are followed, each folder once. The order is that of the names, so that two
machines agree about it.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textreel.data.errors import HintedError
from textreel.media.errors import MissingFileError

NO_MEDIA_ENDINGS = frozenset(
    ".json .jsonl .ndjson .txt .csv .tsv .md .rst .html .htm .xml .yaml .yml .toml .ini .cfg .log "
    ".srt .vtt .ass .pdf .py .ipynb .sh .zip .tar .gz .tgz .bz2 .xz .zst .7z .rar .safetensors "
    ".pt .pth .ckpt .onnx .pkl .npy .npz .h5 .hdf5 .parquet .arrow .db .sqlite .md5 .sha256".split()
)
"""Endings of texts, tables, archives and weights, in lower case."""
HIDDEN = "hidden"


class NoMediaError(HintedError, ValueError):
    """A folder in which there is nothing to look at."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaFile:
    """One file to look at.

    Attributes:
        path: absolute.
        name: with slashes, relative to the folder in which it was found; the same wherever that
            folder lies.
    """

    path: Path
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaFiles:
    """What was found.

    Attributes:
        files: what is looked at, each path once, folder by folder in the order of the names.
        skipped: number of the other files by ending, most frequent first.
    """

    files: tuple[MediaFile, ...]
    skipped: dict[str, int]


def find_media(paths: Sequence[Path | str]) -> MediaFiles:
    """List the files of folders, however deep, and files named one by one.

    Args:
        paths: folders and files; a file named here is looked at whatever its ending.

    Raises:
        MissingFileError: a path is not there.
        NoMediaError: there is no file to look at.
        OSError: a folder cannot be read.
    """
    found: dict[Path, MediaFile] = {}
    skipped: Counter[str] = Counter()
    for root in (Path(os.path.abspath(path)) for path in paths):  # noqa: PTH100  (links stay)
        if not root.exists():
            raise MissingFileError(str(root), "no such file or folder")
        if not root.is_dir():
            found.setdefault(root, MediaFile(path=root, name=root.name))
            continue
        for path in _walk(root, skipped):
            reason = _why_skipped(path)
            if reason is not None:
                skipped[reason] += 1
            else:
                name = path.relative_to(root).as_posix()
                found.setdefault(path, MediaFile(path=path, name=name))
    counts = dict(sorted(skipped.items(), key=lambda item: (-item[1], item[0])))
    if not found:
        others = ", ".join(f"{count} {ending}" for ending, count in counts.items())
        raise NoMediaError(
            f"no media files in {', '.join(map(str, paths))} (passed over: {others or 'nothing'})",
            hint="check the path; a file named itself is looked at whatever its ending",
        )
    return MediaFiles(files=tuple(found.values()), skipped=counts)


def _why_skipped(path: Path) -> str | None:
    if path.name.startswith("."):
        return HIDDEN
    ending = path.suffix.lower()
    return ending if ending in NO_MEDIA_ENDINGS else None


def _walk(root: Path, skipped: "Counter[str]") -> Iterator[Path]:
    """Yield every file below `root`; hidden folders are counted, not entered."""
    seen: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        raise error

    for here, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        status = Path(here).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        skipped.update(HIDDEN for folder in folders if folder.startswith("."))
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        yield from (Path(here) / name for name in sorted(names))
