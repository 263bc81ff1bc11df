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
from textreel.models.qformer_connector import QFormerConnector, QFormerConnectorConfig
from textreel.models.senses_batch import Track

SHARPNESS = 10.0
"""How far the logit of a query's own step is above the others' at the start."""
LOUDER = 10.0
"""How much larger a position is than what features have in its direction."""
FAINT = 1e-3
"""Share of the widest component's spread below which no component is brought up."""
MARK_RIDGE = 1e-2
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

    Where a step has as many vectors as columns, a query looks at the vector of its own column;
    otherwise at all vectors of its step.

    Args:
        connector: its queries are S steps times C columns, step first.
        vectors: float (N, P, F), features of many steps of many videos.
        times_s: float (S,), when the steps usually are, in seconds.
        noise: of features in training, per dimension: components below it are not brought up.
        generator: draws the codes.

    Raises:
        ModelConfigError: queries that are no multiple of the steps, more steps than positions, or
            a width or features too narrow for the codes.
    """
    cfg, steps = connector.config, len(times_s)
    columns = _columns(cfg, steps)
    there = vectors.ne(0).any(-1)  # padding is zero
    mean = vectors[there].float().mean(0)
    centred = vectors.float() - mean
    spread, axes = _components(centred[there])
    quiet, size = axes[-steps:], max(1.0, LOUDER * float(spread[-steps:].max()))
    codes = _codes(cfg.width, steps, columns, generator)
    seen = min(len(codes.content) - steps, cfg.feature_dim - steps)
    faint = FAINT * float(spread[0])
    read = axes[:seen] / (spread[:seen] ** 2 + noise**2).sqrt().clamp(min=faint)[:, None]
    read = torch.cat([read, quiet * math.sqrt(steps) / size])
    if cfg.positions == "none":
        quiet = torch.zeros_like(quiet)
    else:
        _place(connector, quiet * size, times_s)
    told, told_by = codes.steps, quiet / size
    if cfg.vectors_per_step == columns > 1 and not cfg.fewer:
        told, told_by = torch.cat([told, codes.columns]), torch.cat([told_by, _marks(centred)])
    connector.qformer.queries.copy_((codes.steps[:, None] + codes.columns).flatten(0, 1)[None])
    for number, layer in enumerate(connector.qformer.body.encoder.layer):
        _look(layer.crossattention.attention, told, told_by, generator)
        if number == 0:
            _read(layer.crossattention, codes, read, mean)
        for linear in (layer.intermediate_query.dense, layer.output_query.dense):
            linear.weight.normal_(0.0, linear.in_features**-0.5, generator=generator)


def _columns(cfg: QFormerConnectorConfig, steps: int) -> int:
    """Return how many queries look at each step; errors as `open_eyes`."""
    columns, rest = divmod(cfg.queries, steps)
    if rest or not columns:
        raise ModelConfigError(
            f"{cfg.queries} queries cannot look at {steps} steps, as many at each",
            hint="make the queries a multiple of the steps",
        )
    if cfg.positions in ("table", "interpolated") and steps > cfg.max_steps:
        raise ModelConfigError(
            f"{steps} steps to look at, but positions for {cfg.max_steps}",
            hint="raise max_steps, or make the positions from seconds: positions='time'",
        )
    if cfg.width <= 2 * steps + columns or cfg.feature_dim <= steps:
        raise ModelConfigError(
            f"a Q-Former of width {cfg.width} over features of width {cfg.feature_dim} has no room "
            f"for {steps} steps and {columns} columns"
        )
    return columns


def _marks(centred: Tensor) -> Tensor:
    """Return (P, F): what tells the P vectors of a step (N, P, F) apart, by least squares."""
    rows, count = centred.flatten(0, 1).double(), centred.shape[1]
    which = torch.eye(count, dtype=rows.dtype).repeat(len(centred), 1)
    square = rows.T @ rows / len(rows)
    square += MARK_RIDGE * square.diagonal().mean() * torch.eye(len(square), dtype=rows.dtype)
    return torch.linalg.solve(square, rows.T @ which / len(rows)).T.float()


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


def _look(attention: Any, told: Tensor, told_by: Tensor, generator: torch.Generator) -> None:  # noqa: ANN401 - transformers' own
    """Make every head's logits high where what a query is told meets what tells it of a vector.

    Args:
        attention: cross-attention.
        told: codes in a query, (R, width).
        told_by: directions of features, (R, F), one for each code.
        generator: draws how each head writes them.
    """
    width = told.shape[1]
    heads = attention.num_attention_heads
    dim = width // heads
    stream = math.sqrt(width / 2)  # a code's size after the LayerNorm
    gain = math.sqrt(SHARPNESS * math.sqrt(dim) / stream)
    signs = _signs(heads, dim, len(told), generator)
    attention.query.weight.copy_((gain * signs @ told).flatten(0, 1))
    attention.key.weight.copy_((gain * signs @ told_by).flatten(0, 1))
    attention.query.bias.zero_()
    attention.key.bias.zero_()


def _signs(heads: int, dim: int, count: int, generator: torch.Generator) -> Tensor:
    """Return for every head a sign of each code, (heads, dim, count), of unit length on average."""
    drawn = torch.randn(heads, max(dim, count), min(dim, count), generator=generator)
    signs = torch.linalg.qr(drawn)[0]
    return signs if dim >= count else signs.mT * math.sqrt(count / dim)


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
