"""A Q-Former's start with its eyes open: which step each query looks at, and what it sees there.

    positions       directions that the features leave empty, one for each of S steps
    query (s, c)    looks at step s, by its position, in every layer and head; c is one of C columns
    first layer     reads the features' principal components, each brought to unit spread, and the
                    position, so that a query whose step is missing can tell
    linear map      fitted to what is wanted, by least squares (`fit_last_map`)

The usual start (BERT's) gives every query the mean of all steps: its keys are too small to tell
steps apart, and a feature adds a thousandth of what is in the stream already. Where steps resemble
each other, as frames of a video do, the mean says nearly everything, and a branch stays with it for
hundreds of steps: order is never read. Not in the paper; docs/LOG.md has what it is worth.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from textreel.models.connectors import waves
from textreel.models.errors import ModelConfigError
from textreel.models.qformer_connector import QFormerConnector
from textreel.models.senses_batch import Track

SHARPNESS = 10.0
"""How far the logit of a query's own step is above the others' at the start."""
GRID, GRID_RIDGE = 8, 1e-3
"""Moments between two steps at which positions in seconds are fitted, and how stiffly."""


@dataclass(frozen=True, slots=True, eq=False)
class _Codes:
    """Orthonormal rows in the Q-Former's width: of steps, of columns, and the rest for content."""

    steps: Tensor
    columns: Tensor
    content: Tensor


@torch.no_grad()
def open_eyes(
    connector: QFormerConnector,
    vectors: Tensor,
    *,
    times_s: Tensor,
    noise: float,
    generator: torch.Generator,
) -> None:
    """Give a fresh connector its start; the linear map stays as it is.

    Args:
        connector: its queries are S steps times C columns, step first.
        vectors: float (N, F), features of many videos.
        times_s: float (S,), when the steps usually are, in seconds.
        noise: of features in training, per dimension: components below it are not brought up.
        generator: draws the codes.

    Raises:
        ModelConfigError: queries that are no multiple of the steps, more steps than positions, or
            a width or features too narrow for the codes.
    """
    cfg, steps = connector.config, len(times_s)
    columns, rest = divmod(cfg.queries, steps)
    if rest or (cfg.positions == "table" and steps > cfg.max_steps):
        raise ModelConfigError(
            f"{cfg.queries} queries cannot look at {steps} steps, as many at each, with positions "
            f"for {cfg.max_steps}",
            hint="make the queries a multiple of the steps",
        )
    if cfg.width <= 2 * steps + columns or cfg.feature_dim <= steps:
        raise ModelConfigError(
            f"a Q-Former of width {cfg.width} over features of width {cfg.feature_dim} has no room "
            f"for {steps} steps and {columns} columns"
        )
    mean = vectors.float().mean(0)
    spread, axes = _components(vectors.float() - mean)
    quiet = axes[-steps:]
    codes = _codes(cfg.width, steps, columns, generator)
    seen = min(len(codes.content) - steps, cfg.feature_dim - steps)
    read = axes[:seen] / (spread[:seen] ** 2 + noise**2).sqrt()[:, None]
    read = torch.cat([read, quiet * math.sqrt(steps)])
    if cfg.positions == "none":
        quiet = torch.zeros_like(quiet)
    else:
        _place(connector, quiet, times_s)
    connector.qformer.queries.copy_((codes.steps[:, None] + codes.columns).flatten(0, 1)[None])
    for number, layer in enumerate(connector.qformer.body.encoder.layer):
        _look(layer.crossattention.attention, codes, quiet, generator)
        if number == 0:
            _read(layer.crossattention, codes, read, mean)
        for linear in (layer.intermediate_query.dense, layer.output_query.dense):
            linear.weight.normal_(0.0, linear.in_features**-0.5, generator=generator)


def _components(centred: Tensor) -> tuple[Tensor, Tensor]:
    """Return standard deviations (F,) and directions (F, F) as rows, the widest first."""
    square = centred.double().T @ centred.double() / len(centred)
    variance, axes = torch.linalg.eigh(square)
    return variance.flip(0).clamp(min=0.0).sqrt().float(), axes.flip(1).T.float()


