"""`Features` and `Batch`: what frozen towers give, and what a model with a connector takes.

Shape letters, in this room: B samples, L token positions, T time steps, P vectors per step,
F feature width, N soft tokens of one video, D model width.
"""

from dataclasses import Field, dataclass, fields, replace
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

Modality = Literal["image", "text", "sound"]
IGNORE = -100
"""Label of positions without a target; torch's own default `ignore_index`."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Features:
    """One video as a sequence of vectors on a clock.

    Attributes:
        values: float16 (T, P, F); P is 1 for pooled (joint-space) vectors.
        times_s: float64 (T,), seconds, ascending.
        modality: which tower made them: `text` (textual frames), `image` or `sound`.
        encoder: name of the encoder.
        revision: its revision or weight hash; features of another revision are other features.
    """

    values: Tensor
    times_s: Tensor
    modality: Modality
    encoder: str
    revision: str

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.shape[:1] != self.times_s.shape[:1]:
            raise ValueError(
                f"Features: values must be (T, P, F) with T times, got "
                f"{tuple(self.values.shape)} and {len(self.times_s)} times"
            )

    def __repr__(self) -> str:
        return f"Features({self.modality}, {tuple(self.values.shape)}, {self.encoder})"


class AnyDataclass(Protocol):
    """A dataclass of any fields."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def moved_tensors(batch: AnyDataclass, device: torch.device | str) -> dict[str, Any]:
    """Return the fields of a dataclass that are tensors, on `device`; for `replace`."""
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {name: v.to(device) for name, v in values.items() if isinstance(v, Tensor)}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Batch:
    """Tensors ready for `loss`, `generate` and `score`.

    Rows are padded on the right. Where `video_slots` is true, `input_ids` holds an arbitrary valid
    id and the model writes soft tokens instead, in order of time; a row has exactly as many slots
    as its connector makes soft tokens of its real (unpadded) frames, so padding frames never
    reach the decoder.

    Attributes:
        input_ids: int64 (B, L).
        attention_mask: bool (B, L), false at padding.
        video_slots: bool (B, L).
        labels: int64 (B, L), the id wanted AT this position (not shifted), `IGNORE` elsewhere.
        features: float32 (B, T, P, F), or None (no video at all in this batch).
        feature_mask: bool (B, T), false at padding frames, or None.
        times_s: float32 (B, T), seconds, or None.
        ids: one name per row, for messages.
    """

    input_ids: Tensor
    attention_mask: Tensor
    video_slots: Tensor
    labels: Tensor
    ids: tuple[str, ...]
    features: Tensor | None = None
    feature_mask: Tensor | None = None
    times_s: Tensor | None = None

    @property
    def num_tokens(self) -> int:
        """Positions that are not padding."""
        return int(self.attention_mask.sum())

    def to(self, device: torch.device | str) -> "Batch":
        """Return the same batch with every tensor on `device`."""
        return replace(self, **moved_tensors(self, device))
