"""Which words a model has never seen: those that its tokenizer reads as `unknown`."""

from collections.abc import Iterable

from tokenizers import Tokenizer


def unknown_words(texts: Iterable[str], *, tokenizer: Tokenizer) -> list[str]:
    """Return the words that `tokenizer` cannot spell, each once, in order of appearance.

    A tokenizer that spells everything from bytes or letters knows every word. Words come back in
    lower case; marks without a letter or digit are no words.
    """
    unknown = getattr(tokenizer.model, "unk_token", None)
    unknown_id = None if unknown is None else tokenizer.token_to_id(unknown)
    if unknown_id is None:
        return []
    found: dict[str, None] = {}
    for text in texts:
        coded = tokenizer.encode(text, add_special_tokens=False)
        for token, (start, end) in zip(coded.ids, coded.offsets, strict=True):
            if token == unknown_id:
                found[text[start:end].strip().lower()] = None
    return [word for word in found if any(mark.isalnum() for mark in word)]
