"""Unknown words: named once; tokenizers that spell everything know everything."""

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from textreel.serve.words import unknown_words


def word_level() -> Tokenizer:
    words = {"<unk>": 0, "a": 1, "red": 2, "circle": 3, "?": 4}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def test_unknown_words_are_named_once() -> None:
    asked = ["A Purple circle, purple ?", "red Zebra", "a purple ?"]
    assert unknown_words(asked, tokenizer=word_level()) == ["purple", "zebra"]


def test_known_words_are_not_named() -> None:
    assert unknown_words(["A RED circle ?", ""], tokenizer=word_level()) == []


def test_a_tokenizer_without_an_unknown_token_knows_everything() -> None:
    letters = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    assert unknown_words(["ab", "zzz"], tokenizer=letters) == []
