"""Q-Formers: a few learned queries that read a longer sequence. transformers' own, with our shapes.

    features (N, L, encoder_width)  --queries look at them-->  (N, queries, width)

BLIP-2's reads one frame (12 layers, cross-attention in every second one); Video-LLaMA's read all
frames, or all clips of a sound (2 layers, cross-attention in both). The published weights are
those of a BERT with its text parts taken out; `our_name` translates. The queries pass a LayerNorm
(and, in training, dropout) before the first layer; no positions are added to them.

Source: arXiv:2301.12597; Video-LLaMA@64888c0, video_llama/models/Qformer.py.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import Blip2QFormerConfig, Blip2QFormerModel

_BERT = (
    ("bert.embeddings.LayerNorm.", "layernorm."),
    ("bert.encoder.", "encoder."),
    (".attention.self.", ".attention.attention."),
    (".crossattention.self.", ".crossattention.attention."),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class QFormerShape:
    """Shape of a Q-Former. The defaults are BLIP-2's.

    Attributes:
        encoder_width: width of what it reads.
        width: of its own tokens.
        queries: how many learned queries, hence how many vectors come out.
        layers: its depth.
        heads: attention heads.
        mlp_hidden: width of the hidden layer.
        cross_every: every how many layers there is cross-attention, from the first on.
        dropout: in training, of hidden vectors and of attention (BERT's).
    """

    encoder_width: int = 1408
    width: int = 768
    queries: int = 32
    layers: int = 12
    heads: int = 12
    mlp_hidden: int = 3072
    cross_every: int = 2
    dropout: float = 0.1


class QFormer(nn.Module):
    """Learned queries and the transformer they go through."""

    def __init__(self, shape: QFormerShape) -> None:
        super().__init__()
        self.shape = shape
        self.queries = nn.Parameter(torch.zeros(1, shape.queries, shape.width))
        self.body = Blip2QFormerModel(
            Blip2QFormerConfig(
                hidden_size=shape.width,
                num_hidden_layers=shape.layers,
                num_attention_heads=shape.heads,
                intermediate_size=shape.mlp_hidden,
                encoder_hidden_size=shape.encoder_width,
                cross_attention_frequency=shape.cross_every,
                hidden_dropout_prob=shape.dropout,
                attention_probs_dropout_prob=shape.dropout,
            )
        )

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return (N, queries, width).

        Args:
            features: (N, L, encoder_width).
            mask: (N, L), true where there is something to read; None for everywhere.
        """
        queries = self.queries.expand(len(features), -1, -1)
        read = self.body(
            query_embeds=queries,
            encoder_hidden_states=features,
            encoder_attention_mask=mask,
        )
        return read.last_hidden_state


def our_name(published: str) -> str | None:
    """Return the name in `QFormer.body` of a weight of a published BERT; None if not needed.

    >>> our_name("bert.encoder.layer.0.attention.self.query.weight")
    'encoder.layer.0.attention.attention.query.weight'
    """
    if published == "bert.embeddings.position_ids":
        return None
    for theirs, ours in _BERT:
        published = published.replace(theirs, ours)
    return published
