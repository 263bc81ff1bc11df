"""`FrameBatch`: what an image-LLM takes, prompts with pictures in them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from textreel.models.batch import moved_tensors


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameBatch:
    """Tensors ready for `loss`, `generate` and `score` of a `FrameLM`.

    Rows are padded on the right; image tokens stand where pictures go.

    Attributes:
        input_ids: int64 (B, L).
        attention_mask: bool (B, L), false at padding.
        labels: int64 (B, L), the id wanted AT this position (not shifted), `IGNORE` elsewhere.
        ids: one name per row, for messages.
        pixels: of all rows, by the name that the model's `forward` knows them by; empty without.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    ids: tuple[str, ...]
    pixels: Mapping[str, Tensor]

    @property
    def num_tokens(self) -> int:
        """Positions that are not padding."""
        return int(self.attention_mask.sum())

    def to(self, device: torch.device | str) -> "FrameBatch":
        """Return the same batch with every tensor on `device`."""
        pixels = {name: values.to(device) for name, values in self.pixels.items()}
        return replace(self, **moved_tensors(self, device), pixels=pixels)
