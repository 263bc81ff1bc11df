"""Fonts made on the spot: boxes for any characters, so that no test needs the machine's fonts."""

from pathlib import Path

from fontTools.feaLib.builder import addOpenTypeFeaturesFromString
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

UNITS = 1000


def make_font(
    path: Path, characters: str, *, width: int = UNITS, ink: int = 800, rules: str = ""
) -> Path:
    """Write a TrueType font whose every character is a box `ink` wide in `width` of 1,000 units.

    Args:
        path: where.
        characters: it has.
        width: of each.
        ink: of each.
        rules: for shaping, in the feature language of OpenType.
    """
    names = {ord(character): f"u{ord(character):04X}" for character in characters}
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for point in ((100, 700), (ink + 100, 700), (ink + 100, 0)):
        pen.lineTo(point)
    pen.closePath()
    box, empty = pen.glyph(), TTGlyphPen(None).glyph()
    builder = FontBuilder(UNITS, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap(names)
    blank = {name for code, name in names.items() if chr(code).isspace()} | {".notdef"}
    builder.setupGlyf({n: empty if n in blank else box for n in [".notdef", *names.values()]})
    builder.setupHorizontalMetrics({n: (width, 100) for n in [".notdef", *names.values()]})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    if rules:
        addOpenTypeFeaturesFromString(builder.font, rules)
    path.parent.mkdir(parents=True, exist_ok=True)
    builder.save(path)
    return path
