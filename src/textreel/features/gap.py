"""How far apart two towers' vectors lie: the modality gap, and how well pairs agree.

    gap             distance between the mean picture and the mean text     0 none, 2 opposite
    paired_cosine   mean cosine of a picture and its own text               1 identical

Source: Liang et al., "Mind the Gap", arXiv:2203.02053, section 2.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import normalize

from textreel.data.errors import HintedError


class GapError(HintedError, ValueError):
    """Vectors between which no gap can be measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """What lies between two towers.

    Attributes:
        distance: between the means of unit vectors, 0 to 2.
        paired_cosine: mean over pairs, -1 to 1.
        pairs: how many pairs were measured.
    """

    distance: float
    paired_cosine: float
    pairs: int


def gap(one: Tensor, other: Tensor) -> float:
    """Return the distance between the means of the unit vectors of (N, F) and (M, F)."""
    difference = _units(one).mean(0) - _units(other).mean(0)
    return float(difference.norm())


def paired_cosine(one: Tensor, other: Tensor) -> float:
    """Return the mean cosine between row i of (N, F) and row i of (N, F).

    Raises:
        GapError: the two have another number of rows, or none.
    """
    if one.shape != other.shape:
        raise GapError(f"pairs need two equal shapes, got {tuple(one.shape)}, {tuple(other.shape)}")
    return float((_units(one) * _units(other)).sum(-1).mean())


def measure_gap(one: Tensor, other: Tensor) -> Gap:
    """Return both measures for pairs (N, F), (N, F)."""
    return Gap(distance=gap(one, other), paired_cosine=paired_cosine(one, other), pairs=len(one))


def _units(vectors: Tensor) -> Tensor:
    if vectors.ndim != 2 or len(vectors) == 0:
        raise GapError(f"vectors must be (N, F) with N at least 1, got {tuple(vectors.shape)}")
    if zero := int((vectors == 0).all(-1).sum()):
        raise GapError(f"{zero} of {len(vectors)} vectors are zero (padding?)")
    return normalize(vectors.double(), dim=-1)