def _codes(width: int, steps: int, columns: int, generator: torch.Generator) -> _Codes:
    rows = torch.linalg.qr(torch.randn(width, width, generator=generator))[0].T
    return _Codes(rows[:steps], rows[steps : steps + columns], rows[steps + columns :])


def _place(connector: QFormerConnector, quiet: Tensor, times_s: Tensor) -> None:
    """Put step s at `quiet[s]`, and a moment between two steps between them."""
    if connector.config.positions != "time":
        connector.positions.weight[: len(quiet)] = quiet
        return
    moments = torch.linspace(0.0, len(quiet) - 1.0, GRID * len(quiet))
    seconds = _between(times_s.float()[:, None], moments)[:, 0]
    seen = waves(seconds[None])[0].double()
    square = seen.T @ seen / len(seen) + GRID_RIDGE * torch.eye(seen.shape[1], dtype=seen.dtype)
    wanted = seen.T @ _between(quiet, moments).double() / len(seen)
    connector.from_seconds.weight.copy_(torch.linalg.solve(square, wanted).T)
    connector.from_seconds.bias.zero_()


def _between(rows: Tensor, at: Tensor) -> Tensor:
    """Return rows at fractional places, interpolated linearly and held at the last."""
    at = at.clamp(max=len(rows) - 1)
    low = at.floor().long()
    share = (at - low)[:, None]
    return rows[low] * (1 - share) + rows[(low + 1).clamp(max=len(rows) - 1)] * share


def _look(attention: Any, codes: _Codes, quiet: Tensor, generator: torch.Generator) -> None:  # noqa: ANN401 - transformers' own
    """Make every head's logits high where a query's step meets that step's position."""
    width, steps = codes.steps.shape[1], len(quiet)
    heads = attention.num_attention_heads
    dim = width // heads
    stream = math.sqrt(width / 2)  # a code's size after the LayerNorm
    gain = math.sqrt(SHARPNESS * math.sqrt(dim) / stream)
    signs = _signs(heads, dim, steps, generator)
    attention.query.weight.copy_((gain * signs @ codes.steps).flatten(0, 1))
    attention.key.weight.copy_((gain * signs @ quiet).flatten(0, 1))
    attention.query.bias.zero_()
    attention.key.bias.zero_()


def _signs(heads: int, dim: int, steps: int, generator: torch.Generator) -> Tensor:
    """Return for every head a sign of each step, (heads, dim, steps), of unit length on average."""
    drawn = torch.randn(heads, max(dim, steps), min(dim, steps), generator=generator)
    signs = torch.linalg.qr(drawn)[0]
    return signs if dim >= steps else signs.mT * math.sqrt(steps / dim)


def _read(cross: Any, codes: _Codes, read: Tensor, mean: Tensor) -> None:  # noqa: ANN401 - transformers' own
    """Write what is seen, centred and of unit spread, into the stream beside the codes."""
    value, out = cross.attention.value, cross.output.dense
    value.weight.zero_()
    value.weight[: len(read)] = read
    value.bias.copy_(-value.weight @ mean)
    out.weight.zero_()
    out.weight[:, : len(read)] = codes.content[: len(read)].T
    out.bias.zero_()


@torch.no_grad()
def fit_last_map(
    connector: QFormerConnector, track: Track, words: Tensor, *, ridge: float = 0.1
) -> None:
    """Fit the linear map behind the Q-Former to `words` (B, Q, D), everything before it as it is.

    Args:
        connector: whose; dropout is left out while it is fitted.
        track: what it reads.
        words: what its soft tokens should be.
        ridge: against the LayerNorm's unit spread.
    """
    learning = connector.training
    hidden = connector.eval().hidden(track.features, mask=track.mask, times_s=track.times_s)
    connector.train(learning)
    seen, wanted = hidden.flatten(0, 1).double(), words.flatten(0, 1).double()
    mean, middle = seen.mean(0), wanted.mean(0)
    centred = seen - mean
    square = centred.T @ centred / len(seen) + ridge**2 * torch.eye(seen.shape[1], dtype=seen.dtype)
    weight = torch.linalg.solve(square, centred.T @ (wanted - middle) / len(seen)).T
    connector.project.weight.copy_(weight)
    connector.project.bias.copy_(middle - weight @ mean)
