"""Connectors: from a frozen tower's features to vectors the decoder can read.

    features (B, T, P, F)  --connector-->  soft tokens (B, N, D)

Shape letters as in `batch.py`. A connector knows `num_soft_tokens(T)` without being run, so that a
prompt can keep that many places free.

Linear, one soft token per time step, plus a learned vector per time slot: TOPA, arXiv:2405.13911
(dhg-wei/TOPA@609c482, llama/model.py: `visual_proj`, `temporal_emb`). Beyond the paper: several
soft tokens per step, positions from seconds instead of slots, and a norm that brings the soft
tokens to the size of the decoder's own embeddings.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from textreel.models.errors import BatchError, ModelConfigError

NUM_WAVES = 32
"""Pairs of sine and cosine that a time in seconds is written in."""
SHORTEST_PERIOD_S, LONGEST_PERIOD_S = 0.5, 1024.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectorConfig:
    """Shape of a linear connector. The defaults are TOPA's.

    Attributes:
        feature_dim: F, width of one feature vector.
        vectors_per_frame: P, vectors per time step (1 for pooled features).
        tokens_per_vector: K, soft tokens made of each vector.
        temporal: `table`, one learned vector per slot; `time`, made from seconds; `none`.
        max_frames: slots of the table; a longer video is an error, never a silent cut.
        temporal_std: standard deviation of the table at the start (published: 1, which is some 50
            times the size of the projected content).
        norm: `layer` or `rms` norm of every soft token, whose gain starts at the size of the
            decoder's embeddings; `none` as published.
        bias: whether the linear map has a bias (published: no).
    """

    feature_dim: int
    vectors_per_frame: int = 1
    tokens_per_vector: int = 1
    temporal: Literal["table", "time", "none"] = "table"
    max_frames: int = 10
    temporal_std: float = 1.0
    norm: Literal["none", "layer", "rms"] = "none"
    bias: bool = False

    def __post_init__(self) -> None:
        counts = (
            self.feature_dim,
            self.vectors_per_frame,
            self.tokens_per_vector,
            self.max_frames,
        )
        if min(counts) < 1:
            raise ModelConfigError(
                "ConnectorConfig: feature_dim, vectors_per_frame, tokens_per_vector and max_frames "
                f"must be at least 1, got {counts}"
            )

    @property
    def tokens_per_frame(self) -> int:
        """Soft tokens that one time step becomes."""
        return self.vectors_per_frame * self.tokens_per_vector

    def num_soft_tokens(self, num_frames: int) -> int:
        """Return N, the soft tokens that `num_frames` time steps become.

        Raises:
            BatchError: the table has fewer slots than `num_frames`.
        """
        if self.temporal == "table" and num_frames > self.max_frames:
            raise BatchError(
                f"{num_frames} frames, but this connector has {self.max_frames} temporal slots",
                hint=f"sample at most {self.max_frames} frames, or train with temporal='time'",
            )
        return num_frames * self.tokens_per_frame


class LinearConnector(nn.Module):
    """One linear map per feature vector, plus when it was.

    Args:
        config: the shape.
        model_dim: D, the decoder's width.
        generator: draws the start values.
        embedding_rms: root mean square of the decoder's embeddings, where the norm's gain starts.
    """

    def __init__(
        self,
        config: ConnectorConfig,
        *,
        model_dim: int,
        generator: torch.Generator,
        embedding_rms: float = 1.0,
    ) -> None:
        super().__init__()
        self.config = config
        width = config.tokens_per_vector * model_dim
        self.project = nn.Linear(config.feature_dim, width, bias=config.bias)
        if config.temporal == "table":
            self.slots = nn.Embedding(config.max_frames, model_dim)
        elif config.temporal == "time":
            self.from_seconds = nn.Linear(2 * NUM_WAVES, model_dim)
        if config.norm == "layer":
            self.norm: nn.Module = nn.LayerNorm(model_dim)
        elif config.norm == "rms":
            self.norm = nn.RMSNorm(model_dim)
        self._init_weights(generator, embedding_rms)

    @torch.no_grad()
    def _init_weights(self, generator: torch.Generator, embedding_rms: float) -> None:
        bound = self.config.feature_dim**-0.5  # torch's default for Linear
        self.project.weight.uniform_(-bound, bound, generator=generator)
        if self.config.bias:
            self.project.bias.zero_()
        if self.config.temporal == "table":
            self.slots.weight.normal_(0.0, self.config.temporal_std, generator=generator)
        elif self.config.temporal == "time":  # unit waves have a mean square of 1/2
            std = self.config.temporal_std / math.sqrt(NUM_WAVES)
            self.from_seconds.weight.normal_(0.0, std, generator=generator)
            self.from_seconds.bias.zero_()
        if self.config.norm != "none":
            gain = self.norm.weight
            assert isinstance(gain, Tensor)
            gain.fill_(embedding_rms)

    def num_soft_tokens(self, num_frames: int) -> int:
        """Return the soft tokens that `num_frames` time steps become; see `ConnectorConfig`."""
        return self.config.num_soft_tokens(num_frames)

    def forward(self, features: Tensor, *, times_s: Tensor | None = None) -> Tensor:
        """Return soft tokens.

        Args:
            features: float (B, T, P, F).
            times_s: float (B, T), seconds; needed where positions are made from seconds.

        Returns:
            (B, N, D), in order of time, then vector, then token.

        Raises:
            BatchError: more frames than slots, another P or F than configured, or no times.
        """
        batch, num_frames, num_vectors, dim = features.shape
        cfg = self.config
        if (num_vectors, dim) != (cfg.vectors_per_frame, cfg.feature_dim):
            raise BatchError(
                f"features have {num_vectors} vectors of width {dim} per frame, the connector "
                f"takes {cfg.vectors_per_frame} of width {cfg.feature_dim}",
                hint="encode the video with the encoder that this model was trained on",
            )
        num_tokens = self.num_soft_tokens(num_frames)
        tokens = self.project(features.to(self.project.weight.dtype))
        tokens = tokens.view(batch, num_frames, cfg.tokens_per_frame, -1)
        if cfg.temporal == "table":
            tokens = tokens + self.slots.weight[:num_frames, None]
        elif cfg.temporal == "time":
            if times_s is None:
                raise BatchError("this connector places frames by their seconds; none were given")
            tokens = tokens + self.from_seconds(waves(times_s).to(tokens.dtype))[:, :, None]
        tokens = tokens.reshape(batch, num_tokens, -1)
        return tokens if cfg.norm == "none" else self.norm(tokens)


def waves(times_s: Tensor) -> Tensor:
    """Write seconds as sines and cosines of periods from half a second to 17 minutes.

    Args:
        times_s: float (...,), seconds.

    Returns:
        float (..., 2 * NUM_WAVES), in [-1, 1].
    """
    steps = torch.arange(NUM_WAVES, device=times_s.device, dtype=torch.float32) / (NUM_WAVES - 1)
    period_s = SHORTEST_PERIOD_S * (LONGEST_PERIOD_S / SHORTEST_PERIOD_S) ** steps
    phase = times_s[..., None].float() * (2 * math.pi / period_s)
    return torch.cat([phase.sin(), phase.cos()], dim=-1)
