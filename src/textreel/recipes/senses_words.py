"""The head start of a `VideoLlama`'s branches: soft tokens that say, in words, what is there.

    picture branch   for each of the N frames a column for each kind of object, then a full stop
    sound branch     for each of the Q clips what is heard in it; `nothing` behind the last one

What a column should hold is the sum of the decoder's own embeddings of a line about that object, as
in `head_start`; a branch with N * (K + 1) queries has K columns a frame. From features of captions
or of pictures, whichever the stage shows. Not in the paper.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import torch
from torch import Tensor
from torch.nn.functional import normalize

from textreel.data.encoding import Tokenizer
from textreel.data.senses_collate import padded_track
from textreel.models.batch import Features
from textreel.models.branch_words import WordsBatch
from textreel.models.senses_batch import Track
from textreel.recipes.head_start import object_lines, word_sums
from textreel.recipes.recipe import RecipeError
from textreel.recipes.senses_world import SOUND_ID, WorldData
from textreel.train.buckets import Bucketed

ABSENT, FRAME_END = "nothing", "."


@dataclass(frozen=True, slots=True, eq=False)
class WordsSample:
    """Features of one video, and the lines that its soft tokens should say."""

    id: str
    features: Features
    lines: tuple[str, ...]


def image_samples(data: WorldData, *, queries: int) -> list[WordsSample]:
    """Return every video's frames with the lines of their columns.

    Raises:
        RecipeError: the queries are not as many for each frame, and at least two; or videos of
            different numbers of frames.
    """
    frames = len(data.videos[0].frames)
    if odd := [video.id for video in data.videos if len(video.frames) != frames]:
        raise RecipeError(
            f"a head start needs {frames} frames of every video, as many as the first has: "
            f"{len(odd)} of {len(data.videos)} have more or fewer (first: {odd[0]!r})"
        )
    columns, rest = queries // frames - 1, queries % frames
    if rest or columns < 1:
        raise RecipeError(
            f"a head start of {queries} queries for {frames} frames: they must be a multiple of "
            f"the frames, at least twice as many",
            hint=f"such as image.queries={5 * frames}",
        )
    lines = object_lines(data.videos, columns, absent=ABSENT)
    samples = []
    for number, video in enumerate(data.videos):
        own = lines[number * frames : (number + 1) * frames]
        told = [line for row in own for line in (*row, FRAME_END)]
        samples.append(WordsSample(video.id, data.image[video.id], tuple(told)))
    return samples


def mixed_frames(samples: Sequence[WordsSample], *, seed: int) -> list[WordsSample]:
    """Deal the frames of all videos out anew, so that a sample's frames come from many videos.

    Most of a video stays as it is from frame to frame, so a branch that reads the mean of its
    frames says nearly everything right, and stays there. Of unrelated frames the mean says nothing.

    Args:
        samples: all of the same number of frames, with as many lines for each.
        seed: of the deal.
    """
    frames = len(samples[0].features.values)
    lines = len(samples[0].lines) // frames
    places = [(number, frame) for number in range(len(samples)) for frame in range(frames)]
    Random(f"frames-{seed}").shuffle(places)
    mixed = []
    for number, one in enumerate(samples):
        dealt = places[number * frames : (number + 1) * frames]
        values = torch.stack([samples[i].features.values[f] for i, f in dealt])
        told = [line for i, f in dealt for line in samples[i].lines[f * lines : (f + 1) * lines]]
        mixed.append(WordsSample(one.id, replace(one.features, values=values), tuple(told)))
    return mixed


def sound_samples(data: WorldData, *, queries: int) -> list[WordsSample]:
    """Return every video's sound with what is heard in each clip."""
    told = {text.id: [frame.caption for frame in text.frames] for text in data.sounds}
    samples = []
    for video in data.videos:
        if (features := data.sound.get(video.id)) is None:
            continue
        padded = (told[video.id + SOUND_ID] + [ABSENT] * queries)[:queries]
        samples.append(WordsSample(video.id, features, tuple(padded)))
    return samples


def usual_times(samples: Sequence[WordsSample], steps: int) -> Tensor:
    """Return when each of `steps` steps is on average, in seconds; float32 (steps,).

    Steps that no sample has come one second after the other behind the last one known.
    """
    times_s = [sample.features.times_s.float() for sample in samples]
    known = [[float(own[step]) for own in times_s if len(own) > step] for step in range(steps)]
    found: list[float] = []
    for own in known:
        found.append(sum(own) / len(own) if own else found[-1] + 1.0)
    return torch.tensor(found)


def words_data(
    samples: Sequence[WordsSample],
    tokenizer: Tokenizer,
    table: Tensor,
    *,
    noise: float,
    batch_size: int,
    seed: int,
) -> tuple[Bucketed[WordsSample, WordsBatch], float]:
    """Return the batches of a head start, and the mean square of their words about the mean.

    Args:
        samples: features with lines.
        tokenizer: the decoder's.
        table: its word embeddings, (V, D).
        noise: as `alignment.TaskMix`.
        batch_size: videos in a batch.
        seed: of order and noise.
    """
    known = word_sums({line for s in samples for line in s.lines}, tokenizer, table)

    def collate(chosen: list[WordsSample], generator: torch.Generator) -> WordsBatch:
        track = padded_track([s.features for s in chosen])
        words = torch.stack([torch.stack([known[line] for line in s.lines]) for s in chosen])
        return WordsBatch(
            track=blurred_track(track, noise, generator),
            words=words,
            ids=tuple(s.id for s in chosen),
        )

    data = Bucketed(
        samples,
        [len(s.features.values) for s in samples],
        collate,
        batch_size=batch_size,
        seed=seed,
    )
    every = torch.stack([known[line] for s in samples[:200] for line in s.lines])
    return data, float(every.var(0, correction=0).mean())


def blurred_track(track: Track, noise: float, generator: torch.Generator) -> Track:
    """Add noise to unit features, which stay unit vectors; 0: the track itself."""
    if not noise:
        return track
    drawn = torch.randn(track.features.shape, generator=generator)
    noisy = normalize(track.features + noise * drawn, dim=-1)
    noisy = noisy * track.features.ne(0).any(-1, keepdim=True)  # padding stays padding
    if track.mask is not None:
        noisy = noisy * track.mask[..., None, None]
    return replace(track, features=noisy)
