"""Q-Former connectors: a track of any length becomes a fixed number of soft tokens.

    features (B, T, P, F) + position of each step  -->  (B, T * P, F), time first
        -->  Q-Former (B, Q, width)  -->  linear (B, Q, D)

Frames: Video-LLaMA's Video Q-Former reads P = 32 vectors of each frame. Sound: its Audio Q-Former
reads P = 1 vector of each two-second clip. T steps of time, Q learned queries, D the decoder's
width; Q does not depend on T.

The published positions are a table with one row per step, drawn from N(0, 1): 32 frames, 8 clips,
and not one more. `interpolated` stretches that table over longer tracks and leaves shorter ones as
they are; `time` makes positions from seconds, for any length and any rate. `none` leaves them out,
so that the order of steps is lost; for studies.

Source: arXiv:2306.02858; Video-LLaMA@64888c0, video_llama/models/video_llama.py
(`encode_videoQformer_visual`, `encode_audioQformer`, `encode_videoQformer_audiovideo`).
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from textreel.models.connectors import NUM_WAVES, waves
from textreel.models.errors import BatchError, ModelConfigError
from textreel.models.qformer import QFormer, QFormerShape

Positions = Literal["table", "interpolated", "time", "none"]
BERT_STD = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class QFormerConnectorConfig:
    """Shape of a Q-Former connector. The defaults are the published Video Q-Former's.

    Attributes:
        feature_dim: F, width of one feature vector.
        vectors_per_step: P, vectors per time step.
        queries: Q, soft tokens.
        width: of the Q-Former.
        layers: its depth; every layer looks at the features.
        heads: attention heads.
        mlp_hidden: width of the hidden layer.
        positions: how a step knows when it is.
        max_steps: rows of the table; with `table` a longer track is an error, never a silent cut.
        position_std: standard deviation of the positions at the start (published: 1).
        dropout: in training (published: .1).
        fewer: whether a step may have fewer than P vectors: those that are missing, or zero, are
            not read. So a frame's caption may stand beside its objects, and a picture alone.
    """

    feature_dim: int = 768
    vectors_per_step: int = 32
    queries: int = 32
    width: int = 768
    layers: int = 2
    heads: int = 12
    mlp_hidden: int = 3072
    positions: Positions = "table"
    max_steps: int = 32
    position_std: float = 1.0
    dropout: float = 0.1
    fewer: bool = False

    def __post_init__(self) -> None:
        if self.positions not in get_args(Positions):
            raise ModelConfigError(
                f"QFormerConnectorConfig: positions={self.positions!r} is none of "
                f"{', '.join(get_args(Positions))}"
            )
        if self.width % self.heads:
            raise ModelConfigError(
                f"QFormerConnectorConfig: width={self.width} does not split into "
                f"heads={self.heads} equal heads"
            )

    def num_soft_tokens(self, num_steps: int) -> int:
        """Return Q, whatever the number of steps.

        Raises:
            BatchError: the table has fewer rows than `num_steps`, or there is no step.
        """
        if num_steps < 1:
            raise BatchError("a track without a single step cannot be read")
        if self.positions == "table" and num_steps > self.max_steps:
            raise BatchError(
                f"{num_steps} steps of time, but this connector has {self.max_steps} positions",
                hint=f"sample at most {self.max_steps} frames (or clips of sound), or use "
                "positions 'interpolated' or 'time'",
            )
        return self.queries


PUBLISHED_SOUND = QFormerConnectorConfig(
    feature_dim=1024, vectors_per_step=1, queries=8, max_steps=8
)
"""The published Audio Q-Former's shape."""


