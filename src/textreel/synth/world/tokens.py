"""The word-level tokenizer of the tiny models."""

from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Punctuation, Sequence, WhitespaceSplit

from textreel.synth.world.vocabulary import SPECIAL_TOKENS, UNK, words


def world_tokenizer() -> Tokenizer:
    """Return the world's tokenizer: lower case, one token a word or mark, others `<unk>`.

    It splits as `vocabulary.split` does, so `token_ids` are its ids.
    """
    ids = {word: number for number, word in enumerate(words())}
    tokenizer = Tokenizer(WordLevel(ids, unk_token=UNK))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Sequence([WhitespaceSplit(), Punctuation("isolated")])
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS]
    )
    return tokenizer
