"""How the tiny image-LLM's eyes start: some heads of the first layer look beside each patch.

A word on a page lies in several patches of one line, and what they show must come together before
anything can be known about it. With random heads that was learned slowly; it is the same for all
places, so it is given (the tiny decoder starts alike, `models/tiny_decoder`). Places are written
as cosines and sines in the first `PLACE_DIMS` dimensions, where patches show nothing at first. With
a query turned by the distance d, the logit of a patch dx columns and dy rows away is

    SHARPNESS / pairs * (sum over f of cos(f (dx - d)) + cos(f dy)),  largest at dx = d, dy = 0,

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
DISTANCES = (-1, 1, 2, 3, 4)
"""Patches to the right that a head starts with its eyes on, one head each."""
SHARPNESS = 30.0
PLACE_STD = 0.1


@torch.no_grad()
def look_beside(eyes: Any) -> None:  # noqa: ANN401 - a class of transformers
    """Set places, and the queries and keys of heads of the first layer.

    Args:
        eyes: a vision tower of Idefics3's class, for a square picture; of 16 dimensions a head or
            more, and as many heads as there are distances or more.
    """
    embeddings, attention = eyes.embeddings, eyes.encoder.layers[0].self_attn
    places = embeddings.position_embedding.weight
    side, width = math.isqrt(len(places)), attention.head_dim
    waves = torch.tensor([math.pi / side * wave for wave in WAVES])
    nn.init.normal_(places, 0.0, PLACE_STD)
    places[:, :PLACE_DIMS] = _places(side, waves)
    embeddings.patch_embedding.weight[:PLACE_DIMS] = 0
    embeddings.patch_embedding.bias.zero_()
    size = math.sqrt(SHARPNESS * math.sqrt(width) / (PLACE_DIMS / 2))
    for head, distance in enumerate(DISTANCES):
        first = head * width
        for matrix, turned in ((attention.q_proj, distance), (attention.k_proj, 0)):
            weight = matrix.weight
            rows = weight[first : first + PLACE_DIMS]
            rows.zero_()
            rows[:, :PLACE_DIMS] = size * _turn(waves * turned)


def _places(side: int, waves: Tensor) -> Tensor:
    """Return cos and sin of the column, then of the row, of every patch, (side * side, 16)."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [place.flatten()[:, None] * waves for place in (columns, rows)]
    return torch.cat([part for angle in angles for part in (angle.cos(), angle.sin())], dim=1)


def _turn(angles: Tensor) -> Tensor:
    """Return the matrix (16, 16) that adds `angles` to those of a column, and leaves rows alone."""
    count = len(angles)
    cos, sin = torch.diag(angles.cos()), torch.diag(angles.sin())
    turn = torch.eye(PLACE_DIMS)
    turn[: 2 * count, : 2 * count] = torch.cat(
        [torch.cat([cos, -sin], dim=1), torch.cat([sin, cos], dim=1)]
    )
    return turn
