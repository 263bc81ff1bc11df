"""The tiny decoder, from nothing: it learns to read captions and to answer about them.

It sees words only. Lessons come in order and overlap (`LESSONS`): plain lists of objects, two such
lists and how every object was in either, what happened between them, which of two events came
first, moments, short videos, whole videos (`synth/world/lessons`, `synth/world/documents`). Each
needs the one before: without the lists nothing was learned about what belongs together, without
looking up both moments nothing about what happened to one of several objects, without two events
and one question little about their order. A sudden change from one lesson to the next costs what
the last one taught; docs/LOG.md has the figures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import torch

from textreel.models.reading import ReadingDecoder, WeightedBatch
from textreel.models.tiny_decoder import BOS_ID, PAD_ID, TinyDecoder, new_tiny_decoder
from textreel.synth.world.documents import MAX_FRAMES, Piece, draw_document
from textreel.synth.world.lessons import (
    Form,
    draw_between,
    draw_change,
    draw_list,
    draw_moment,
    draw_order,
    draw_recall,
)
from textreel.synth.world.packed import JOINED, SLOTS, weigh
from textreel.synth.world.tokens import world_tokenizer
from textreel.synth.world.vocabulary import words
from textreel.train.config import TrainConfig
from textreel.train.loop import train

TOKENS_PER_BATCH = 6000
CAPTION_TOKENS, OTHER_TOKENS, OTHER_PACKED = 19, 126, 84
"""About how long a caption is, and the rest of a document; to size batches."""
PACKED_FRAMES = (1, 3, 3, MAX_FRAMES, MAX_FRAMES, MAX_FRAMES)
"""Lengths that packed documents are drawn of, as far as the lesson allows."""
LISTS_PER_BATCH, RECALLS_PER_BATCH, CHANGES_PER_BATCH, MOMENTS_PER_BATCH = 40, 40, 50, 30
BETWEEN_PER_BATCH = 60
ORDER_TOKENS: dict[Form, int] = {"plain": 13, "caption": CAPTION_TOKENS, "packed": SLOTS + 1}
"""About how long a moment of a lesson about order is."""
OTHER_ORDER = 45
ORDER_FORMS: tuple[Form, ...] = ("plain", "caption", "caption", "packed")
"""Forms that lessons about order are drawn of."""
ORDER_FRAMES = (3, 5, MAX_FRAMES)
"""Most moments of a lesson about order, as far as the lesson allows."""
SORTED_TOGETHER = 4
"""Batches whose documents are drawn together and sorted by length."""
FULL_SHARE = 0.6
"""Batches of the longest videos of a lesson; the others have fewer frames."""


Draw = Callable[[Random], list[Piece]]


@dataclass(frozen=True, slots=True)
class Document:
    """Token ids, their weights, and the positions that hold several words.

    Attributes:
        ids: padding where a position holds several words.
        weights: of the prediction of each token.
        packed: position to (token id, weight) of its words.
    """

    ids: list[int]
    weights: list[float]
    packed: dict[int, list[tuple[int, float]]]


@dataclass(frozen=True, slots=True)
class Lesson:
    """A stretch of the training.

    Attributes:
        until: share of the training at which it ends.
        lists: share of batches that are plain lists.
        recall: share of batches that are two plain lists, and how every object was in either.
        plain_changes: share of batches that are two plain lists, before and after.
        changes: share of batches that are two captions, before and after.
        objects: most objects in recalls and in either kind of change.
        between: share of batches that are three plain lists of two objects, and how each was in
            any of them, or what happened between any two.
        plain_orders: share of batches that are three plain lists of two objects, and one question
            about which of two events came first or last.
        orders: share of batches that ask that of moments in all forms.
        moments: share of batches that are single moments.
        packed: share of the other batches, which are videos, whose frames are packed.
        frames: most frames of videos and of moments in `orders`.
    """

    until: float
    lists: float = 0.0
    recall: float = 0.0
    plain_changes: float = 0.0
    changes: float = 0.0
    objects: int = 3
    between: float = 0.0
    plain_orders: float = 0.0
    orders: float = 0.0
    moments: float = 0.0
    packed: float = 0.0
    frames: int = MAX_FRAMES

    def draw(self, rng: Random) -> tuple[Draw, int]:
        """Return what a batch is made of, and how many to a batch."""
        shares = (
            (self.lists, lambda _: (draw_list, LISTS_PER_BATCH)),
            (self.recall, lambda _: (partial(draw_recall, most=self.objects), RECALLS_PER_BATCH)),
            (self.plain_changes, partial(self._change, plain=True)),
            (self.changes, partial(self._change, plain=False)),
            (self.moments, lambda _: (draw_moment, MOMENTS_PER_BATCH)),
            (self.between, lambda _: (draw_between, BETWEEN_PER_BATCH)),
            (self.plain_orders, partial(self._order, plain=True)),
            (self.orders, self._order),
        )
        chance = rng.random()
        for share, choose in shares:
            if chance < share:
                return choose(rng)
            chance -= share
        return self._video(rng)

    def _change(self, _: Random, *, plain: bool) -> tuple[Draw, int]:
        return partial(draw_change, plain=plain, most=self.objects), CHANGES_PER_BATCH

    def _order(self, rng: Random, *, plain: bool = False) -> tuple[Draw, int]:
        form: Form = "plain" if plain else rng.choice(ORDER_FORMS)
        frames = min(3 if plain else rng.choice(ORDER_FRAMES), self.frames)
        count = max(8, TOKENS_PER_BATCH // (frames * ORDER_TOKENS[form] + OTHER_ORDER))
        return partial(draw_order, form=form, frames=frames, apart=plain), count

    def _video(self, rng: Random) -> tuple[Draw, int]:
        if rng.random() < self.packed:
            frames = min(rng.choice(PACKED_FRAMES), self.frames)
            count = max(8, TOKENS_PER_BATCH // (frames * (SLOTS + 1) + OTHER_PACKED))
            return partial(draw_document, num_frames=frames, packed=True), count
        full = rng.random() < FULL_SHARE
        frames = self.frames if full else rng.randint(1, self.frames)
        count = max(8, TOKENS_PER_BATCH // (frames * CAPTION_TOKENS + OTHER_TOKENS))
        return partial(draw_document, num_frames=frames), count


STEPS = 6200
LESSONS = (
    Lesson(168 / STEPS, lists=1.0),
    Lesson(640 / STEPS, lists=0.15, recall=0.85),
    Lesson(1004 / STEPS, lists=0.05, recall=0.25, plain_changes=0.7),
    Lesson(
        1240 / STEPS,
        lists=0.05,
        recall=0.05,
        plain_changes=0.3,
        changes=0.35,
        moments=0.15,
        packed=0.4,
        frames=3,
    ),
    Lesson(
        1500 / STEPS,
        plain_changes=0.2,
        changes=0.2,
        moments=0.05,
        plain_orders=0.45,
        packed=0.4,
        frames=3,
    ),
    Lesson(
        2100 / STEPS,
        plain_changes=0.1,
        changes=0.15,
        moments=0.1,
        orders=0.25,
        packed=0.5,
        frames=3,
    ),
    Lesson(2880 / STEPS, plain_changes=0.05, changes=0.08, moments=0.05, orders=0.2, packed=0.5),
    Lesson(3440 / STEPS, plain_changes=0.05, changes=0.08, between=0.75, packed=0.5),
    Lesson(
        3600 / STEPS, plain_changes=0.03, changes=0.07, between=0.3, plain_orders=0.45, packed=0.5
    ),
    Lesson(
        3880 / STEPS, plain_changes=0.03, changes=0.07, between=0.1, plain_orders=0.65, packed=0.5
    ),
    Lesson(
        4200 / STEPS,
        plain_changes=0.03,
        changes=0.07,
        moments=0.03,
        plain_orders=0.1,
        orders=0.4,
        packed=0.5,
    ),
    Lesson(4600 / STEPS, plain_changes=0.03, changes=0.06, moments=0.03, orders=0.3, packed=0.5),
    Lesson(
        5200 / STEPS,
        plain_changes=0.03,
        changes=0.06,
        between=0.03,
        plain_orders=0.06,
        orders=0.42,
        packed=0.5,
    ),
    Lesson(5600 / STEPS, plain_changes=0.03, changes=0.06, moments=0.03, orders=0.25, packed=0.5),
    Lesson(1.0, plain_changes=0.02, changes=0.05, moments=0.12, orders=0.2, packed=0.5),
)
"""Questions about order that are asked before `between` taught nothing: of the two events the right
one was chosen as often as the other. They stay as they were run; docs/LOG.md has the figures.
"""

DECODER_TRAINING = TrainConfig(
    steps=STEPS,
    batch_size=160,
    lr=1.5e-3,
    warmup=40,
    restarts=(2880 / STEPS, 4600 / STEPS, 5600 / STEPS),
    weight_decay=0.01,
    betas=(0.9, 0.98),
    optimizer="muon",
    muon_lr=0.01,
    checkpoint_every=200,
    precision="bf16",
    threads=1,  # with a fixed type of arithmetic: a rebuild has the same bits
)


class DocumentData:
    """Documents of one length class per step, a pure function of the step."""

    def __init__(self, *, steps: int, seed: int = 0, lessons: Sequence[Lesson] = LESSONS) -> None:
        self.steps = steps
        self.lessons = lessons
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
        shape = (count, max(len(row.ids) for row in rows))
        input_ids, weights = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
        packed = np.zeros(shape, bool)
        for i, row in enumerate(rows):
            input_ids[i, : len(row.ids)], weights[i, : len(row.ids)] = row.ids, row.weights
            packed[i, list(row.packed)] = True
        words = np.array([words for row in rows for words in row.packed.values()])
        return WeightedBatch(
            input_ids=torch.from_numpy(input_ids),
            weights=torch.from_numpy(weights),
            ids=tuple(f"document-{step}-{i}" for i in range(count)),
            packed=torch.from_numpy(packed) if len(words) else None,
            packed_ids=torch.from_numpy(words[..., 0].astype(np.int64)) if len(words) else None,
            packed_weights=torch.from_numpy(words[..., 1].astype(np.float32))
            if len(words)
            else None,
        )

    def _group(self, group: int) -> list[Document]:
        """Write the documents of `SORTED_TOGETHER` steps, shortest first; the last are kept."""
        if self._kept is None or self._kept[0] != group:
            rng = Random(f"documents-{self.seed}-{group}")
            draw, count = self._lesson(group * SORTED_TOGETHER / self.steps, rng)
            documents = [self._document(draw(rng), rng) for _ in range(SORTED_TOGETHER * count)]
            documents.sort(key=lambda document: len(document.ids))
            self._kept = group, documents
        return self._kept[1]

    def _lesson(self, done: float, rng: Random) -> tuple[Draw, int]:
        """Return how to draw a document at this point of the training, and how many a batch."""
        return next(lesson for lesson in self.lessons if done < lesson.until).draw(rng)

    def _document(self, pieces: list[Piece], rng: Random) -> Document:
        document = Document([BOS_ID], [0.0], {})
        for text, weight in pieces:
            if JOINED in text:
                for position in text.split():
                    document.packed[len(document.ids)] = self._words(position, rng)
                    document.ids.append(PAD_ID)
                    document.weights.append(0.0)
                continue
            piece = self.tokenizer.encode(text).ids
            document.ids.extend(piece)
            document.weights.extend([weight] * len(piece))
        return document

    def _words(self, position: str, rng: Random) -> list[tuple[int, float]]:
        words, weights = zip(*weigh(position, rng), strict=True)
        ids = [self.tokenizer.token_to_id(word) for word in words]
        return [(id, weight) for id, weight in zip(ids, weights, strict=True) if id is not None]


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
