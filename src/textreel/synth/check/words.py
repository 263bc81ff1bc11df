"""Words, and what the checks compare of them."""

import re
import unicodedata
from collections.abc import Sequence

_WORD = re.compile(r"\w+")
_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
"""Thai, Lao, Burmese, Khmer, kana and Chinese characters."""
_UNIT = re.compile(rf"[{_SPACELESS}]|[^\W{_SPACELESS}]+")
_CLIP_PIECE = re.compile(r"[^\W\d_]+|\d|[^\s\w]+|_+")
_LETTERS_PER_PIECE = 6
"""A longer word counts as several tokens, so that the estimate errs upwards on rare words."""
_ARTICLES = re.compile(r"^(?:a|an|the)\s+")
STOPWORDS = frozenset(
    "a an and are as at be by for from has have in into is it its of off on onto or out over that "
    "the their there these they this to under up was were which while who with".split()
)


def words(text: str) -> list[str]:
    """Return the words of a text in lower case.

    >>> words("A man saws; he sweats.")
    ['a', 'man', 'saws', 'he', 'sweats']
    """
    return _WORD.findall(text.casefold())


def units(text: str) -> list[str]:
    """Return the words of a text in lower case, and single letters of scripts without spaces.

    >>> units("Er sägt 木板。")
    ['er', 'sägt', '木', '板']
    """
    text = text.casefold()
    return (_WORD if text.isascii() else _UNIT).findall(text)


def plain(text: str) -> str:
    """Return what two texts that say the same have in common: words, without a leading article."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return _ARTICLES.sub("", " ".join(_WORD.findall(text)) or text.strip())


def content_words(text: str) -> list[str]:
    """Return the words that carry meaning: no articles, prepositions or forms of be."""
    return [word for word in words(text) if word not in STOPWORDS]


def stem(word: str) -> str:
    """Return the beginning that a word shares with its other forms.

    >>> stem("hammers"), stem("saw")
    ('hamme', 'saw')
    """
    return word[: max(4, len(word) - 2)] if len(word) > 4 else word


def shingles(tokens: Sequence[str], size: int) -> set[str]:
    """Return the runs of `size` words; a shorter text is one run."""
    if len(tokens) <= size:
        return {" ".join(tokens)} if tokens else set()
    return {" ".join(tokens[i : i + size]) for i in range(len(tokens) - size + 1)}


def estimate_clip_tokens(text: str) -> int:
    """Return about how many tokens CLIP reads in a text, begin and end included.

    Words of up to 6 letters count as one, longer ones as one more per 6 letters; a letter of a
    script without spaces counts as two.
    """
    pieces = _CLIP_PIECE.findall(text)
    if text.isascii():
        return 2 + sum(
            (len(piece) + _LETTERS_PER_PIECE - 1) // _LETTERS_PER_PIECE for piece in pieces
        )
    total = 2
    for piece in pieces:
        wide = sum(character > "\u2e80" for character in piece)
        total += 2 * wide + -(-(len(piece) - wide) // _LETTERS_PER_PIECE)
    return total
