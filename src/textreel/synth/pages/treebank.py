"""Word tokens by the conventions of the Penn Treebank, as the published pages count them.

The substitutions are those of the Treebank's tokenizer script with the additions of NLTK's
`NLTKWordTokenizer` (quotes of other languages, a full stop before closing marks); they stand here
as one table, applied from top to bottom. The text is taken as one sentence: full stops inside stay
on their words (NLTK's `preserve_line=True`). Splitting sentences first needs NLTK's trained model;
whoever wants it passes the tokens.
"""

import re

_CLOSING = "\\])}>\"'»”’ "
_RULES: tuple[tuple[str, str], ...] = (
    # Opening quotation marks
    (r"([«“‘„]|[`]+)", r" \1 "),
    (r'^"', "``"),
    (r"(``)", r" \1 "),
    (r"([ (\[{<])(\"|'{2})", r"\1 `` "),
    (r"(?i)(?<![\w'])'(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)", "' "),
    # Punctuation
    (rf"([^.])(\.)([{_CLOSING}]*)\s*$", r"\1 \2 \3 "),
    (r"([:,])([^\d])", r" \1 \2"),
    (r"([:,])$", r" \1 "),
    (r"\.{2,}", r" \g<0> "),
    (r"[;@#$%&]", r" \g<0> "),
    (r"([^.])(\.)([\])}>\"']*)\s*$", r"\1 \2\3 "),
    (r"[?!]", r" \g<0> "),
    (r"([^'])' ", r"\1 ' "),
    (r"[*]", r" \g<0> "),
    # Brackets and dashes
    (r"[\]\[(){}<>]", r" \g<0> "),
    (r"--", " -- "),
    # Closing quotation marks and what is contracted with them
    (r"^|$", " "),
    (r"([»”’])", r" \1 "),
    (r"''", " '' "),
    (r'"', " '' "),
    (r"\s+", " "),
    (r"([^' ])('[sSmMdD]|') ", r"\1 \2 "),
    (r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", r"\1 \2 "),
    # Words that are two
    (r"(?i)\b(can)(not)\b", r" \1 \2 "),
    (r"(?i)\b(d)('ye)\b", r" \1 \2 "),
    (r"(?i)\b(gim)(me)\b", r" \1 \2 "),
    (r"(?i)\b(gon)(na)\b", r" \1 \2 "),
    (r"(?i)\b(got)(ta)\b", r" \1 \2 "),
    (r"(?i)\b(lem)(me)\b", r" \1 \2 "),
    (r"(?i)\b(more)('n)\b", r" \1 \2 "),
    (r"(?i)\b(wan)(na)(?=\s)", r" \1 \2 "),
    (r"(?i) ('t)(is)\b", r" \1 \2 "),
    (r"(?i) ('t)(was)\b", r" \1 \2 "),
)
_COMPILED = tuple((re.compile(pattern), replacement) for pattern, replacement in _RULES)


def treebank_tokens(text: str) -> list[str]:
    r"""Return the word tokens of a text taken as one sentence.

    >>> treebank_tokens('"I can\'t," she said (twice).')
    ['``', 'I', 'ca', "n't", ',', "''", 'she', 'said', '(', 'twice', ')', '.']
    """
    for pattern, replacement in _COMPILED:
        text = pattern.sub(replacement, text)
    return text.split()
