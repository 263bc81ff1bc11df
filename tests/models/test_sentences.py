from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from textreel.models.errors import DecoderNotFoundError
from textreel.models.sentences import load_sentence_encoder

WORDS = ["[PAD]", "[UNK]", "a", "red", "fox", "ran"]


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=8,
    )
    BertModel(config).save_pretrained(tmp_path)
    return tmp_path


def test_vectors_are_means_over_real_tokens_of_length_one(encoder: Path) -> None:
    embed = load_sentence_encoder(str(encoder))
    together = embed(["a red fox", "ran"])
    alone = np.concatenate([embed(["a red fox"]), embed(["ran"])])
    assert together.shape == (2, 16)
    np.testing.assert_allclose(together, alone, atol=1e-6)  # padding has no part in it
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert abs(float(together[0] @ together[1])) < 0.999
    assert embed(["fox " * 50]).shape == (1, 16)  # cut at the encoder's own length


def test_an_encoder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DecoderNotFoundError, match=r"no sentence encoder .*looked at") as told:
        load_sentence_encoder(str(tmp_path))
    assert told.value.hint.startswith("give a Hugging Face directory or id; without one")
