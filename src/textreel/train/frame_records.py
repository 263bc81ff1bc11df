"""`FrameRecords`: records as batches for an image-LLM, pages drawn and frames decoded when wanted.

`batch(step)` is pure in the step, so the loop's exact resume holds; it may run in the loop's
background thread, which draws pages while the model computes. The loss is taken of answers, or, as
T2Vid's published Idefics3 run did, of all text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from textreel.data.frame_collate import FrameCollator
from textreel.data.prompt import PromptError
from textreel.data.record import Part, Record
from textreel.data.sequence_length import Shown, frame_messages
from textreel.media.decode import read_clip
from textreel.media.sampling import SamplingSpec
from textreel.models.batch import IGNORE
from textreel.models.image_mllm.batch import FrameBatch
from textreel.models.image_mllm.pictures import PictureReader
from textreel.synth.pages.drawer import PageDrawer
from textreel.train.buckets import BucketedBatches
from textreel.train.errors import TrainConfigError

Loss = Literal["answers", "all text"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameSource:
    """What makes batches of records.

    Attributes:
        drawer: draws pages.
        sampling: which frames of a video; T2Vid takes 24.
        media: folder that relative paths of videos and pictures start from.
        reader: the model's.
        collator: the model's.
        loss: what is learned: `answers` with their ends, or `all text`, everything but padding and
            image tokens.
    """

    drawer: PageDrawer
    reader: PictureReader
    collator: FrameCollator
    loss: Loss = "answers"
    sampling: SamplingSpec = field(default_factory=partial(SamplingSpec, num_frames=24))
    media: Path = Path()

    def __post_init__(self) -> None:
        if self.loss not in get_args(Loss):
            raise TrainConfigError(f"loss {self.loss!r} is none of {', '.join(get_args(Loss))}")


class FrameRecords:
    """Records with pages or videos, collated in batches of similar length: a `TrainingData`.

    Args:
        records: each shows pages or videos or both; at least one.
        lengths: tokens of each (`data.sequence_length`).
        source: makes batches of them.
        batch_size: most records in a batch.
        seed: of the order.

    Raises:
        TrainConfigError: as many lengths as records are needed, and at least one.
    """

    def __init__(
        self,
        records: Sequence[Record],
        lengths: Sequence[int],
        source: FrameSource,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        if len(lengths) != len(records):
            raise TrainConfigError(f"{len(lengths)} lengths for {len(records)} records")
        self._records = records
        self._source = source
        self._order = BucketedBatches(lengths, batch_size=batch_size, seed=seed)

    def __len__(self) -> int:
        return len(self._records)

    def batch(self, step: int) -> FrameBatch:
        """Return the batch of update number `step`, from 0; pages are drawn now."""
        records = [self._records[index] for index in self._order.indices(step)]
        return draw_batch(records, self._source)


def draw_batch(records: Sequence[Record], source: FrameSource) -> FrameBatch:
    """Draw the pages and decode the frames of some records, laid out as a model takes them.

    Raises:
        TextError: a text that has no pages.
        MediaError: a video that cannot be read.
        PromptError: a record with nothing to see, or that has no form in the model's prompts.
    """
    samples = []
    for record in records:
        seen = [frames_of(record, part, source) for part in _shown(record)]
        pictures = source.reader.read([frame for frames in seen for frame in frames])
        prompt = source.collator.write_messages(
            record.id,
            messages=frame_messages(record),
            groups=tuple(map(len, seen)),
            pictures=pictures,
        )
        samples.append((source.collator.encode(prompt), pictures))
    batch = source.collator.collate(samples)
    if source.loss == "answers":
        return batch
    image = source.collator.family.image_token_id
    learned = batch.attention_mask & (batch.input_ids != image)
    ignored = torch.full_like(batch.labels, IGNORE)
    return replace(batch, labels=torch.where(learned, batch.input_ids, ignored))


def frames_of(record: Record, part: Part, source: FrameSource) -> NDArray[np.uint8]:
    """Return what one part of a record shows, uint8 (T, 3, H, W)."""
    if part.kind == "pages":
        return source.drawer.typeset(part.value, id=record.id).frames()
    spec = replace(source.sampling, start_s=part.start_s, end_s=part.end_s)
    return read_clip(source.media / part.value, spec, sound="skip").frames


def _shown(record: Record) -> list[Part]:
    """Return the parts of a record that are seen, in order.

    Raises:
        PromptError: there are none.
    """
    parts = [part for message in record.messages for part in message.parts]
    if not (shown := [part for part in parts if part.kind in ("pages", "video", "image")]):
        raise PromptError(f"record {record.id} shows neither pages nor a video nor a picture")
    return shown


def describe_pages(drawer: PageDrawer) -> Callable[[Record], list[Shown]]:
    """Return what `data.sequence_length.within_budget` asks for, for records with pages.

    The pages are typeset and counted, not drawn.

    Raises (the returned function):
        PromptError: the record shows something else, whose pictures cannot be counted unseen.
        TextError: a text that has no pages.
    """

    def describe(record: Record) -> list[Shown]:
        parts = _shown(record)
        if other := [part.kind for part in parts if part.kind != "pages"]:
            raise PromptError(
                f"record {record.id} shows a {other[0]}: how many pictures it gives is known only "
                f"once it was read"
            )
        documents = [drawer.typeset(part.value, id=record.id) for part in parts]
        return [
            Shown(
                count=len(document.pages),
                height_px=document.settings.height_px,
                width_px=document.settings.width_px,
            )
            for document in documents
        ]

    return describe
