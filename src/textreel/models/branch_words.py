"""`BranchToWords`: a Q-Former branch learns to write given words, without the decoder.

    features --branch--> soft tokens (B, Q, D)   as near as can be to   words (B, Q, D)

What a soft token should be is a sum of the decoder's own word embeddings. It is the counterpart,
for a branch that is no linear map, of the least squares of `word_fit`: a step of it is cheap, and
it does not have to find out, through a frozen decoder, which words belong together.

Not in the paper.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from textreel.models.batch import moved_tensors
from textreel.models.qformer_connector import QFormerConnector
from textreel.models.senses_batch import Track


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WordsBatch:
    """Features and the words they should become.

    Attributes:
        track: what the branch reads.
        words: float32 (B, Q, D).
        ids: one name per row.
    """

    track: Track
    words: Tensor
    ids: tuple[str, ...]

    @property
    def num_tokens(self) -> int:
        """Soft tokens to be made."""
        return self.words.shape[0] * self.words.shape[1]

    def to(self, device: torch.device | str) -> "WordsBatch":
        """Return the same batch with every tensor on `device`."""
        return replace(self, **moved_tensors(self, device), track=self.track.to(device))


class BranchToWords(nn.Module):
    """A branch with a loss of its own.

    Args:
        branch: what learns.
        spread: mean square of the words about their mean, so that the loss of a branch that knows
            nothing but the mean is 1.
    """

    def __init__(self, branch: QFormerConnector, *, spread: float) -> None:
        super().__init__()
        self.branch, self.spread = branch, spread

    def loss(self, batch: WordsBatch) -> Tensor:
        """Return the mean squared distance from the words, as a share of their spread."""
        track = batch.track
        soft = self.branch(track.features, mask=track.mask, times_s=track.times_s)
        return (soft.float() - batch.words).square().mean() / self.spread
