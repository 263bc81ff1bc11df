"""Training of the tiny towers: `ContrastiveTowers` and its batches.

The loss of pictures and texts has four parts, for G groups of E minimal edits each, N = G * E
pairs:

    all      symmetric InfoNCE over the N x N similarities (CLIP, arXiv:2103.00020, section 2.3)
    group    the same within each group only: which of E nearly equal captions is it?
    closer   1 - cosine of the pairs: InfoNCE alone leaves a gap between the modalities
    named    which pairs of words stand in the moment's lines, read off by one linear map that both
             towers share, through noise (tagging by caption words: SuperClass, arXiv:2411.03313)

Without the last part the towers tell captions apart in some ten dimensions, folded so that no
linear connector can read them: a linear probe found the colour of a shape in .40 of pictures where
the towers found the caption of .96 (docs/LOG.md). Noise makes what is named stand out far enough to
survive the noise of the alignment.

The sound tower comes after, tied to the finished *picture* tower; no word ever meets a sound. Pairs
whose facts are equal are no negatives of each other. The scale is learned and at most 100.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize

from textreel.models.batch import moved_tensors
from textreel.models.tiny_towers import TinyTowers

GROUP_WEIGHT = 0.5
CLOSER_WEIGHT = 2.0
NAMED_WEIGHT = 0.3
NAMED_NOISE = 0.02
"""Standard deviation per dimension of the noise under which words must be found."""
START_LOGIT, START_SLOPE = -3.0, 1.0
"""Of the map that finds them: a few of the pairs are there, and vectors are short."""
START_SCALE, MOST_SCALE = 20.0, 100.0
_NEVER = -1e9


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StillBatch:
    """Stills and captions of N moments in groups of `group_size` minimal edits.

    Attributes:
        pixel_values: float32 (N, 3, S, S), normalised.
        input_ids: int64 (N, L).
        attention_mask: bool (N, L).
        facts: int64 (N,), equal where two moments show the same facts.
        named: float32 (N, K), 1 where pair of words k stands in the moment's lines, else 0.
        ids: one name per moment.
        group_size: E.
        noise_seed: of the noise under which words must be found.
    """

    pixel_values: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    facts: Tensor
    named: Tensor
    ids: tuple[str, ...]
    group_size: int
    noise_seed: int

    @property
    def num_tokens(self) -> int:
        """Words of all captions."""
        return int(self.attention_mask.sum())

    def to(self, device: torch.device | str) -> "StillBatch":
        """Return the same batch with every tensor on `device`."""
        return replace(self, **moved_tensors(self, device))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SoundBatch:
    """Sounds and the pictures of what makes them.

    Attributes:
        pixel_values: float32 (N, 3, S, S), normalised; each picture shows one sounding object.
        spectrograms: float32 (N, frames, mels).
        kinds: int64 (N,), the kind of object; pairs of one kind are no negatives of each other.
        ids: one name per pair.
    """

    pixel_values: Tensor
    spectrograms: Tensor
    kinds: Tensor
    ids: tuple[str, ...]

    @property
    def num_tokens(self) -> int:
        """Spectrogram frames of all sounds."""
        return self.spectrograms.shape[0] * self.spectrograms.shape[1]

    def to(self, device: torch.device | str) -> "SoundBatch":
        """Return the same batch with every tensor on `device`."""
        return replace(self, **moved_tensors(self, device))


class ContrastiveTowers(nn.Module):
    """Picture and text towers with their contrastive loss.

    Args:
        towers: to be trained; their sound tower is left alone.
        feature_dim: F, the width of their vectors.
        num_pairs: K, how many pairs of words there are.
        named_noise: see `NAMED_NOISE`.
    """

    def __init__(
        self,
        towers: TinyTowers,
        *,
        feature_dim: int,
        num_pairs: int,
        named_noise: float = NAMED_NOISE,
    ) -> None:
        super().__init__()
        self.named_noise = named_noise
        self.names = nn.Linear(feature_dim, num_pairs)
        nn.init.normal_(self.names.weight, std=START_SLOPE)
        nn.init.constant_(self.names.bias, START_LOGIT)
        self.towers = towers
        self.towers.sound.requires_grad_(False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(START_SCALE)))

    def loss(self, batch: StillBatch) -> Tensor:
        """Return the weighted sum of the parts, a float32 scalar."""
        image = normalize(self.towers.get_image_features(batch.pixel_values).float(), dim=-1)
        text = normalize(
            self.towers.get_text_features(batch.input_ids, batch.attention_mask).float(), dim=-1
        )
        scores = image @ text.T * self.log_scale.exp().clamp(max=MOST_SCALE)
        closer = 1 - (image * text).sum(-1).mean()
        generator = torch.Generator().manual_seed(batch.noise_seed)
        named = [self._named(vectors, batch.named, generator) for vectors in (image, text)]
        return (
            _info_nce(scores, batch.facts)
            + GROUP_WEIGHT * _group_loss(scores, batch.group_size)
            + CLOSER_WEIGHT * closer
            + NAMED_WEIGHT * sum(named) / 2
        )

    def _named(self, vectors: Tensor, named: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean over moments of the cross-entropy in nats, summed over pairs."""
        drawn = torch.randn(vectors.shape, generator=generator).to(vectors)
        noisy = vectors + self.named_noise * drawn
        losses = binary_cross_entropy_with_logits(self.names(noisy).float(), named, reduction="sum")
        return losses / len(named)


class SoundAfterPictures(nn.Module):
    """The sound tower, trained against the frozen picture tower; no word takes part."""

    def __init__(self, towers: TinyTowers) -> None:
        super().__init__()
        self.towers = towers
        self.towers.requires_grad_(False)
        self.towers.sound.requires_grad_(True)

    def train(self, mode: bool = True) -> "SoundAfterPictures":
        """Switch the sound tower to training; the picture tower keeps its statistics."""
        super().train(mode)
        self.towers.picture.eval()
        return self

    def loss(self, batch: SoundBatch) -> Tensor:
        """Return InfoNCE plus the distance of the pairs, a float32 scalar."""
        with torch.no_grad():
            image = normalize(self.towers.get_image_features(batch.pixel_values).float(), dim=-1)
        sound = normalize(self.towers.get_audio_features(batch.spectrograms).float(), dim=-1)
        closer = 1 - (image * sound).sum(-1).mean()
        return _info_nce(image @ sound.T * START_SCALE, batch.kinds) + CLOSER_WEIGHT * closer


def _info_nce(scores: Tensor, facts: Tensor) -> Tensor:
    """Symmetric InfoNCE over (N, N) scores; other pairs of equal facts are left out."""
    same = facts[:, None] == facts[None, :]
    same.fill_diagonal_(False)
    scores = scores.masked_fill(same, _NEVER)
    wanted = torch.arange(len(scores), device=scores.device)
    return (cross_entropy(scores, wanted) + cross_entropy(scores.T, wanted)) / 2


def _group_loss(scores: Tensor, group_size: int) -> Tensor:
    """The same within each group of minimal edits, from the blocks on the diagonal."""
    groups = len(scores) // group_size
    blocks = scores.view(groups, group_size, groups, group_size)
    own = blocks[torch.arange(groups), :, torch.arange(groups)]
    wanted = torch.arange(group_size, device=scores.device).repeat(groups)
    forth = cross_entropy(own.reshape(-1, group_size), wanted)
    back = cross_entropy(own.transpose(1, 2).reshape(-1, group_size), wanted)
    return (forth + back) / 2
