"""Bridges: from where a picture tower puts things to where the text tower puts them.

A connector that learned on text features meets picture features at test time; the two clouds lie
apart (the modality gap). A bridge moves the latter, without training, at inference only:

  Identity    nothing
  Memory      softmax-weighted mean of many text features (TOPA, arXiv:2405.13911, equation 2;
              DeCap, arXiv:2303.03032); with the mean picture, the same about the two means
  MeanShift   minus the mean picture, plus the mean text
  Centre      minus the modality's own mean, for a model that learned on centred text

Their counterparts in training are noise (`add_noise`) and centring.

Shapes: values (B, T, P, F), mask (B, T), memory (M, F). Padding frames never pass a bridge: they
come out as the zeros they are, and a real frame that is zero is an error.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from textreel.models.errors import BridgeError, ModelConfigError

CHUNK_ROWS = 16384
"""Memory rows looked at together where their order does not matter to speed."""
CPU_ROWS, ACCELERATOR_ROWS = 1024, 16384
"""Memory rows streamed together: 3 MiB of CLIP's are still in the cache when they are summed."""


class Identity(nn.Module):
    """The bridge that moves nothing."""

    name = "none"

    def forward(self, values: Tensor, mask: Tensor, *, empty_frames: bool = False) -> Tensor:
        """Return `values` as they are."""
        return values


