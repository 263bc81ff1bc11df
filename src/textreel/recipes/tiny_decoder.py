"""The tiny decoder, from nothing: it learns to read captions and to answer about them.

It sees words only. Lessons come in order and overlap (`LESSONS`): plain lists of objects, one
object before and after, several of them, moments, short videos, whole videos
(`synth/world/lessons`, `synth/world/documents`). Without the lists nothing was learned about what
belongs together, without the single object nothing about what happens; a sudden change from one
lesson to the next costs what the last one taught. docs/LOG.md has the figures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import torch

from textreel.models.reading import ReadingDecoder, WeightedBatch
from textreel.models.tiny_decoder import BOS_ID, TinyDecoder, new_tiny_decoder
from textreel.synth.world.documents import MAX_FRAMES, Piece, draw_document
from textreel.synth.world.lessons import draw_change, draw_list, draw_moment
from textreel.synth.world.tokens import world_tokenizer
from textreel.synth.world.vocabulary import words
from textreel.train.config import TrainConfig
from textreel.train.loop import train

TOKENS_PER_BATCH = 6000
CAPTION_TOKENS, OTHER_TOKENS = 19, 156
"""About how long a caption is, and the rest of a document; to size batches."""
LISTS_PER_BATCH, CHANGES_PER_BATCH, MOMENTS_PER_BATCH = 40, 50, 30
SORTED_TOGETHER = 4
"""Batches whose documents are drawn together and sorted by length."""
FULL_SHARE = 0.6
"""Batches of the longest videos of a lesson; the others have fewer frames."""

Document = tuple[list[int], list[float]]
"""Token ids and their weights."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A stretch of the training.

    Attributes:
        until: share of the training at which it ends.
        lists: share of batches that are plain lists.
        plain_changes: share of batches that are two plain lists, before and after.
        changes: share of batches that are two captions, before and after.
        objects: most objects in either kind of change.
        moments: share of batches that are single moments.
        frames: most frames of the other batches' videos.
    """

    until: float
    lists: float = 0.0
    plain_changes: float = 0.0
    changes: float = 0.0
    objects: int = 3
    moments: float = 0.0
    frames: int = MAX_FRAMES

    def draw(self, chance: float) -> tuple[Callable[[Random], list[Piece]] | None, int]:
        """Return what a batch is made of and how many to a batch; None: videos."""
        shares = (
            (self.lists, draw_list, LISTS_PER_BATCH),
            (self.plain_changes, self._change(plain=True), CHANGES_PER_BATCH),
            (self.changes, self._change(plain=False), CHANGES_PER_BATCH),
            (self.moments, draw_moment, MOMENTS_PER_BATCH),
        )
        for share, draw, count in shares:
            if chance < share:
                return draw, count
            chance -= share
        return None, 0

    def _change(self, *, plain: bool) -> Callable[[Random], list[Piece]]:
        return partial(draw_change, plain=plain, most=self.objects)


LESSONS = (
    Lesson(0.07, lists=1.0),
    Lesson(0.19, lists=0.2, plain_changes=0.8, objects=1),
    Lesson(0.60, lists=0.1, plain_changes=0.3, moments=0.15, changes=0.25, frames=3),
    Lesson(1.0, plain_changes=0.05, moments=0.05, changes=0.1),
)

DECODER_TRAINING = TrainConfig(
    steps=2000,
    batch_size=160,
    lr=1.5e-3,
    warmup=40,
    weight_decay=0.01,
    betas=(0.9, 0.98),
    optimizer="muon",
    muon_lr=0.01,
    checkpoint_every=200,
    precision="bf16",
)


class DocumentData:
    """Documents of one length class per step, a pure function of the step."""

    def __init__(self, *, steps: int, seed: int = 0) -> None:
        self.steps = steps
        self.seed = seed
        self.tokenizer = world_tokenizer()
        self._kept: tuple[int, list[Document]] | None = None

    def __len__(self) -> int:
        return self.steps

    def batch(self, step: int) -> WeightedBatch:
        """Write the batch of step `step`."""
        group, position = divmod(step, SORTED_TOGETHER)
        documents = self._group(group)
        count = len(documents) // SORTED_TOGETHER
        rows = documents[position * count : (position + 1) * count]
        shape = (count, max(len(ids) for ids, _ in rows))
        input_ids, weights = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
        for i, (ids, weight) in enumerate(rows):
            input_ids[i, : len(ids)], weights[i, : len(ids)] = ids, weight
        return WeightedBatch(
            input_ids=torch.from_numpy(input_ids),
            weights=torch.from_numpy(weights),
            ids=tuple(f"document-{step}-{i}" for i in range(count)),
        )

    def _group(self, group: int) -> list[Document]:
        """Write the documents of `SORTED_TOGETHER` steps, shortest first; the last are kept."""
        if self._kept is None or self._kept[0] != group:
            rng = Random(f"documents-{self.seed}-{group}")
            draw, count = self._lesson(group * SORTED_TOGETHER / self.steps, rng)
            documents = [self._document(draw(rng)) for _ in range(SORTED_TOGETHER * count)]
            documents.sort(key=lambda document: len(document[0]))
            self._kept = group, documents
        return self._kept[1]

    def _lesson(self, done: float, rng: Random) -> tuple[Callable[[Random], list[Piece]], int]:
        """Return how to draw a document at this point of the training, and how many a batch."""
        lesson = next(lesson for lesson in LESSONS if done < lesson.until)
        draw, count = lesson.draw(rng.random())
        if draw is not None:
            return draw, count
        full = rng.random() < FULL_SHARE
        frames = lesson.frames if full else rng.randint(1, lesson.frames)
        count = max(8, TOKENS_PER_BATCH // (frames * CAPTION_TOKENS + OTHER_TOKENS))
        return partial(draw_document, num_frames=frames), count

    def _document(self, pieces: list[Piece]) -> Document:
        ids, weights = [BOS_ID], [0.0]
        for text, weight in pieces:
            piece = self.tokenizer.encode(text).ids
            ids += piece
            weights += [weight] * len(piece)
        return ids, weights


def build_decoder(
    work: Path, *, config: TrainConfig = DECODER_TRAINING, seed: int = 0
) -> TinyDecoder:
    """Train the tiny decoder; safe to kill and to call again.

    Args:
        work: folder for the training run.
        config: how long and how fast.
        seed: of weights and documents.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        decoder = new_tiny_decoder(len(words()))
    data = DocumentData(steps=config.steps, seed=seed)
    train(ReadingDecoder(decoder), data, config, work / "decoder")
    return decoder.eval()
