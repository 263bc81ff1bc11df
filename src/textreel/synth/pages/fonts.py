"""Font files: the default one, those of the machine, what each can draw, and their names by hash.

A font is its sha256: pages that are drawn again anywhere ask for the same hash, and a file of
another content is refused, because other glyphs break lines elsewhere. The default is DejaVu Sans
(Latin, Greek, Cyrillic and some more), which Matplotlib installs as a file; it is found without
importing Matplotlib. No font file is ours.
"""

import logging
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

from textreel.data.files import content_hash
from textreel.synth.pages.errors import FontError

_log = logging.getLogger("textreel.synth")
DEFAULT_NAME = "DejaVuSans.ttf"
_ENDINGS = {".ttf", ".otf", ".ttc", ".otc"}
_OUTLINES = ("glyf", "CFF ", "CFF2")
_PLAIN = ("bold", "italic", "oblique", "condensed", "light", "thin", "black", "mono", "math")
"""Words in a file's name that make it a second choice."""
_NEVER = ("lastresort", "adobeblank")
"""Fonts that cover everything with boxes or with nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FontFile:
    """A font file with outlines.

    Attributes:
        path: where it is on this machine; no part of its identity.
        sha256: of its content.
        characters: code points it has glyphs for (the first font of a collection).
        has_kerning: whether it has a `kern` table, the only one that Pillow's basic layout reads.
    """

    path: Path = field(compare=False)
    sha256: str
    characters: frozenset[int] = field(compare=False, repr=False)
    has_kerning: bool = field(compare=False, repr=False)

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name


def open_font(path: Path | str) -> FontFile:
    """Read what a font file covers.

    Raises:
        FontError: no such file, not a font, or one without outlines (bitmaps have one size only).
    """
    path = Path(path)
    try:
        digest = content_hash(path)
    except OSError as error:
        raise FontError(
            f"font {path} cannot be read: {error.strerror or error}", hint="check the path"
        ) from error
    return _read_font(path, digest)


@lru_cache(maxsize=256)
def _read_font(path: Path, digest: str) -> FontFile:
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with path.open("rb") as file, TTFont(file, fontNumber=0, lazy=True) as tables:
            names, characters = set(tables.keys()), frozenset(tables.getBestCmap() or ())
        if not names.isdisjoint(_OUTLINES):
            ImageFont.truetype(str(path), layout_engine=ImageFont.Layout.BASIC)
    except (TTLibError, OSError, KeyError, AssertionError, ValueError) as error:
        raise FontError(
            f"{path} is no font file: {error or type(error).__name__}",
            hint="TrueType and OpenType files (.ttf, .otf, .ttc) can be used",
        ) from error
    if names.isdisjoint(_OUTLINES) or not characters:
        raise FontError(
            f"{path} has no outlines for any character, so it has no glyphs of a chosen size",
            hint="choose a TrueType or OpenType font with outlines",
        )
    return FontFile(path=path, sha256=digest, characters=characters, has_kerning="kern" in names)


def default_font() -> FontFile:
    """Return DejaVu Sans, as Matplotlib installs it.

    Raises:
        FontError: Matplotlib is not installed.
    """
    return shipped_font(DEFAULT_NAME)


@cache
def shipped_font(name: str) -> FontFile:
    """Return a font by its file's name, one of those that Matplotlib installs.

    Raises:
        FontError: Matplotlib is not installed, or has no such file.
    """
    paths = _shipped()
    for path in paths:
        if path.name == name:
            return open_font(path)
    if not paths:
        raise FontError(
            f"there is no {name}: it comes with matplotlib, which is not installed here",
            hint="pip install matplotlib, or name a font file",
        )
    raise FontError(
        f"matplotlib ships no font file {name!r}",
        hint=f"{DEFAULT_NAME} and DejaVuSansMono.ttf are there",
    )


def _shipped() -> list[Path]:
    """Return the font files that Matplotlib installs; none without it."""
    spec = find_spec("matplotlib")
    places = list(spec.submodule_search_locations or ()) if spec else []
    folders = [Path(place) / "mpl-data" / "fonts" / "ttf" for place in places]
    return sorted(path for folder in folders for path in folder.glob("*.ttf"))


def font_folders() -> list[Path]:
    """Return the folders where this kind of machine keeps its fonts."""
    home = Path.home()
    if sys.platform == "darwin":
        found = [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    elif os.name == "nt":
        found = [Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts"]
    else:
        data = os.environ.get("XDG_DATA_HOME")
        user = Path(data) if data else home / ".local/share"
        found = [
            Path("/usr/share/fonts"),
            Path("/usr/local/share/fonts"),
            user / "fonts",
            home / ".fonts",
        ]
    return [folder for folder in found if folder.is_dir()]


def machine_fonts(folders: Iterable[Path] | None = None) -> tuple[FontFile, ...]:
    """Return the fonts of this machine, plain ones first, then by name; unusable ones are logged.

    A folder is searched once per process.

    Args:
        folders: where to look, with all folders below; None: `font_folders()`.
    """
    return _fonts_below(tuple(font_folders() if folders is None else folders))


@lru_cache(maxsize=4)
def _fonts_below(folders: tuple[Path, ...]) -> tuple[FontFile, ...]:
    paths = {
        path.resolve()
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix.lower() in _ENDINGS
    }
    found = []
    for path in sorted(paths, key=_preference):
        if any(word in path.name.lower() for word in _NEVER):
            continue
        try:
            found.append(open_font(path))
        except FontError as error:
            _log.info("font left out: %s", error)
    return tuple(found)


def _preference(path: Path) -> tuple[int, str, str]:
    name = path.name.lower()
    return sum(word in name for word in _PLAIN), name, str(path)


def font_by_hash(sha256: str, *, folders: Iterable[Path] | None = None) -> FontFile:
    """Return the font of that content, from Matplotlib or from the machine.

    Raises:
        FontError: none of them has it.
    """
    if sha256 == default_font().sha256:
        return default_font()
    for path in _shipped():
        if content_hash(path) == sha256:
            return open_font(path)
    for font in machine_fonts(folders):
        if font.sha256 == sha256:
            return font
    raise FontError(
        f"no font on this machine has sha256 {sha256[:16]}...; other glyphs would break lines "
        f"elsewhere",
        hint="install that font, or typeset the text again with the fonts that are here",
    )
