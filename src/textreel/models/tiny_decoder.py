"""The architecture of the tiny decoder: Qwen2's, 5 layers of 160, 1.6 million parameters.

Qwen2 is Llama with biases on queries, keys and values. With rotary positions, biases alone can
make a head look a fixed distance back, whatever the words. The first layer starts with such heads,
one for each of the distances 1 to 5: to know which colour belongs to which shape, a token must know
its neighbours, and learning that from nothing took longer than the whole training of anything else
(docs/LOG.md has both).
"""

import math
from typing import TypeAlias

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

TinyDecoder: TypeAlias = Qwen2ForCausalLM
PAD_ID, BOS_ID, EOS_ID = 0, 1, 2
SHARPNESS = 30.0
"""Attention logit of the favoured distance at the start; the distances beside it get less."""
QUIET = 0.2
"""What the words' part of those heads is multiplied by at the start."""


def new_tiny_decoder(vocab_size: int) -> TinyDecoder:
    """Return a decoder with random weights, drawn from torch's global generator.

    Heads of 32 and a feed-forward 2.7 times as wide, as Llama's (arXiv:2302.13971, section 2.2);
    weights start at a standard deviation of 0.04, twice Qwen2's, which suits so narrow a model.

    Args:
        vocab_size: words of its tokenizer; padding, begin and end are the first three.
    """
    config = Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=160,
        intermediate_size=432,
        num_hidden_layers=5,
        num_attention_heads=5,
        num_key_value_heads=5,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=PAD_ID,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        initializer_range=0.04,
    )
    decoder = TinyDecoder(config)
    look_back(decoder)
    return decoder


@torch.no_grad()
def look_back(decoder: TinyDecoder) -> None:
    """Make head h of the first layer start with its eyes on the token h + 1 places back.

    With query bias u and key bias R(d) u, the logit of a token at distance n is
    |u|^2 * mean(cos((n - d) * theta_f)) over the rotary frequencies theta_f: largest at n = d.
    """
    attention = decoder.model.layers[0].self_attn
    thetas = decoder.model.rotary_emb.inv_freq
    width, pairs = attention.head_dim, len(thetas)
    size = math.sqrt(SHARPNESS * math.sqrt(width) / pairs)
    for head in range(decoder.config.num_attention_heads):
        rows = slice(head * width, (head + 1) * width)
        angle = (head + 1) * thetas
        attention.q_proj.bias[rows] = size * torch.cat([torch.ones(pairs), torch.zeros(pairs)])
        attention.k_proj.bias[rows] = size * torch.cat([torch.cos(angle), torch.sin(angle)])
        attention.q_proj.weight[rows] *= QUIET
        attention.k_proj.weight[rows] *= QUIET
