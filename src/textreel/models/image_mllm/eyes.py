"""`Eyes`: vision tower and connector of an image-LLM alone, and what their vectors say in words.

What a vector says is told by the decoder's own embeddings: the loss is the cross-entropy of vector
x embeddings, and where a vector should say several words, each is wanted to the same part.

Shape letters: B pictures, T vectors of each, W words of a vector, V words of the vocabulary.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax
from transformers import PreTrainedModel

from textreel.models.batch import moved_tensors

NONE = -1
SCALE = 2.0
"""Of logits: a vector that equals one of the decoder's words, about 2 long, is then sure of it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EyesBatch:
    """Pictures, and what their vectors should say.

    Attributes:
        pixels: float (B, 3, H, W), as the model's own processor makes them.
        words: int64 (B, T, W), ids of the words that each vector should say, then `NONE`.
        weights: float32 (B, T), of each vector in the loss.
        ids: one name per picture.
    """

    pixels: Tensor
    words: Tensor
    weights: Tensor
    ids: tuple[str, ...]

    @property
    def num_tokens(self) -> int:
        """Vectors of all pictures."""
        return self.weights.numel()

    def to(self, device: torch.device | str) -> "EyesBatch":
        """Return the same batch with every tensor on `device`."""
        return replace(self, **moved_tensors(self, device))


class Eyes(nn.Module):
    """Eyes and connector; the weights are shared with the model.

    Args:
        model: of Idefics3's class.
    """

    words: Tensor

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        body = model.base_model
        self.vision, self.connector = body.vision_model, body.connector
        words = model.get_input_embeddings().weight.detach().clone()
        self.register_buffer("words", words, persistent=False)

    def logits(self, pixels: Tensor) -> Tensor:
        """Return how much each vector says each word, (B, T, V), in the precision of training."""
        seen = self.vision(pixel_values=pixels).last_hidden_state
        vectors: Tensor = self.connector(seen).float()
        return SCALE * vectors @ self.words.float().T

    def loss(self, batch: EyesBatch) -> Tensor:
        """Return the weighted mean cross-entropy over vectors, a float32 scalar in nats."""
        there = (batch.words != NONE).float()
        said = log_softmax(self.logits(batch.pixels), dim=-1)
        of_words = said.gather(-1, batch.words.clamp(min=0))
        of_vectors = -(of_words * there).sum(-1) / there.sum(-1)
        return (of_vectors * batch.weights).sum() / batch.weights.sum()
