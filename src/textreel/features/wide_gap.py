"""The same towers with a wide gap between them, to see what a bridge is worth.

    t' = unit(.65 t + .6 u_t)               u_t, u_i fixed, orthonormal: an offset per modality
    i' = unit(.65 i + .6 u_i + .45 z)       z random per picture, of a fixed 64-dimensional subspace

so that pictures have directions of their own that no text has. With towers whose pairs agree, the
gap becomes about .9 and the paired cosine about .45, like real CLIP's (arXiv:2203.02053, figure 1).
"""

import zlib
from dataclasses import replace

import torch
from torch import Generator, Tensor
from torch.nn.functional import normalize

from textreel.data.errors import HintedError
from textreel.models.batch import Features

KEPT, OFFSET, PRIVATE = 0.65, 0.6, 0.45
PRIVATE_DIMS = 64


class WideGapError(HintedError, ValueError):
    """Features that cannot be moved apart."""


class WideGap:
    """Moves texts and pictures of one encoder apart.

    Args:
        dim: F, width of the features; more than the private subspace and two offsets.
        seed: of offsets and subspace.

    Raises:
        WideGapError: too few dimensions.
    """

    def __init__(self, dim: int, *, seed: int = 0) -> None:
        wanted = PRIVATE_DIMS + 2
        if dim < wanted:
            raise WideGapError(
                f"features of {dim} dimensions leave no room for {wanted} directions"
            )
        generator = torch.Generator().manual_seed(seed)
        basis, _ = torch.linalg.qr(torch.randn(dim, wanted, generator=generator))
        self.text_offset, self.picture_offset = basis[:, 0], basis[:, 1]
        self.private = basis[:, 2:]

    def texts(self, vectors: Tensor) -> Tensor:
        """Return t' of unit text vectors (..., F)."""
        return normalize(KEPT * vectors.float() + OFFSET * self.text_offset, dim=-1)

    def pictures(self, vectors: Tensor, *, generator: Generator) -> Tensor:
        """Return i' of unit picture vectors (..., F); `generator` draws z, a unit vector."""
        drawn = torch.randn(*vectors.shape[:-1], PRIVATE_DIMS, generator=generator)
        own = normalize(drawn, dim=-1) @ self.private.T
        moved = KEPT * vectors.float() + OFFSET * self.picture_offset + PRIVATE * own
        return normalize(moved, dim=-1)

    def move(self, id: str, features: Features) -> Features:
        """Return a video's features, moved apart; z is drawn by the video's id."""
        if features.modality == "text":
            values = self.texts(features.values)
        else:
            generator = torch.Generator().manual_seed(zlib.crc32(id.encode()))
            values = self.pictures(features.values, generator=generator)
        return replace(features, values=values.half())
