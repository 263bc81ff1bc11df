"""Files that are either whole or not there, and what identifies their content.

    write_atomic(path, text)         temporary sibling, fsync, rename
    atomic_file(path)                the same for content written piece by piece
    atomic_directory(path)           the same for a folder
    content_hash(path)               sha256, remembered by path, size and mtime
    canonical_json, fingerprint      one text, one short name, for one JSON value
    make_header, check_header        the first line of every file with a format of ours

A process killed with SIGKILL may leave a sibling whose name starts with a dot and holds `.tmp-`;
it is never read, and safe to delete.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from textreel.data.cache import recall, remember
from textreel.data.errors import FormatError, TakenError
from textreel.media.disk import sync_directory

Json = Any
"""A value JSON holds: text, number, true, false, null, list or dictionary of such."""
FORMAT = 1
"""Version of every file format of ours: journals, textual videos, store indices."""


def write_atomic(path: Path | str, content: bytes | str) -> None:
    """Write a whole file, or nothing: a reader sees the old content or the new, never a part.

    Args:
        path: target; missing parent folders are made; a symbolic link is followed.
        content: bytes, or text to be written as UTF-8 with its line ends as they are.
    """
    with atomic_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def atomic_file(path: Path | str) -> Iterator[IO[bytes]]:
    """Open a binary file that takes its name only when the block ends without an error."""
    target = Path(path).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = _sibling(target)
    try:
        with draft.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_directory(target.parent)


@contextmanager
def atomic_directory(path: Path | str, *, overwrite: bool = False) -> Iterator[Path]:
    """Build a folder beside its place, and move it there only when the block ends without an error.

    Args:
        path: where the folder shall be; an empty folder there counts as free.
        overwrite: replace what is there. Between the two renames of a replacement a crash leaves
            the old folder under a dotted sibling name, so nothing is lost.

    Yields:
        The folder to fill.

    Raises:
        TakenError: something is there and `overwrite` is false.
    """
    target = Path(path).resolve()
    if not overwrite:
        _refuse_taken(target)
    draft = _sibling(target)
    draft.mkdir(parents=True)
    try:
        yield draft
        _sync_tree(draft)
        _move_into_place(draft, target, overwrite=overwrite)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    sync_directory(target.parent)


def content_hash(path: Path | str) -> str:
    """Return the sha256 of a file's bytes, as 64 hexadecimal digits.

    The result is remembered in the cache by absolute path, size and modification time, so a
    second call reads nothing of the file. A file changed within the last two seconds, or while it
    was read, is not remembered: its time could not tell the next change apart.
    """
    where = Path(path).resolve()
    known = recall(where)
    if known is not None:
        return known
    before = where.stat()
    with where.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    remember(where, before, digest)
    return digest


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, ASCII; NaN is a ValueError."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(value: object) -> str:
    """Return 16 hexadecimal digits (64 bits of sha256) that name a JSON value.

    >>> fingerprint({"a": 1, "b": [2.5]}) == fingerprint({"b": [2.5], "a": 1})
    True
    """
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def package_version() -> str:
    """Return the installed version, or `source` where the package runs from a bare source tree."""
    try:
        return version("textreel")
    except PackageNotFoundError:
        return "source"


def make_header(kind: str, **more: object) -> dict[str, Any]:
    """Return what stands first in a file of ours: format, kind, the writing version, and `more`."""
    return {"format": FORMAT, "kind": kind, "version": package_version(), **more}


def json_or_text(text: str) -> Json:
    """Return the JSON value that a text is, or the text: how values are read that are typed.

    >>> json_or_text("1.5"), json_or_text("basic")
    (1.5, 'basic')
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def check_header(header: object, *, kind: str, path: Path | str) -> Mapping[str, Any]:
    """Return the header if this version can read what follows it.

    Raises:
        FormatError: not a header, another kind of file, or a newer format.
    """
    number = header.get("format") if isinstance(header, dict) else None
    if not isinstance(header, dict) or not isinstance(number, int):
        raise FormatError(
            f"{path} is no {kind} file of textreel: its header has no format number",
            hint="check the path; the file was left as it is",
        )
    if header.get("kind") != kind:
        raise FormatError(
            f"{path} holds {header.get('kind')!r}, expected {kind!r}", hint="check the path"
        )
    if number > FORMAT:
        raise FormatError(
            f"{path} has format {number}, written by textreel {header.get('version')}; "
            f"this is textreel {package_version()}, which reads up to format {FORMAT}",
            hint="install that version of textreel or a later one",
        )
    return header


def _sibling(target: Path) -> Path:
    return target.parent / f".{target.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}"


def is_draft(path: Path) -> bool:
    """Return whether a name is one that a killed process may have left; see the module's text."""
    return path.name.startswith(".") and ".tmp-" in path.name


def _refuse_taken(target: Path) -> None:
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists():
        raise TakenError(
            f"{target} already exists and is not an empty folder; nothing was written",
            hint="choose another folder, remove this one, or ask for it to be overwritten",
        )


def _move_into_place(draft: Path, target: Path, *, overwrite: bool) -> None:
    if not overwrite:
        _refuse_taken(target)
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()
    if not target.exists():
        draft.rename(target)
        return
    old = _sibling(target)
    target.rename(old)
    draft.rename(target)
    if old.is_dir():
        shutil.rmtree(old)
    else:
        old.unlink()


def _sync_tree(root: Path) -> None:
    for folder, _, names in os.walk(root):
        for name in names:
            with (Path(folder) / name).open("rb") as file:
                os.fsync(file.fileno())
        sync_directory(Path(folder))
