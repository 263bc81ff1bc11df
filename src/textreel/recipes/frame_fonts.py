"""`fonts.json`: the fonts of a run's pages, which it keeps whatever is installed or removed later.

    {"fonts": [{"name": "DejaVuSans.ttf", "sha256": "..."}],    what its drawer began with
     "found": [...]}      those of the machine that its texts take, in order; null while measuring

Among the fonts that were taken, each text takes the same ones again: a font that covered less, or
stood later, than one that was taken was not taken at all. So the record needs no other font. Until
all records are measured any font may be found; a length that followed from other fonts of the
machine is measured again.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from textreel.data.files import check_header, fingerprint, make_header, write_atomic
from textreel.synth.pages.drawer import PageDrawer
from textreel.synth.pages.errors import FontError
from textreel.synth.pages.fonts import FontFile, font_by_hash, machine_fonts
from textreel.synth.pages.typeset import Typeset

FONTS_FILE = "fonts.json"
_KIND = "fonts"


@dataclass(frozen=True, kw_only=True)
class WatchedDrawer(PageDrawer):
    """Remembers the fonts of the machine that it took.

    Attributes:
        taken: filled by `typeset`.
    """

    taken: list[FontFile] = field(default_factory=list)

    def typeset(self, text: str, *, id: str) -> Typeset:
        """Return the pages of one text; see `PageDrawer.typeset`."""
        document = super().typeset(text, id=id)
        self.taken.extend(font for font in document.fonts if font not in self.fonts)
        return document

    @classmethod
    def like(cls, drawer: PageDrawer) -> Self:
        """Return a drawer of the same pages."""
        return cls.of_fonts(
            drawer.settings, drawer.fonts, jitter=drawer.jitter, search=drawer.search
        )


def begin_fonts(drawer: PageDrawer, run: Path) -> PageDrawer:
    """Return the drawer of a run's pages, with the fonts that it began with; record a new run's.

    Raises:
        FontError: one of them is not on this machine any more; says which.
        FormatError: the record is of another kind, or of a newer version.
    """
    if not (run / FONTS_FILE).is_file():
        _write(run, {"fonts": _listed(drawer.fonts), "found": None})
    return kept_fonts(drawer, run)


def kept_fonts(drawer: PageDrawer, run: Path) -> PageDrawer:
    """Return the drawer with the fonts that a run keeps; the same one where none are recorded.

    Raises:
        FontError, FormatError: see `begin_fonts`.
    """
    values = _read(run)
    if values is None:
        return drawer
    search = drawer.search
    if values["found"] is not None:
        search = tuple(font.sha256 for font in _at_hand(values["found"], run))
    fonts = _at_hand(values["fonts"], run)
    return PageDrawer.of_fonts(drawer.settings, fonts, jitter=drawer.jitter, search=search)


def are_settled(run: Path) -> bool:
    """Return whether a run knows all fonts that it takes."""
    values = _read(run)
    return values is not None and values["found"] is not None


def settle_fonts(run: Path, taken: Iterable[str]) -> None:
    """Record that a run's texts take these fonts of the machine, named by sha256, and no others."""
    values, wanted = _read(run), set(taken)
    assert values is not None
    found = [font for font in machine_fonts() if font.sha256 in wanted] if wanted else []
    _write(run, {"fonts": values["fonts"], "found": _listed(dict.fromkeys(found))})


def offered_fonts() -> str:
    """Name all fonts of the machine, in their order: what else a text might have taken."""
    return fingerprint([font.sha256 for font in machine_fonts()])


def _read(run: Path) -> Mapping[str, Any] | None:
    path = run / FONTS_FILE
    if not path.is_file():
        return None
    return check_header(json.loads(path.read_text(encoding="utf-8")), kind=_KIND, path=path)


def _write(run: Path, values: Mapping[str, Any]) -> None:
    write_atomic(run / FONTS_FILE, json.dumps(make_header(_KIND, **values), indent=1) + "\n")


def _listed(fonts: Iterable[FontFile]) -> list[dict[str, str]]:
    return [{"name": font.name, "sha256": font.sha256} for font in fonts]


def _at_hand(fonts: Iterable[Mapping[str, str]], run: Path) -> tuple[FontFile, ...]:
    """Find recorded fonts by their hashes."""
    found = []
    for font in fonts:
        try:
            found.append(font_by_hash(font["sha256"]))
        except FontError as error:
            raise FontError(
                f"{run} draws its pages with {font['name']}, which is gone: {error}",
                hint="install that font again, or start a new run in another folder",
            ) from error
    return tuple(found)
