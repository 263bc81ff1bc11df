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
from textreel.data.media_names import named_file
from textreel.data.prompt import PromptError
from textreel.data.record import Part, Record
from textreel.data.sequence_length import Shown, frame_messages
from textreel.media.decode import read_clip
from textreel.media.distinct import surely_distinct
from textreel.media.probe import probe
from textreel.media.sampling import SamplingSpec
from textreel.models.batch import IGNORE
from textreel.models.image_mllm.batch import FrameBatch
from textreel.models.image_mllm.pictures import PictureReader
from textreel.synth.pages.drawer import PageDrawer
from textreel.train.buckets import BucketedBatches
from textreel.train.errors import TrainConfigError

Loss = Literal["answers", "all text"]
FIRST = SamplingSpec(num_frames=1, policy="video_llama_floor")
"""What is shown of a picture: it may be one that moves, and is no video all the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameSource:
    """What makes batches of records.

    Attributes:
        drawer: draws pages.
        sampling: which frames of a video; T2Vid takes 24.
        media: folder that relative paths of videos and pictures start from; a video's ending may be
            left out.
        draw: draws what a part names (videos and pictures that are no files), uint8 (T, 3, H, W);
            None: they are files.
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
    draw: Callable[[Part], NDArray[np.uint8]] | None = None

    def __post_init__(self) -> None:
        if self.loss not in get_args(Loss):
            raise TrainConfigError(f"loss {self.loss!r} is none of {', '.join(get_args(Loss))}")


class FrameRecords:
    """Records with pages or videos, collated in batches of similar length: a `TrainingData`.

    Args:
        records: each shows pages, videos, both or nothing; at least one.
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
        PromptError: a record that has no form in the model's prompts.
    """
    samples = []
    for record in records:
        seen = [frames_of(record, part, source) for part in _shown(record)]
        pictures = source.reader.read([f for frames in seen for f in frames]) if seen else None
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
    """Return what a part of a record shows, uint8 (T, 3, H, W); T of a picture is 1."""
    if part.kind == "pages":
        return source.drawer.typeset(part.value, id=record.id).frames()
    if source.draw is not None:
        return source.draw(part)
    spec = FIRST
    if part.kind == "video":
        spec = replace(source.sampling, start_s=part.start_s, end_s=part.end_s)
    return read_clip(named_file(source.media, part.value), spec, sound="skip").frames


def _shown(record: Record) -> list[Part]:
    """Return the parts of a record that are seen, in order; a text alone shows nothing."""
    parts = [part for message in record.messages for part in message.parts]
    return [part for part in parts if part.kind in ("pages", "video", "image")]


def describe_shown(source: FrameSource) -> Callable[[Record], list[Shown]]:
    """Return what `data.sequence_length.within_budget` asks for, for records of any kind.

    Pages are typeset and counted, not drawn. Of a video a frame is decoded, for its size, and it is
    counted with all the frames that the sampling asks for, if its packets say that these are there:
    a file that is cut off, or shows some of its frames for long, is decoded instead. Only where
    packets inside a file are damaged, the record may be shorter than measured.

    Raises (the returned function):
        PromptError: a file without a picture.
        TextError: a text that has no pages.
        MediaError: a video that cannot be read.
    """

    def describe(record: Record) -> list[Shown]:
        return [_describe(record, part, source) for part in _shown(record)]

    return describe


def _describe(record: Record, part: Part, source: FrameSource) -> Shown:
    if part.kind == "pages":
        document = source.drawer.typeset(part.value, id=record.id)
        settings = document.settings
        return Shown(
            count=len(document.pages), height_px=settings.height_px, width_px=settings.width_px
        )
    if source.draw is not None:
        count, _, height, width = source.draw(part).shape
        return Shown(count=count, height_px=height, width_px=width)
    path = named_file(source.media, part.value)
    found = probe(path)
    if found.height is None or found.width is None:
        raise PromptError(f"record {record.id}: {part.value} has sound but no picture")
    if part.kind == "image":
        return Shown(count=1, height_px=found.height, width_px=found.width)
    spec = replace(source.sampling, start_s=part.start_s, end_s=part.end_s)
    times = spec.times(found.duration_s)
    count = len(times)
    if count > 1 and not surely_distinct(path, times):
        count = len(frames_of(record, part, source))
    return Shown(count=count, height_px=found.height, width_px=found.width)
