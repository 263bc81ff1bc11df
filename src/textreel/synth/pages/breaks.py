"""Where a text may be broken: lines between words, pages after sentences and paragraphs.

Latin-like text breaks after white space and after hyphens and dashes between letters. Chinese and
Japanese text breaks between any two characters, except before closing and after opening marks (a
small part of JIS X 4051 and Unicode's UAX 14). Sentences end at `.`, `!`, `?` and their like,
unless the word before is a known abbreviation, an initial, or the next word goes on in lower case.
"""

import re
import unicodedata

_ASIAN = "\u2e80-\u2fff\u3005-\u30ff\u31f0-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_NOT_FIRST = "、。，．：；！？）」』】〕》〉’”…‥々ーぁぃぅぇぉっゃゅょァィゥェォッャュョ・"
_NOT_LAST = "（「『【〔《〈‘“"
_LINE_BREAK = re.compile(
    rf"[^\S\n]+|(?<=[^\W\d_][-\u2010\u2013\u2014])(?=[^\W_])"
    rf"|(?<=[{_ASIAN}{_NOT_FIRST}])(?=[^\s{_NOT_FIRST}])(?<![{_NOT_LAST}])"
    rf"|(?<=[^\s{_NOT_LAST}])(?=[{_ASIAN}])(?<![{_NOT_LAST}])(?![{_NOT_FIRST}])"
)
_SENTENCE_END = re.compile(
    r"""[.!?…]+["'”’»)\]]*\s+(?=["'“‘«(\[]*[^\s\W_a-z])|[。！？]["”’」』）]*\s*|[؟۔।]\s+"""
)
_PARAGRAPH_END = re.compile(r"\n(?:[^\S\n]*\n)*")
_WORD = re.compile(rf"[{_ASIAN}]|[^\s{_ASIAN}]+")
_ABBREVIATIONS = set(
    "mr mrs ms dr prof st vs e.g i.e cf no nos fig figs eq sec vol al inc ltd jr sr approx gen rep "
    "sen gov capt col sgt lt mt dept univ u.s u.k jan feb mar apr jun jul aug sep sept oct nov "
    "dec".split()
)


def line_breaks(text: str) -> list[tuple[int, int]]:
    """Return every place where a line may end.

    Returns:
        (end of what is drawn, start of the next line), ascending; between them is white space. The
        last is the text's own end.

    >>> line_breaks("a bc  d-e")
    [(1, 2), (4, 6), (8, 8), (9, 9)]
    >>> line_breaks("well-known 漢字。")
    [(5, 5), (10, 11), (12, 12), (14, 14)]
    """
    found = [match.span() for match in _LINE_BREAK.finditer(text) if match.end() > 0]
    if not found or found[-1][1] != len(text):
        found.append((len(text), len(text)))
    return found


def sentence_ends(text: str) -> list[int]:
    """Return where sentences begin that follow another one, ascending.

    >>> text = "Dr. Lee left. He was late, e.g. by 2.5 hours! 是。好"
    >>> [text[:at][-6:] for at in sentence_ends(text)]
    ['left. ', 'ours! ', 'rs! 是。']
    """
    return [
        match.end()
        for match in _SENTENCE_END.finditer(text)
        if not _is_abbreviation(text, match.start(), match[0])
    ]


def paragraph_ends(text: str) -> list[int]:
    r"""Return where lines begin that follow a line end, blank ones passed over, ascending.

    >>> paragraph_ends("a\n \n\n  b\nc")
    [4, 8]
    """
    return [match.end() for match in _PARAGRAPH_END.finditer(text)]


def word_starts(text: str) -> list[int]:
    """Return where words begin, ascending; a Chinese or Japanese character is a word of its own.

    >>> word_starts(" ab c漢字")
    [1, 4, 5, 6]
    """
    return [match.start() for match in _WORD.finditer(text)]


def cluster_start(text: str, at: int, *, first: int) -> int:
    """Return the last place at or before `at` that does not part a mark from its letter.

    Args:
        text: the text.
        at: wanted place.
        first: never go below this; if it would be reached, `at` stays as it is.
    """
    place = at
    while place > first and place < len(text) and unicodedata.category(text[place])[0] == "M":
        place -= 1
    return place if place > first else at


def _is_abbreviation(text: str, start: int, ending: str) -> bool:
    if not ending.startswith(".") or ending.startswith(".."):
        return False
    word = re.search(r"[\w.]*$", text[max(0, start - 12) : start])
    before = (word[0] if word else "").lower()
    return before in _ABBREVIATIONS or (len(before) == 1 and before.isalpha() and before != "i")
