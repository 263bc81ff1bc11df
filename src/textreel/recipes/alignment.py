"""Alignment on textual videos: from `TextualVideo`s and their features to training batches.

TOPA's three tasks (arXiv:2405.13911, section 3): multiple choice, open question, summary. Unlike
upstream, which shows one question of a video per visit, a prompt may hold several questions of its
video, one after the other, each with or without its options: the video is read once for them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import torch
from torch import Generator
from torch.nn.functional import normalize

from textreel.data.collate import Collator
from textreel.data.encoding import EncodedPrompt
from textreel.data.prompt import Turn
from textreel.data.textual_video import TextualQuestion, TextualVideo
from textreel.models.batch import Batch, Features
from textreel.models.track_lm import TrackLM
from textreel.synth.check.letters import LetterBalance
from textreel.train.buckets import BucketedData
from textreel.train.config import TrainConfig
from textreel.train.contracts import Evaluate, Progress, TrainingData
from textreel.train.errors import TrainConfigError
from textreel.train.loop import train
from textreel.train.result import TrainResult

Sample = tuple[EncodedPrompt, Features | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskMix:
    """How the three tasks are mixed.

    Attributes:
        choices_share: questions that list their options; the others are open.
        summary_share: videos whose prompt ends with a summary.
        noise: standard deviation per dimension of what is added to the (unit) features in
            training, before they are brought to unit length again. Published: 0.
        most_questions: most tasks in one prompt; a video's are dealt out to as many prompts as it
            takes. None: all in one.
        visits: instead of dealing questions out, draw so many prompts of one task for each video,
            as the published loader draws one at every visit: a choice with the probability
            `choices_share`; otherwise a summary with that of `summary_share`, or where the question
            has a free answer, an open question. None: deal.
    """

    choices_share: float = 0.75
    summary_share: float = 0.15
    noise: float = 0.04
    most_questions: int | None = None
    visits: int | None = None
    balanced: bool = False

    def __post_init__(self) -> None:
        shares = {"choices_share": self.choices_share, "summary_share": self.summary_share}
        for name, value in shares.items():
            if not 0 <= value <= 1:
                raise TrainConfigError(f"TaskMix: {name}={value} must be from 0 to 1")
        if not 0 <= self.noise < math.inf:
            raise TrainConfigError(f"TaskMix: noise={self.noise} must be 0 or more")
        if self.most_questions is not None and self.most_questions < 1:
            raise TrainConfigError(
                f"TaskMix: most_questions={self.most_questions} must be at least 1, or None"
            )
        if self.visits is not None and (self.visits < 1 or self.most_questions is not None):
            raise TrainConfigError(
                f"TaskMix: visits={self.visits} must be at least 1, and then a prompt holds one "
                f"task: most_questions={self.most_questions} must be None"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameCaptions:
    """A first stage, in which the model captions single frames.

    Every word of a caption says something about one feature vector, and such prompts are short; so
    the connector learns to speak before it is asked about whole videos. LLaVA (arXiv:2304.08485,
    section 4.2) begins with captions of pictures; here the pictures are texts.

    Attributes:
        share: of the run's updates; 0: no such stage, as published.
        batch_size: frames in a batch.
        per_video: frames captioned of each video, drawn at random; fewer where it has fewer.
    """

    share: float = 0.0
    batch_size: int = 192
    per_video: int = 6

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise TrainConfigError(
                f"FrameCaptions: share={self.share} must be 0 or more and less than 1"
            )
        for name in ("batch_size", "per_video"):
            if getattr(self, name) < 1:
                raise TrainConfigError(
                    f"FrameCaptions: {name}={getattr(self, name)} must be 1 or more"
                )


def draw_prompts(video: TextualVideo, mix: TaskMix, rng: Random) -> list[list[Turn]]:
    """Deal a video's questions out to prompts, in random order, each as a choice or open."""
    if mix.visits is not None:
        return [[_visit(video, mix, rng)] for _ in range(mix.visits)]
    questions = list(video.questions)
    rng.shuffle(questions)
    turns = [_turn(question, mix, rng) for question in questions]
    if not turns or rng.random() < mix.summary_share:
        turns.append(Turn(task="summary", answer_text=video.caption))
    size = len(turns) if mix.most_questions is None else mix.most_questions
    count = -(-len(turns) // size)
    return [turns[i::count] for i in range(count)]


def _visit(video: TextualVideo, mix: TaskMix, rng: Random) -> Turn:
    """Draw one task, as at one visit of the published loader (textvid.py, engine.py)."""
    summary = Turn(task="summary", answer_text=video.caption)
    if not video.questions:
        return summary
    question = rng.choice(video.questions)
    if rng.random() < mix.choices_share:
        return _turn(question, replace(mix, choices_share=1.0), rng)
    if rng.random() < mix.summary_share or not question.open_answer:
        return summary
    return Turn(task="open", question=question.question, answer_text=question.open_answer)


def _turn(question: TextualQuestion, mix: TaskMix, rng: Random) -> Turn:
    if rng.random() < mix.choices_share:
        return Turn(
            task="choice",
            question=question.question,
            options=question.options,
            answer=question.answer,
        )
    words = question.open_answer or question.options[question.answer]
    return Turn(task="open", question=question.question, answer_text=words)


def _placed(videos: Sequence[TextualVideo], mix: TaskMix, seed: int) -> Sequence[TextualVideo]:
    """Return the videos with their options where they are shown."""
    if not mix.balanced:
        return videos
    balance = LetterBalance(seed=seed)
    return [balance.place(video) for video in videos]


def alignment_data(
    videos: Sequence[TextualVideo],
    features: Sequence[Features] | None,
    collator: Collator,
    *,
    mix: TaskMix,
    batch_size: int,
    seed: int,
) -> BucketedData[Sample]:
    """Write and tokenize the prompts of every video.

    Args:
        videos: with their questions.
        features: one for each; None: prompts without a video (for a blind model).
        collator: the model's.
        mix: the tasks.
        batch_size: prompts in a batch.
        seed: of prompts, order and noise.
    """
    rng = Random(f"alignment-{seed}")
    prompts, shown = [], []
    for index, video in enumerate(_placed(videos, mix, seed)):
        for turns in draw_prompts(video, mix, rng):
            prompts.append(collator.write(video.id, turns=turns, video=features is not None))
            shown.append(None if features is None else features[index])
    records = collator.encode_many(prompts)
    return BucketedData(
        list(zip(records, shown, strict=True)),
        [len(record.token_ids) for record in records],
        _collate(collator, mix.noise),
        batch_size=batch_size,
        seed=seed,
    )


def caption_data(
    videos: Sequence[TextualVideo],
    features: Sequence[Features],
    collator: Collator,
    *,
    captions: FrameCaptions,
    noise: float,
    seed: int,
) -> BucketedData[Sample]:
    """Write and tokenize captions of single frames, each with its own features only.

    Args:
        videos: whose frames.
        features: one for each.
        collator: the model's.
        captions: how many.
        noise: as `TaskMix.noise`.
        seed: of frames, order and noise.
    """
    rng = Random(f"frame-captions-{seed}")
    prompts, shown = [], []
    for video, track in zip(videos, features, strict=True):
        count = min(captions.per_video, len(video.frames))
        for frame in rng.sample(range(len(video.frames)), count):
            turn = Turn(task="summary", answer_text=video.frames[frame].caption)
            prompts.append(collator.write(video.id, turns=[turn], video=True))
            shown.append(_one_frame(track, frame))
    records = collator.encode_many(prompts)
    return BucketedData(
        list(zip(records, shown, strict=True)),
        [len(record.token_ids) for record in records],
        _collate(collator, noise),
        batch_size=captions.batch_size,
        seed=seed,
    )


def _one_frame(features: Features, frame: int) -> Features:
    part = slice(frame, frame + 1)
    return replace(features, values=features.values[part], times_s=features.times_s[part])


def blurred(batch: Batch, noise: float, generator: Generator) -> Batch:
    """Return the batch with noise added to its features, which stay unit vectors.

    Args:
        batch: with unit features.
        noise: as `TaskMix.noise`; 0: the batch itself.
        generator: draws the noise.
    """
    if batch.features is None or batch.feature_mask is None or not noise:
        return batch
    drawn = torch.randn(batch.features.shape, generator=generator)
    noisy = normalize(batch.features + noise * drawn, dim=-1)
    return replace(batch, features=noisy * batch.feature_mask[..., None, None])


def _collate(collator: Collator, noise: float) -> Callable[[list[Sample], Generator], Batch]:
    def collate(samples: list[Sample], generator: Generator) -> Batch:
        return blurred(collator.collate(samples), noise, generator)

    return collate


def align(
    model: TrackLM,
    data: TrainingData[Batch],
    config: TrainConfig,
    run: Path,
    *,
    evaluate: Evaluate | None = None,
    progress: Callable[[Progress], None] | None = None,
    inexact: bool = False,
) -> TrainResult:
    """Train the connector and the adapter; safe to kill and to call again."""
    return train(model, data, config, run, evaluate=evaluate, progress=progress, inexact=inexact)
