"""Training of the tiny decoder: next-token prediction with a weight for every token."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from textreel.models.batch import moved_tensors


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WeightedBatch:
    """Documents, padded on the right.

    Attributes:
        input_ids: int64 (B, L).
        weights: float32 (B, L), how much the prediction of each token counts; 0 at padding.
        ids: one name per document.
    """

    input_ids: Tensor
    weights: Tensor
    ids: tuple[str, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens whose prediction counts."""
        return int((self.weights > 0).sum())

    def to(self, device: torch.device | str) -> "WeightedBatch":
        """Return the same batch with every tensor on `device`."""
        return replace(self, **moved_tensors(self, device))


class ReadingDecoder(nn.Module):
    """A causal decoder with the weighted next-token loss."""

    def __init__(self, decoder: PreTrainedModel) -> None:
        super().__init__()
        self.decoder = decoder

    def loss(self, batch: WeightedBatch) -> Tensor:
        """Return the weighted mean cross-entropy in nats, a float32 scalar."""
        logits = self.decoder(input_ids=batch.input_ids[:, :-1], use_cache=False).logits
        wanted, weights = batch.input_ids[:, 1:].reshape(-1), batch.weights[:, 1:].reshape(-1)
        losses = cross_entropy(logits.float().flatten(0, 1), wanted, reduction="none")
        return (losses * weights).sum() / weights.sum()
