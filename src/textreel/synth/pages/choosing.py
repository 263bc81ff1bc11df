"""Which fonts draw a text: those that were named, then by coverage those of the machine."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from textreel.synth.pages.errors import MissingGlyphsError
from textreel.synth.pages.fonts import FontFile, machine_fonts
from textreel.synth.pages.scripts import count_scripts

_SHOWN = 5


def choose_fonts(
    characters: Iterable[str],
    named: Sequence[FontFile],
    *,
    search: bool | Sequence[FontFile] = True,
    folders: Sequence[Path] | None = None,
) -> tuple[tuple[FontFile, ...], frozenset[int]]:
    """Return the named fonts that are needed, and as many more of the machine as are needed.

    The first named font is always among them. Another of the machine is taken where it has most of
    the characters that are still missing; of several, the first plain one by name.

    Args:
        characters: what is to be drawn, line ends and other undrawn characters left out.
        named: in order of preference, at least one.
        search: whether to look on the machine; or all fonts of it that may be taken, in order.
        folders: where to look there; None: its usual folders.

    Returns:
        The fonts, and the code points that none of them has.
    """
    wanted = {ord(character) for character in characters}
    missing = wanted - named[0].characters
    chosen = [named[0]]
    for font in named[1:]:
        if missing & font.characters:
            chosen.append(font)
            missing -= font.characters
    if missing and search:
        offered = machine_fonts(folders) if search is True else search
        chosen += _more(missing, offered, but=chosen)
    return tuple(chosen), frozenset(missing)


def refuse_missing(missing: frozenset[int], *, fonts: Sequence[FontFile]) -> None:
    """Do nothing if nothing is missing.

    Raises:
        MissingGlyphsError: characters that no font has; names their scripts, and counts them.
    """
    if not missing:
        return
    codes = sorted(missing)
    scripts = ", ".join(f"{n} of {name}" for name, n in count_scripts(map(chr, codes)).items())
    first = ", ".join(f"U+{code:04X}" for code in codes[:_SHOWN])
    raise MissingGlyphsError(
        f"no font draws {len(codes)} different characters of the text: {scripts} "
        f"({first}{', ...' if len(codes) > _SHOWN else ''}; fonts: "
        f"{', '.join(font.name for font in fonts)})",
        hint="install or name a font that has them, leave such texts out, or draw their codes "
        "(missing='code')",
    )


def _more(
    missing: set[int], fonts: Iterable[FontFile], *, but: Sequence[FontFile]
) -> list[FontFile]:
    """Return fonts that have some of `missing`, and take what they have out of it."""
    candidates = [font for font in fonts if font not in but and missing & font.characters]
    taken = []
    while missing and candidates:
        best = max(candidates, key=lambda font: len(missing & font.characters))  # the first of many
        if not missing & best.characters:
            break
        taken.append(best)
        missing -= best.characters
    return taken
