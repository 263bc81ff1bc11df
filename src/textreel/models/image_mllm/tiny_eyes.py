"""How the tiny image-LLM's eyes start: some heads of two layers look beside each patch.

A word on a page lies in several patches of one line, an object in several all around, and what they
show must come together before anything can be known about it. With random heads that was learned
slowly; it is the same for all places, so it is given (the tiny decoder starts alike,
`models/tiny_decoder`). Places are written as cosines and sines in the first `PLACE_DIMS`
dimensions, where patches show nothing at first. With a query turned by (right, down), the logit of
a patch dx columns and dy rows away is

    SHARPNESS / pairs * (sum over f of cos(f (dx - right)) + cos(f (dy - down))),

largest at dx = right, dy = down,

times what the LayerNorm before the attention makes of the places' size, squared: 3 to 11, by what
the picture shows. The heads start all but one-hot.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

PLACE_DIMS = 16
WAVES = (1, 2, 3, 5)
"""Cycles over twice the picture's side: nothing wraps around."""
LOOKS = (
    ((-1, 0), (1, 0), (2, 0), (3, 0), (4, 0), (0, 1)),
    ((0, -1), (0, 1), (-1, 0), (1, 0)),
)
"""Of each layer, patches to the right and down that a head starts with its eyes on."""
SHARPNESS = 30.0
PLACE_STD = 0.1


@torch.no_grad()
def look_beside(eyes: Any) -> None:  # noqa: ANN401 - a class of transformers
    """Set places, and the queries and keys of the heads of `LOOKS`.

    Args:
        eyes: a vision tower of Idefics3's class, for a square picture; of 16 dimensions a head or
            more, and of as many heads as a layer has looks or more.
    """
    embeddings = eyes.embeddings
    places = embeddings.position_embedding.weight
    side = math.isqrt(len(places))
    waves = torch.tensor([math.pi / side * wave for wave in WAVES])
    nn.init.normal_(places, 0.0, PLACE_STD)
    places[:, :PLACE_DIMS] = _places(side, waves)
    embeddings.patch_embedding.weight[:PLACE_DIMS] = 0
    embeddings.patch_embedding.bias.zero_()
    for layer, looks in zip(eyes.encoder.layers, LOOKS, strict=False):
        for head, (right, down) in enumerate(looks):
            _look(layer.self_attn, head, _turn(waves * right, waves * down))


def _look(attention: Any, head: int, turn: Tensor) -> None:  # noqa: ANN401
    """Set the queries and keys of one head."""
    width = attention.head_dim
    size = math.sqrt(SHARPNESS * math.sqrt(width) / (PLACE_DIMS / 2))
    for matrix, turned in ((attention.q_proj, turn), (attention.k_proj, torch.eye(PLACE_DIMS))):
        rows = matrix.weight[head * width : head * width + PLACE_DIMS]
        rows.zero_()
        rows[:, :PLACE_DIMS] = size * turned


def _places(side: int, waves: Tensor) -> Tensor:
    """Return cos and sin of the column, then of the row, of every patch, (side * side, 16)."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [place.flatten()[:, None] * waves for place in (columns, rows)]
    return torch.cat([part for angle in angles for part in (angle.cos(), angle.sin())], dim=1)


def _turn(right: Tensor, down: Tensor) -> Tensor:
    """Return the matrix (16, 16) that adds `right` to a column's angles, `down` to a row's."""
    turn, half = torch.zeros(PLACE_DIMS, PLACE_DIMS), PLACE_DIMS // 2
    turn[:half, :half], turn[half:, half:] = _rotation(right), _rotation(down)
    return turn


def _rotation(angles: Tensor) -> Tensor:
    cos, sin = torch.diag(angles.cos()), torch.diag(angles.sin())
    return torch.cat([torch.cat([cos, -sin], dim=1), torch.cat([sin, cos], dim=1)])
