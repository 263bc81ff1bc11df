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

    A position may hold several words at once: their embeddings are added, each times its weight.

    Attributes:
        input_ids: int64 (B, L); any valid id where a position holds several words.
        weights: float32 (B, L), how much the prediction of each token counts; 0 at padding and
            where a position holds several words.
        ids: one name per document.
        packed: bool (B, L), positions that hold several words; None: there are none.
        packed_ids: int64 (N, W), their words, in order of row and position.
        packed_weights: float32 (N, W); 0 where there are fewer than W words.
    """

    input_ids: Tensor
    weights: Tensor
    ids: tuple[str, ...]
    packed: Tensor | None = None
    packed_ids: Tensor | None = None
    packed_weights: Tensor | None = None

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
        embeddings = self._embeddings(batch)[:, :-1]
        logits = self.decoder(inputs_embeds=embeddings, use_cache=False).logits
        wanted, weights = batch.input_ids[:, 1:].reshape(-1), batch.weights[:, 1:].reshape(-1)
        losses = cross_entropy(logits.float().flatten(0, 1), wanted, reduction="none")
        return (losses * weights).sum() / weights.sum()

    def _embeddings(self, batch: WeightedBatch) -> Tensor:
        """Return what the first layer reads, (B, L, D)."""
        embed = self.decoder.get_input_embeddings()
        words = embed(batch.input_ids)
        if batch.packed is None or batch.packed_ids is None or batch.packed_weights is None:
            return words
        sums = (embed(batch.packed_ids) * batch.packed_weights[..., None]).sum(1)
        return words.masked_scatter(batch.packed[..., None], sums.to(words.dtype))