class Memory(nn.Module):
    """Replace each vector by a softmax-weighted mean of remembered text features.

    softmax(v M^T / temperature) M is attention with keys = values = memory, so it is streamed, and
    the (frames x memory) matrix never exists.

    A memory of a few thousand moments hardly ever holds the one that is seen, so a small
    temperature answers with other moments; a large one shrinks what is seen towards the memory's
    mean. About the means (not published), the same formula does neither, at a temperature of .1:

        q = unit(v - picture mean)              the offset between the modalities weighs nothing
        d = softmax(q M^T / (temperature spread)) M - text mean
        unit(text mean + spread unit(d))

    Text mean and spread, the mean length of a row minus the text mean, are the memory's own. (To
    subtract the text mean from the keys would change no weight; to divide by the spread makes a
    temperature mean the same however far all texts lie from zero.) docs/LOG.md has what both forms
    are worth.

    Args:
        memory: (M, F), unit rows, float32 or bfloat16; kept as it is.
        temperature: small is close to the nearest neighbour (published: 0.01).
        top_k: use the k most similar rows only; None: all.
        picture_mean: (F,), the mean of unit picture features, to work about the means; None: the
            published formula.

    Raises:
        BridgeError: rows that are not of unit length.
        ModelConfigError: a temperature that is not above 0, a top_k outside 1..M, or a mean of
            another width.
    """

    name = "memory"
    memory: Tensor
    picture_mean: Tensor | None
    text_mean: Tensor | None

    def __init__(
        self,
        memory: Tensor,
        *,
        temperature: float = 0.01,
        top_k: int | None = None,
        picture_mean: Tensor | None = None,
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise ModelConfigError(f"Memory: temperature={temperature} must be above 0")
        if top_k is not None and not 1 <= top_k <= len(memory):
            raise ModelConfigError(f"Memory: top_k={top_k} must lie in 1..{len(memory)}")
        _check_unit(memory)
        self.temperature = temperature
        self.top_k = top_k
        self.register_buffer("memory", memory, persistent=False)
        self.spread, text_mean = 1.0, None
        if picture_mean is not None:
            if picture_mean.shape != memory.shape[1:]:
                raise ModelConfigError(
                    f"Memory: the mean picture must be ({memory.shape[1]},) as the rows are, got "
                    f"{tuple(picture_mean.shape)}"
                )
            picture_mean = picture_mean.float()
            text_mean, self.spread = _mean_and_spread(memory)
            if not self.spread > 0:
                raise BridgeError(
                    f"the {len(memory)} rows of the memory are all the same: they have no spread",
                    hint="give a memory of several texts, or cross without centring",
                )
        self.register_buffer("picture_mean", picture_mean, persistent=False)
        self.register_buffer("text_mean", text_mean, persistent=False)

    @torch.no_grad()
    def forward(self, values: Tensor, mask: Tensor, *, empty_frames: bool = False) -> Tensor:
        """Return unit vectors in the cone of the memory.

        Args:
            values: (B, T, P, F), unit vectors.
            mask: bool (B, T), false at padding.
            empty_frames: let frames of zeros pass, each of which becomes the memory's mean, as in
                the published code; see `published.Published`.

        Raises:
            BridgeError: a real frame is zero.
        """
        queries = _real_vectors(values, mask, empty=empty_frames).float()
        if self.picture_mean is not None:
            queries = normalize(queries - self.picture_mean, dim=-1) / self.spread
        with torch.autocast(queries.device.type, enabled=False):  # cosines / .01 need all bits
            if self.top_k is None:
                moved = self._streamed(queries)
            else:
                moved = self._nearest(queries, self.top_k)
        if self.text_mean is not None:
            moved = self.text_mean + self.spread * normalize(moved - self.text_mean, dim=-1)
        return _put_back(values, mask, normalize(moved, dim=-1))

    def _streamed(self, queries: Tensor) -> Tensor:
        """All rows, a chunk at a time, with a running maximum and sum.

        A chunk is read twice while it is in the processor's cache. (Leaving out rows that weigh
        nothing was tried: to look for them costs what it saves; docs/LOG.md.)
        """
        scaled = queries / self.temperature
        top = scaled.new_full((len(scaled), 1), -torch.inf)
        total, mean = torch.zeros_like(top), torch.zeros_like(scaled)
        widened = _Widened(self.memory)
        together = CPU_ROWS if queries.device.type == "cpu" else ACCELERATOR_ROWS
        for rows in torch.split(self.memory, together):
            weights = scaled @ widened(rows).T
            new_top = torch.maximum(top, weights.amax(1, keepdim=True))
            weights.sub_(new_top).exp_()
            kept = (top - new_top).exp_()
            total.mul_(kept).add_(weights.sum(1, keepdim=True))
            mean.mul_(kept).add_(weights.to(rows.dtype) @ rows)
            top = new_top
        return mean / total

    def _nearest(self, queries: Tensor, top_k: int) -> Tensor:
        """The k most similar rows only."""
        best = queries.new_empty((len(queries), 0))
        where = torch.empty((len(queries), 0), dtype=torch.long, device=queries.device)
        widened = _Widened(self.memory)
        for start in range(0, len(self.memory), CHUNK_ROWS):
            found = queries @ widened(self.memory[start : start + CHUNK_ROWS]).T
            index = torch.arange(start, start + found.shape[1], device=queries.device)
            best = torch.cat([best, found], dim=1)
            where = torch.cat([where, index.expand(len(queries), -1)], dim=1)
            best, kept = best.topk(min(top_k, best.shape[1]), dim=1)
            where = where.gather(1, kept)
        weights = torch.softmax(best / self.temperature, dim=1)
        return torch.einsum("nk,nkf->nf", weights, self.memory[where].float())


class MeanShift(nn.Module):
    """Subtract the mean picture feature, add the mean text feature, renormalise.

    Args:
        picture_mean: (F,), the mean of unit picture features.
        text_mean: (F,), the mean of unit text features.

    Raises:
        ModelConfigError: the two are not vectors of one width.
    """

    name = "mean_shift"
    shift: Tensor

    def __init__(self, *, picture_mean: Tensor, text_mean: Tensor) -> None:
        super().__init__()
        if picture_mean.shape != text_mean.shape or picture_mean.ndim != 1:
            raise ModelConfigError(
                f"MeanShift: means must be (F,) each, got {tuple(picture_mean.shape)} and "
                f"{tuple(text_mean.shape)}"
            )
        self.register_buffer("shift", (text_mean - picture_mean).float(), persistent=False)

    @torch.no_grad()
    def forward(self, values: Tensor, mask: Tensor, *, empty_frames: bool = False) -> Tensor:
        """Return shifted unit vectors; arguments and errors as `Memory.forward`."""
        moved = _real_vectors(values, mask, empty=empty_frames).float() + self.shift
        return _put_back(values, mask, normalize(moved, dim=-1))


class Centre(nn.Module):
    """Subtract a modality's own mean, renormalise; for models trained on centred features.

    Both modalities are centred, each by its own mean, so that the gap between the means is gone on
    both sides (centring as in C3, arXiv:2401.08567).

    Args:
        mean: (F,), the mean of unit features of the modality.

    Raises:
        ModelConfigError: not a vector.
    """

    name = "centre"
    mean: Tensor

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        if mean.ndim != 1:
            raise ModelConfigError(f"Centre: the mean must be (F,), got {tuple(mean.shape)}")
        self.register_buffer("mean", mean.float(), persistent=False)

    @torch.no_grad()
    def forward(self, values: Tensor, mask: Tensor, *, empty_frames: bool = False) -> Tensor:
        """Return centred unit vectors; arguments and errors as `Memory.forward`."""
        moved = _real_vectors(values, mask, empty=empty_frames).float() - self.mean
        return _put_back(values, mask, normalize(moved, dim=-1))


def add_noise(values: Tensor, mask: Tensor, *, std: float, generator: torch.Generator) -> Tensor:
    """Blur features in training, so that the connector learns a region and not a point.

    Args:
        values: (B, T, P, F), unit vectors.
        mask: bool (B, T), false at padding, which stays as it is.
        std: standard deviation of the Gaussian noise on each number; its length is about
            std * sqrt(F). TOPA's `variance` is std squared.
        generator: draws the noise, on the values' device.

    Returns:
        Unit vectors, (B, T, P, F).
    """
    noise = torch.randn(values.shape, generator=generator, device=values.device, dtype=values.dtype)
    noisy = normalize(values + std * noise, dim=-1)
    return torch.where(mask[:, :, None, None], noisy, values)


def _real_vectors(values: Tensor, mask: Tensor, *, empty: bool) -> Tensor:
    """Return the vectors of real frames, (n, F), which may be zero where `empty`."""
    if values.shape[:2] != mask.shape:
        raise BridgeError(
            f"features {tuple(values.shape)} and mask {tuple(mask.shape)} do not agree on (B, T)"
        )
    real = values[mask].flatten(0, 1)
    if not empty and (zeros := int((real == 0).all(-1).sum())):
        raise BridgeError(
            f"{zeros} of {len(real)} real frame vectors are zero (padding that is not masked?)",
            hint="mark padding frames in feature_mask",
        )
    return real


def _put_back(values: Tensor, mask: Tensor, moved: Tensor) -> Tensor:
    out = torch.zeros_like(values)
    out[mask] = moved.to(values.dtype).view(-1, *values.shape[2:])
    return out


class _Widened:
    """Chunks of a memory in float32, in one buffer: a new one for each costs more than to fill."""

    def __init__(self, memory: Tensor) -> None:
        self.buffer = memory.new_empty((0, memory.shape[1]), dtype=torch.float32)

    def __call__(self, rows: Tensor) -> Tensor:
        if rows.dtype == torch.float32:
            return rows
        if len(self.buffer) < len(rows):
            self.buffer = self.buffer.new_empty(rows.shape)
        return self.buffer[: len(rows)].copy_(rows)


def _mean_and_spread(memory: Tensor) -> tuple[Tensor, float]:
    """Return the mean row, float32 (F,), and the rows' mean distance from it; a chunk at a time."""
    total = torch.zeros(memory.shape[1], device=memory.device)
    for rows in torch.split(memory, CHUNK_ROWS):
        total += rows.float().sum(0)
    mean, far = total / len(memory), 0.0
    for rows in torch.split(memory, CHUNK_ROWS):
        far += float(torch.linalg.vector_norm(rows.float() - mean, dim=-1).sum())
    return mean, far / len(memory)


def _check_unit(memory: Tensor) -> None:
    count = 0
    for rows in torch.split(memory, CHUNK_ROWS):  # no second copy of a memory of gigabytes
        length = torch.linalg.vector_norm(rows.float(), dim=-1)
        count += int(((length - 1).abs() > 0.02).sum())
    if count:
        raise BridgeError(
            f"{count} of {len(memory)} memory rows are not of unit length",
            hint="normalise the rows; the temperature is meant for cosines",
        )
