"""Pages as files, for those who want files: PNG or WebP below a folder, or all in one tar.

    DIR/pages.json                  what they were made with; other settings are refused
    DIR/<id>/page-00000.png ...     a folder per text, moved into place whole
    DIR/<id>/made_with.json         settings, hashes of fonts and text: `Typeset.from_json`
    DIR.tar                         the same names but the first; the same bytes for the same input

A folder that is there was finished, so a killed export goes on; one of another text or other fonts
is replaced whole, and never mixed with new pages. In the end the pages of these texts are what one
export at once would make, with the fonts that the machine has now. PNG and WebP hold grey levels
exactly (WebP is written without loss).
"""

import io
import json
import re
import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from textreel.data.errors import HintedError
from textreel.data.files import (
    atomic_directory,
    atomic_file,
    canonical_json,
    check_header,
    fingerprint,
    make_header,
    write_atomic,
)
from textreel.data.locks import run_lock
from textreel.data.shapes import MADE_WITH_FILE
from textreel.synth.pages.typeset import Typeset

PictureFormat = Literal["png", "webp"]
SETTINGS_FILE = "pages.json"
PNG_LEVEL = 1
"""Of zlib: pages are a third larger than at level 6, and written in two thirds of the time."""
_KIND = "pages"
_NAME = re.compile(r"[\w.@+-]+")
MAX_NAME_BYTES = 200
"""A folder's name may have 255, and a draft's is longer."""


class ExportError(HintedError, ValueError):
    """Pages that cannot be written where and as asked."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportReport:
    """What was written.

    Attributes:
        out: folder or tar file.
        texts: in it.
        pages: in it.
        kept: texts that were there before; always 0 in a tar.
        num_bytes: of all pictures written now.
    """

    out: Path
    texts: int
    pages: int
    kept: int
    num_bytes: int


def encode_page(page: NDArray[np.uint8], *, format: PictureFormat = "png") -> bytes:
    """Return a page, uint8 (H, W), as the bytes of a picture file of grey levels.

    Raises:
        ExportError: no such format.
    """
    if format not in get_args(PictureFormat):
        raise ExportError(
            f"pictures of kind {format!r} are not written: {', '.join(get_args(PictureFormat))}"
        )
    file = io.BytesIO()
    picture = Image.fromarray(page)
    if format == "png":
        picture.save(file, format="PNG", compress_level=PNG_LEVEL)
    else:
        picture.save(file, format="WEBP", lossless=True, method=0)
    return file.getvalue()


def export_folder(
    documents: Iterable[tuple[str, Typeset]],
    out: Path | str,
    *,
    format: PictureFormat = "png",
    made_with: object = None,
) -> ExportReport:
    """Write pages below a folder, a folder for each text.

    Args:
        documents: (id, pages); ids are used as folder names.
        out: the folder, made if it is not there.
        format: of the pictures.
        made_with: JSON value that names the settings of all texts, for `pages.json`.

    Raises:
        ExportError: an id that is no folder name, is taken or stands twice, or a folder of other
            settings.
        LockedError: another export is writing there.
    """
    out = Path(out)
    with run_lock(out):
        _claim(out, {"picture": format, "made_with": made_with})
        texts = pages = kept = num_bytes = 0
        seen: set[str] = set()
        for id, document in documents:
            _check_name(id, seen)
            if id.casefold() == SETTINGS_FILE:
                raise ExportError(
                    f"the id {id!r} is the name of a file of the export itself",
                    hint="give that text another id (a text file another name), or write a .tar",
                )
            texts, pages = texts + 1, pages + len(document.pages)
            if _is_made(out / id, document):
                kept += 1
                continue
            shutil.rmtree(out / id, ignore_errors=True)
            with atomic_directory(out / id) as draft:
                (draft / MADE_WITH_FILE).write_bytes(_made_with(document))
                for name, picture in _pictures(document, format):
                    (draft / name).write_bytes(picture)
                    num_bytes += len(picture)
    return ExportReport(out=out, texts=texts, pages=pages, kept=kept, num_bytes=num_bytes)


def export_tar(
    documents: Iterable[tuple[str, Typeset]],
    out: Path | str,
    *,
    format: PictureFormat = "png",
) -> ExportReport:
    """Write pages into one tar file, whole or not at all, with nothing of the clock in it.

    Raises:
        ExportError: an id that is no folder name or stands twice; nothing is written.
    """
    texts = pages = num_bytes = 0
    seen: set[str] = set()
    with atomic_file(out) as file, tarfile.open(fileobj=file, mode="w") as tar:
        for id, document in documents:
            _check_name(id, seen)
            texts, pages = texts + 1, pages + len(document.pages)
            _put(tar, f"{id}/{MADE_WITH_FILE}", _made_with(document))
            for name, picture in _pictures(document, format):
                _put(tar, f"{id}/{name}", picture)
                num_bytes += len(picture)
    return ExportReport(out=Path(out), texts=texts, pages=pages, kept=0, num_bytes=num_bytes)


def drop_text(out: Path, id: str) -> None:
    """Remove the folder of a text that has no pages any more, if an export made one."""
    if _is_name(id) and (out / id / MADE_WITH_FILE).is_file():
        shutil.rmtree(out / id)


def _put(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def _made_with(document: Typeset) -> bytes:
    values = document.to_json() | {"text": fingerprint(document.text)}
    return canonical_json(values).encode() + b"\n"


def _is_made(folder: Path, document: Typeset) -> bool:
    path = folder / MADE_WITH_FILE
    return path.is_file() and path.read_bytes() == _made_with(document)


def _pictures(document: Typeset, format: PictureFormat) -> Iterable[tuple[str, bytes]]:
    for number in range(len(document.pages)):
        yield f"page-{number:05d}.{format}", encode_page(document.draw(number), format=format)


def _is_name(id: str) -> bool:
    short = len(id.encode(errors="replace")) <= MAX_NAME_BYTES
    return short and _NAME.fullmatch(id) is not None and set(id) != {"."}


def _check_name(id: str, seen: set[str]) -> None:
    if not _is_name(id):
        raise ExportError(
            f"the id {id!r} is no name for a folder",
            hint=f"letters, digits and ._@+- can be used, {MAX_NAME_BYTES} bytes of them",
        )
    if id in seen:
        raise ExportError(f"two texts have the id {id!r}", hint="give each an id of its own")
    seen.add(id)


def _claim(out: Path, settings: object) -> None:
    """Mark a folder as the one of these settings, or refuse it."""
    path = out / SETTINGS_FILE
    wanted = canonical_json(settings)
    if path.exists():
        header = check_header(json.loads(path.read_text(encoding="utf-8")), kind=_KIND, path=path)
        if canonical_json(header.get("settings")) != wanted:
            raise ExportError(
                f"{out} holds pages made with other settings, and pages are not mixed",
                hint="choose another folder",
            )
        return
    if out.is_dir() and any(out.iterdir()):
        raise ExportError(
            f"{out} is not empty and holds no {SETTINGS_FILE}", hint="choose another folder"
        )
    write_atomic(path, json.dumps(make_header(_KIND, settings=settings)) + "\n")
