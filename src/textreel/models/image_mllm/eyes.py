"""`Eyes`: vision tower and connector of an image-LLM alone, and what their vectors say in words.

What a vector says is told by the decoder's own embeddings: the loss is the cross-entropy of vector
x embeddings, and where a vector should say several words, each is wanted to the same part.

That alone leaves vectors of forty words' length, mostly in directions where no word lies: they say
the right words, and the decoder cannot read them (docs/LOG.md). So the connector is then fitted to
the sums of words by least squares, and how far a vector is from its sum is counted too.

Shape letters: B pictures, T vectors of each, W words of a vector, V words of the vocabulary, D
width of the decoder.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax
from transformers import PreTrainedModel

from textreel.models.batch import moved_tensors

NONE = -1
SCALE = 2.0
"""Of logits: a vector that equals one of the decoder's words, about 2 long, is then sure of it."""
ONE_WORD = 0.1
"""Of the distance of vectors of one word: at 1 fewer words of a page were learned."""
RIDGE = 1e-4
"""Of the fit, in units of the inputs' mean square."""


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
        distance: weight of the distance in the loss; 0: cross-entropy alone.
    """

    words: Tensor

    def __init__(self, model: PreTrainedModel, *, distance: float = 0.0) -> None:
        super().__init__()
        self.distance = distance
        body = model.base_model
        self.vision, self.connector = body.vision_model, body.connector
        words = model.get_input_embeddings().weight.detach().clone()
        self.register_buffer("words", words, persistent=False)

    def vectors(self, pixels: Tensor) -> Tensor:
        """Return what the decoder is given, float32 (B, T, D)."""
        vectors: Tensor = self.connector(self.vision(pixel_values=pixels).last_hidden_state)
        return vectors.float()

    def logits(self, pixels: Tensor) -> Tensor:
        """Return how much each vector says each word, (B, T, V), in the precision of training."""
        return self._said(self.vectors(pixels))

    def loss(self, batch: EyesBatch) -> Tensor:
        """Return the weighted mean over vectors of cross-entropy and distance, a float32 scalar.

        The cross-entropy is in nats; the distance is squared, in units of a word's mean square.
        """
        there = (batch.words != NONE).float()
        vectors = self.vectors(batch.pixels)
        of_words = log_softmax(self._said(vectors), dim=-1).gather(-1, batch.words.clamp(min=0))
        of_vectors = -(of_words * there).sum(-1) / there.sum(-1)
        if self.distance:
            off = (vectors - self._sums(batch)).square().sum(-1)
            weights = self.distance * torch.where(there.sum(-1) > 1, 1.0, ONE_WORD)
            of_vectors = of_vectors + weights * off / self.words.float().square().sum(-1).mean()
        return (of_vectors * batch.weights).sum() / batch.weights.sum()

    @torch.no_grad()
    def fit(self, batches: Iterable[EyesBatch]) -> None:
        """Set the connector's map to what brings vectors closest to the sums of their words.

        Ridge regression, weighted as the loss is; in float64, whatever the training's precision.
        """
        linear = self.connector.modality_projection.proj
        size, like = linear.in_features, linear.weight.double()
        squares, products = like.new_zeros(size, size), like.new_zeros(size, linear.out_features)
        for batch in batches:
            seen = self.vision(pixel_values=batch.pixels).last_hidden_state
            given = self.connector.pixel_shuffle(seen, self.connector.scale_factor)
            given = given.flatten(0, -2).double()
            weighted = given * batch.weights.flatten()[:, None]
            squares += given.T @ weighted
            products += weighted.T @ self._sums(batch).flatten(0, -2).double()
        squares.diagonal().add_(RIDGE * squares.diagonal().mean())
        linear.weight.copy_(torch.linalg.solve(squares, products).T)

    def _sums(self, batch: EyesBatch) -> Tensor:
        """Return the sum of each vector's words, float32 (B, T, D)."""
        there = (batch.words != NONE).float()
        return (self.words.float()[batch.words.clamp(min=0)] * there[..., None]).sum(-2)

    def _said(self, vectors: Tensor) -> Tensor:
        return SCALE * vectors @ self.words.float().T