class QFormerConnector(nn.Module):
    """Positions, Q-Former, linear map.

    Args:
        config: the shape.
        model_dim: D, the decoder's width.
        generator: draws the start values; None leaves the weights on the meta device, to be read.
    """

    def __init__(
        self, config: QFormerConnectorConfig, *, model_dim: int, generator: torch.Generator | None
    ) -> None:
        super().__init__()
        self.config = config
        with torch.device("meta"):  # drawn below, from the generator alone
            if config.positions == "time":
                self.from_seconds = nn.Linear(2 * NUM_WAVES, config.feature_dim)
            elif config.positions != "none":
                self.positions = nn.Embedding(config.max_steps, config.feature_dim)
            self.qformer = QFormer(_qformer_shape(config))
            self.project = nn.Linear(config.width, model_dim)
        if generator is not None:
            self.to_empty(device="cpu")
            self._init_weights(generator)

    @torch.no_grad()
    def _init_weights(self, generator: torch.Generator) -> None:
        """BERT's start values, N(0, 1) positions, torch's own for the linear map; as published."""
        for name, parameter in self.qformer.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, BERT_STD, generator=generator)
            else:
                parameter.fill_(float(name.lower().endswith("layernorm.weight")))
        bound = self.config.width**-0.5
        self.project.weight.uniform_(-bound, bound, generator=generator)
        self.project.bias.uniform_(-bound, bound, generator=generator)
        std = self.config.position_std
        if self.config.positions == "time":  # unit waves have a mean square of 1/2
            std /= math.sqrt(NUM_WAVES)
            self.from_seconds.weight.normal_(0.0, std, generator=generator)
            self.from_seconds.bias.zero_()
        elif self.config.positions != "none":
            self.positions.weight.normal_(0.0, std, generator=generator)

    def num_soft_tokens(self, num_steps: int) -> int:
        """Return Q; see `QFormerConnectorConfig.num_soft_tokens`."""
        return self.config.num_soft_tokens(num_steps)

    def forward(
        self,
        features: Tensor,
        *,
        mask: Tensor | None = None,
        times_s: Tensor | None = None,
        heard: Tensor | None = None,
    ) -> Tensor:
        """Return soft tokens (B, Q, D).

        Args:
            features: float (B, T, P, F).
            mask: bool (B, T), false at padding steps; None: no padding.
            times_s: float (B, T), seconds; needed where positions are made from seconds.
            heard: float (B, T, F), features of sound to be read together with the frames, at the
                same positions; the published code can, and never does.

        Raises:
            BatchError: more steps than positions, another P or F than configured, or no times.
        """
        return self.project(self.hidden(features, mask=mask, times_s=times_s, heard=heard))

    def hidden(
        self,
        features: Tensor,
        *,
        mask: Tensor | None = None,
        times_s: Tensor | None = None,
        heard: Tensor | None = None,
    ) -> Tensor:
        """Return (B, Q, width), what the linear map reads; arguments and errors as `forward`."""
        dtype = self.project.weight.dtype
        where = self.place(features, mask=mask, times_s=times_s)
        there = features.ne(0).any(-1) if self.config.fewer else None
        tokens = (features.to(dtype) + where[:, :, None]).flatten(1, 2)
        if heard is not None:
            tokens = torch.cat([tokens, heard.to(dtype) + where], dim=1)
        read = None
        if there is not None or (mask is not None and not bool(mask.all())):
            steps = torch.ones_like(features[:, :, 0, 0]).bool() if mask is None else mask
            there = steps[:, :, None].expand(features.shape[:3]) if there is None else there
            read = (there & steps[:, :, None]).flatten(1)
            read = read if heard is None else torch.cat([read, steps], dim=1)
        return self.qformer(tokens, read)

    def place(self, features: Tensor, *, mask: Tensor | None, times_s: Tensor | None) -> Tensor:
        """Return the position of every step, (B, T, F) or (1, T, F)."""
        num_steps, cfg = features.shape[1], self.config
        most, fits = cfg.vectors_per_step, features.shape[2] == cfg.vectors_per_step
        fits = fits or (cfg.fewer and features.shape[2] < most)
        if not fits or features.shape[3] != cfg.feature_dim:
            raise BatchError(
                f"features have {features.shape[2]} vectors of width {features.shape[3]} per step, "
                f"this Q-Former reads {most} of width {cfg.feature_dim}",
                hint="encode with the encoder that this model was trained on",
            )
        self.num_soft_tokens(num_steps)
        if cfg.positions == "none":
            return torch.zeros(1, num_steps, cfg.feature_dim, device=features.device)
        if cfg.positions == "time":
            if times_s is None:
                raise BatchError("this Q-Former places steps by their seconds; none were given")
            return self.from_seconds(waves(times_s).to(self.project.weight.dtype))
        if num_steps <= cfg.max_steps:
            return self.positions.weight[None, :num_steps]
        return self._stretched(num_steps, mask)

    def _stretched(self, num_steps: int, mask: Tensor | None) -> Tensor:
        """Return (B, T, F): tracks longer than the table have its rows interpolated linearly."""
        table = self.positions.weight
        steps = torch.arange(num_steps, device=table.device, dtype=table.dtype)
        if mask is None:
            lengths = torch.tensor([num_steps], device=table.device)
        else:
            lengths = mask.sum(1)
        last = self.config.max_steps - 1
        ratio = last / (lengths - 1).clamp(min=1)
        at = steps[None] * ratio.clamp(max=1.0)[:, None].to(table.dtype)
        at = at.clamp(max=last)  # padding
        low = at.floor().long()
        share = (at - low)[..., None]
        return table[low] * (1 - share) + table[(low + 1).clamp(max=last)] * share


def _qformer_shape(config: QFormerConnectorConfig) -> QFormerShape:
    return QFormerShape(
        encoder_width=config.feature_dim,
        width=config.width,
        queries=config.queries,
        layers=config.layers,
        heads=config.heads,
        mlp_hidden=config.mlp_hidden,
        cross_every=1,
        dropout=config.dropout,
    )
