"""`SensesBatch`: prompts with places for soft tokens of pictures and of sound.

Shape letters as in `batch.py`. In one batch either every row has pictures or none has; the same
holds for sound.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from textreel.models.batch import moved_tensors
from textreel.models.errors import BatchError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Track:
    """Features of one sense for every row of a batch.

    Attributes:
        features: float (B, T, P, F).
        mask: bool (B, T), false at padding steps; None: no padding.
        times_s: float (B, T), seconds, where positions are made from them.
    """

    features: Tensor
    mask: Tensor | None = None
    times_s: Tensor | None = None

    def to(self, device: torch.device | str) -> "Track":
        """Return the same track with every tensor on `device`."""
        return replace(self, **moved_tensors(self, device))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SensesBatch:
    """Prompts with places for soft tokens of two senses; rows are padded on the right.

    Attributes:
        input_ids: int64 (B, L); any valid id where soft tokens go.
        labels: int64 (B, L), the id wanted AT this position, `IGNORE` elsewhere.
        ids: one name per row, for messages.
        image_slots: bool (B, L), or None.
        sound_slots: bool (B, L), or None.
        image: what the picture branch reads, or None.
        sound: what the sound branch reads, or None.
        attention_mask: bool (B, L), false at padding; None: no padding. Attention is causal, so
            that padding on the right is never seen; lengths are read from it.
    """

    input_ids: Tensor
    labels: Tensor
    ids: tuple[str, ...]
    image_slots: Tensor | None = None
    sound_slots: Tensor | None = None
    image: Track | None = None
    sound: Track | None = None
    attention_mask: Tensor | None = None

    @property
    def num_tokens(self) -> int:
        """Positions that are not padding."""
        mask = self.attention_mask
        return self.input_ids.numel() if mask is None else int(mask.sum())

    @property
    def lengths(self) -> Tensor:
        """Real positions of each row, int64 (B,)."""
        if self.attention_mask is None:
            rows, length = self.input_ids.shape
            return torch.full((rows,), length, device=self.input_ids.device)
        return self.attention_mask.sum(1)

    @property
    def video_slots(self) -> Tensor:
        """Places of soft tokens of either sense, bool (B, L)."""
        slots = torch.zeros_like(self.input_ids, dtype=torch.bool)
        for one in (self.image_slots, self.sound_slots):
            slots = slots if one is None else slots | one
        return slots

    def to(self, device: torch.device | str) -> "SensesBatch":
        """Return the same batch with every tensor on `device`."""
        tracks: dict[str, Any] = {
            name: track.to(device)
            for name, track in (("image", self.image), ("sound", self.sound))
            if track is not None
        }
        return replace(self, **moved_tensors(self, device), **tracks)


def check_slots(slots: Tensor, *, name: str, wanted: int, ids: tuple[str, ...]) -> None:
    """Refuse rows that have not exactly `wanted` places, all in a row.

    Args:
        slots: bool (B, L).
        name: of the sense.
        wanted: soft tokens of a row.
        ids: of the rows.

    Raises:
        BatchError: says how many rows, which is the first, and how many places it has.
    """
    counts = slots.sum(1)
    if wrong := (counts != wanted).nonzero().flatten().tolist():
        row = wrong[0]
        raise BatchError(
            f"{len(wrong)} of {len(ids)} prompts have another number of {name} places than the "
            f"{wanted} soft tokens (first: {ids[row]}, {int(counts[row])})",
            hint="keep as many places as the branch makes soft tokens",
        )
    edges = (slots[:, 1:] & ~slots[:, :-1]).sum(1) + slots[:, 0]
    if split := (edges != 1).nonzero().flatten().tolist():
        raise BatchError(
            f"{len(split)} of {len(ids)} prompts have {name} places that are not in a row "
            f"(first: {ids[split[0]]})"
        )
