"""What kind of characters a text is made of: the name of their script, and what drawing them needs.

Three kinds need care. *Shaped* scripts (Arabic, Hebrew, Devanagari, Thai and their like) run from
right to left or join and stack their letters; a glyph per character drawn side by side would be
wrong. *Invisible* characters (joiners, selectors, the soft hyphen) stand in a text but are not
drawn. *Line ends* come in seven kinds. Everything else is a glyph per character.

Ranges are blocks of the Unicode Character Database, Blocks.txt.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

SHAPED = (
    (0x0590, 0x05FF, "Hebrew"),
    (0x0600, 0x06FF, "Arabic"),
    (0x0700, 0x074F, "Syriac"),
    (0x0750, 0x077F, "Arabic"),
    (0x0780, 0x07BF, "Thaana"),
    (0x07C0, 0x085F, "N'Ko, Samaritan or Mandaic"),
    (0x0860, 0x086F, "Syriac"),
    (0x0870, 0x08FF, "Arabic"),
    (0x0900, 0x097F, "Devanagari"),
    (0x0980, 0x09FF, "Bengali"),
    (0x0A00, 0x0A7F, "Gurmukhi"),
    (0x0A80, 0x0AFF, "Gujarati"),
    (0x0B00, 0x0B7F, "Oriya"),
    (0x0B80, 0x0BFF, "Tamil"),
    (0x0C00, 0x0C7F, "Telugu"),
    (0x0C80, 0x0CFF, "Kannada"),
    (0x0D00, 0x0D7F, "Malayalam"),
    (0x0D80, 0x0DFF, "Sinhala"),
    (0x0E00, 0x0E7F, "Thai"),
    (0x0E80, 0x0EFF, "Lao"),
    (0x0F00, 0x0FFF, "Tibetan"),
    (0x1000, 0x109F, "Burmese"),
    (0x1780, 0x17FF, "Khmer"),
    (0x1800, 0x18AF, "Mongolian"),
    (0x1A20, 0x1AAF, "Tai Tham"),
    (0x1B00, 0x1BFF, "Balinese, Sundanese or Batak"),
    (0xA840, 0xA8FF, "Phags-pa, Saurashtra or Devanagari"),
    (0xA980, 0xA9FF, "Javanese or Burmese"),
    (0xAA00, 0xAADF, "Cham, Burmese or Tai Viet"),
    (0xFB1D, 0xFB4F, "Hebrew"),
    (0xFB50, 0xFDFF, "Arabic"),
    (0xFE70, 0xFEFE, "Arabic"),
    (0x10800, 0x10FFF, "a right-to-left script"),
    (0x11000, 0x1137F, "an Indic script"),
    (0x1E800, 0x1EFFF, "a right-to-left script"),
)
"""(first, last, name) of the blocks whose characters cannot be drawn one by one, ascending."""

_CLASS = "".join(f"{chr(first)}-{chr(last)}" for first, last, _ in SHAPED)
SHAPED_PATTERN = re.compile(f"[{_CLASS}]")
_INVISIBLE = (
    "\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e0fff"
)
INVISIBLE_PATTERN = re.compile(f"[{_INVISIBLE}]")
"""Default-ignorable characters (DerivedCoreProperties.txt) that texts do contain."""
_BLANK = "\u2800\ufffc\u115f\u1160\u3164\uffa0"
"""Characters whose glyph may be empty: Braille's blank, objects, fillers of Korean syllables."""
VISIBLE_PATTERN = re.compile(rf"[^\s{_INVISIBLE}]")
LINE_END_PATTERN = re.compile("\r\n|[\n\r\v\f\x85\u2028\u2029]")
_ASIAN = {
    "CJK": "Chinese",
    "IDEOGRAPHIC": "Chinese",
    "FULLWIDTH": "full-width forms",
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "HANGUL": "Korean",
}


def has_ink(character: str) -> bool:
    r"""Return whether a letter, number, punctuation mark or symbol must show something.

    >>> has_ink("a"), has_ink(" "), has_ink("\u0301")
    (True, False, False)
    """
    return unicodedata.category(character)[0] in "LNPS" and character not in _BLANK


def is_shaped(text: str) -> bool:
    """Return whether some character of `text` belongs to a script that needs shaping.

    >>> is_shaped("naïve Σ ж 漢"), is_shaped("سلام")
    (False, True)
    """
    return SHAPED_PATTERN.search(text) is not None


def runs_right_to_left(text: str) -> bool:
    """Return whether the first character with a direction of its own runs from right to left."""
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in ("L", "R", "AL"):
            return direction != "L"
    return False


def script_of(character: str) -> str:
    """Return the name of a character's script, or of its kind where it has none.

    >>> [script_of(c) for c in "aж漢ひ😀"]
    ['Latin', 'Cyrillic', 'Chinese', 'Japanese', 'emoji']
    """
    code = ord(character)
    for first, last, name in SHAPED:
        if first <= code <= last:
            return name
    category = unicodedata.category(character)
    if category == "Cc":
        return "control characters"
    if category == "Cs":
        return "lone surrogates"
    if category == "Co":
        return "private use"
    if 0x1F000 <= code <= 0x1FBFF:
        return "emoji"
    word = unicodedata.name(character, "unassigned").split()[0]
    if category[0] in "SPZN" and word not in ("CJK", "IDEOGRAPHIC"):
        return "symbols"
    return _ASIAN.get(word.split("-")[0], word.capitalize())


def count_scripts(characters: Iterable[str]) -> dict[str, int]:
    """Return how many of the characters belong to each script, most first, ties by name."""
    counts = Counter(map(script_of, characters))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
