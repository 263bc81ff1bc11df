"""Feature files of other projects, one clip at a time: a name, and how to read its vectors.

    clip-pth        one torch file {clip id: tensor (T, F)}, as TOPA's `clipvitl14.pth`; stays on
                    disk (`mmap`) but for the clip that is looked at
    npy             a folder with one .npy file per clip, or one file; the id is the file's place
                    in the folder, without its ending
    textvid-pickle  a folder with one .pkl file per clip, as TextVid's features, or one file
                    {clip id: tensor}; read without running them, see `safe_pickle`

A source says how many clips it has and may be gone through any number of times. A clip that cannot
be read raises `BadEntryError` when it is loaded; a file that holds no clips at all raises at once.
"""

import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from textreel.features.errors import BadEntryError, FeatureImportError, UnsafePickleError
from textreel.features.safe_pickle import load_pickle, short_reason

ImportFormat = Literal["clip-pth", "npy", "textvid-pickle"]
_ENDINGS: dict[str, ImportFormat] = {
    ".pth": "clip-pth",
    ".pt": "clip-pth",
    ".npy": "npy",
    ".pkl": "textvid-pickle",
    ".pickle": "textvid-pickle",
}


class Entry(NamedTuple):
    """One clip: its id, the file it is in, and what returns its vectors."""

    id: str
    source: Path
    load: Callable[[], Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The clips of a file or folder.

    Attributes:
        format: how they are stored.
        total: how many there are.
        entries: begins to go through them, in an order that is always the same.
    """

    format: ImportFormat
    total: int
    entries: Callable[[], Iterator[Entry]]


def open_source(path: Path | str, *, format: str | None = None) -> Source:
    """Open feature files.

    Args:
        path: a file, or a folder of files.
        format: how the features are stored; seen from the names' endings where None.

    Raises:
        UnsafePickleError, FeatureImportError: no such file, no such format, or nothing in it.
    """
    path = Path(path)
    if not path.exists():
        raise FeatureImportError(f"{path}: no such file or folder", hint="check the path")
    known = detect_format(path) if format is None else _known(format)
    if known == "clip-pth":
        return _from_dictionary(path, _load_torch(path), known)
    ending = {name for name, kind in _ENDINGS.items() if kind == known}
    if path.is_dir():
        read = _read_npy if known == "npy" else _read_pickle
        return _from_folder(path, ending, read, known)
    if known == "npy":
        return Source(format=known, total=1, entries=lambda: iter([_file(path, path.parent)]))
    return _from_dictionary(path, load_pickle(path), known)


def detect_format(path: Path) -> ImportFormat:
    """Return the format that the names' endings stand for.

    Raises:
        FeatureImportError: they stand for none, or for several.
    """
    files = _files(path, set(_ENDINGS)) if path.is_dir() else [path]
    found = {_ENDINGS[file.suffix.lower()] for file in files if file.suffix.lower() in _ENDINGS}
    if len(found) == 1:
        return found.pop()
    what = f"files of {len(found)} formats" if found else "no features that are known"
    raise FeatureImportError(
        f"{path} holds {what}: a format is seen from the endings {', '.join(_ENDINGS)}",
        hint=f"say which with --format: {', '.join(get_args(ImportFormat))}",
    )


def _known(format: str) -> ImportFormat:
    for known in get_args(ImportFormat):
        if format == known:
            return known
    raise FeatureImportError(
        f"there is no feature format {format!r}",
        hint=f"the formats are {', '.join(get_args(ImportFormat))}",
    )


def _load_torch(path: Path) -> object:
    try:
        # A file from before torch 1.6 is no archive and cannot stay on disk.
        return torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except pickle.UnpicklingError as error:
        raise UnsafePickleError(
            f"{path} holds more than tensors and was not opened: {short_reason(error)}",
            hint="save a dictionary of tensors with torch.save",
        ) from error
    except (OSError, EOFError, RuntimeError, LookupError, ValueError) as error:
        raise FeatureImportError(
            f"{path} is no torch file that can be read: {short_reason(error)}",
            hint="fetch the file again; a folder of features has another --format",
        ) from error


def _from_dictionary(path: Path, found: object, format: ImportFormat) -> Source:
    if not isinstance(found, Mapping):
        raise FeatureImportError(
            f"{path} holds a {type(found).__name__}, not a dictionary of clip ids and features",
            hint="give the file of features; a memory, for instance, names no clips",
        )

    def entries() -> Iterator[Entry]:
        for key, value in found.items():
            yield Entry(str(key), path, partial(_value, key, value))

    return Source(format=format, total=len(found), entries=entries)


def _value(key: object, value: object) -> Tensor:
    if not isinstance(key, str | int) or isinstance(key, bool) or key == "":
        raise BadEntryError(f"the key {key!r} names no clip", code="Id")
    return _as_tensor(value)


def _from_folder(
    root: Path, endings: set[str], read: Callable[[Path], Tensor], format: ImportFormat
) -> Source:
    files = _files(root, endings)
    if not files:
        raise FeatureImportError(
            f"{root} holds no file that ends in {' or '.join(sorted(endings))}",
            hint="check the path, or the --format",
        )
    return Source(
        format=format,
        total=len(files),
        entries=lambda: (_file(file, root, read) for file in files),
    )


def _files(root: Path, endings: set[str]) -> list[Path]:
    return sorted(p for p in root.rglob("*") if p.suffix.lower() in endings and p.is_file())


def _file(path: Path, root: Path, read: Callable[[Path], Tensor] | None = None) -> Entry:
    id = path.relative_to(root).with_suffix("").as_posix()
    return Entry(id, path, partial(read or _read_npy, path))


def _read_npy(path: Path) -> Tensor:
    try:
        # Unlike `load`, it reads no pickle, no archive, and no more than the file has.
        array = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, OverflowError) as error:
        raise BadEntryError(f"is no array that can be read: {error}", code="Unreadable") from error
    return _as_tensor(array)


def _read_pickle(path: Path) -> Tensor:
    try:
        return _as_tensor(load_pickle(path))
    except UnsafePickleError as error:
        raise BadEntryError(str(error), code="UnsafePickle") from error
    except FeatureImportError as error:
        raise BadEntryError(str(error), code="Unreadable") from error


def _as_tensor(value: object) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach()
    if not isinstance(value, np.ndarray):
        raise BadEntryError(f"is a {type(value).__name__}, not an array", code="NotArray")
    if value.dtype.kind != "f" or value.dtype.itemsize > 8:
        raise BadEntryError(f"has values of type {value.dtype}, not floats", code="NotFloat")
    return torch.from_numpy(np.array(value, dtype=value.dtype.newbyteorder("=")))
