"""How long a record is for an image-LLM, to the token, without drawing or decoding anything.

What is known beforehand is how many pictures stand at each place and how large they are. The
model's own image processor is shown blank pictures of that size, once, and says which words stand
for one; then the prompt is written and tokenized as it will be for training: separators, marks and
chat template are all in it. So a limit on tokens is exact, where published filters counted 96 of
some 99 tokens a page (xjtupanda/T2Vid, `minicpm-filter.py`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from textreel.data.frame_collate import FrameCollator
from textreel.data.frame_prompt import FrameMessage
from textreel.data.prompt import VIDEO, Piece, PromptError
from textreel.data.quarantine import Quarantine
from textreel.data.record import Message, Record
from textreel.models.image_mllm.pictures import PictureReader, Pictures

_SHOWN = ("pages", "image", "video")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """The pictures at one place of a record, as far as they are known beforehand.

    Attributes:
        count: how many, at least 1.
        height_px: of each.
        width_px: of each.
    """

    count: int
    height_px: int
    width_px: int

    def __post_init__(self) -> None:
        if min(self.count, self.height_px, self.width_px) < 1:
            raise PromptError(
                f"{self.count} pictures of {self.width_px} x {self.height_px} px: nothing is shown"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Length:
    """What a record takes of a model's room.

    Attributes:
        tokens: all of them, as they are put into the model.
        image_tokens: those of pictures.
        targets: those that the loss is taken of.
    """

    tokens: int
    image_tokens: int
    targets: int


class SequenceLengths:
    """Lengths of records for one model.

    Args:
        reader: the model's picture reader, with the settings that will be trained with.
        collator: the model's collator.
    """

    def __init__(self, reader: PictureReader, collator: FrameCollator) -> None:
        self._reader, self._collator = reader, collator
        self._words: dict[tuple[int, int, bool], tuple[str, int]] = {}

    def of(self, record: Record, shown: Sequence[Shown]) -> Length:
        """Return the length of a record.

        Args:
            record: a conversation that ends with an answer.
            shown: for each part of it that is pages, a picture or a video, in order.

        Raises:
            PromptError: parts and `shown` do not match, or a text cannot stand in the prompt.
            PromptTooLongError: longer than the collator allows.
        """
        messages = frame_messages(record)
        places = sum(piece == VIDEO for message in messages for piece in message.pieces)
        if places != len(shown):
            raise PromptError(
                f"record {record.id} shows something at {places} places, {len(shown)} are described"
            )
        prompt = self._collator.write_messages(
            record.id,
            messages=messages,
            groups=tuple(each.count for each in shown),
            pictures=self._pictures(shown),
        )
        encoded = self._collator.encode(prompt)
        image = self._collator.family.image_token_id
        return Length(
            tokens=len(encoded.token_ids),
            image_tokens=int((encoded.token_ids == image).sum()),
            targets=int(encoded.is_target.sum()),
        )

    def tokens_of_picture(self, *, height_px: int, width_px: int) -> int:
        """Return how many tokens stand for one of several pictures of a size, its marks included.

        This is the `tokens_per_page` of a page's settings.
        """
        words, _ = self._of_one(height_px, width_px, several=True)
        ids = self._collator.tokenizer(words, add_special_tokens=False)["input_ids"]
        return len(ids)

    def _pictures(self, shown: Sequence[Shown]) -> Pictures | None:
        several = sum(each.count for each in shown) > 1
        found = [
            self._of_one(each.height_px, each.width_px, several=several)
            for each in shown
            for _ in range(each.count)
        ]
        if not found:
            return None
        words, counts = zip(*found, strict=True)
        return Pictures(words=words, counts=counts, pixels={})

    def _of_one(self, height_px: int, width_px: int, *, several: bool) -> tuple[str, int]:
        """Return words and image tokens of a picture; some families treat a lone one otherwise."""
        key = (height_px, width_px, several)
        if key not in self._words:
            blank = np.zeros((3, height_px, width_px), dtype=np.uint8)
            read = self._reader.read([blank] * (2 if several else 1))
            self._words[key] = (read.words[0], read.counts[0])
        return self._words[key]


def frame_messages(record: Record) -> list[FrameMessage]:
    """Return a record as what `FrameCollator.write_messages` takes: answers are targets.

    Raises:
        PromptError: a kind of part that image-LLMs do not see, or an answer with pictures.
    """
    return [
        FrameMessage(role=message.role, pieces=tuple(_pieces(record, message)))
        for message in record.messages
    ]


def _pieces(record: Record, message: Message) -> Iterator[Piece]:
    for part in message.parts:
        if part.kind == "text":
            yield Piece(kind="target" if message.role == "assistant" else "text", text=part.value)
        elif part.kind in _SHOWN and message.role != "assistant":
            yield VIDEO
        else:
            raise PromptError(
                f"record {record.id}: an image-LLM cannot take a part of kind {part.kind!r} from "
                f"the {message.role}"
            )


def within_budget(
    records: Iterable[Record],
    lengths: SequenceLengths,
    *,
    describe: Callable[[Record], Sequence[Shown]],
    max_tokens: int,
    quarantine: Quarantine,
) -> Iterator[tuple[Record, Length]]:
    """Yield the records that take at most `max_tokens`, and set the others aside.

    Args:
        records: any.
        lengths: of the model that will read them.
        describe: what each shows.
        max_tokens: the limit, exact: one more is too many.
        quarantine: takes those that are too long, or that have no prompt.
    """
    for record in records:
        try:
            length = lengths.of(record, describe(record))
        except PromptError as error:
            quarantine.add(record.id, source=record.source, code="no prompt", message=str(error))
            continue
        if length.tokens <= max_tokens:
            yield record, length
            continue
        quarantine.add(
            record.id,
            source=record.source,
            code="too long",
            message=f"{length.tokens:,} tokens, {length.image_tokens:,} of them for pictures; "
            f"{max_tokens:,} allowed",
        )
