"""From prompts and features to a `Batch`.

Tokenizing and padding are apart, because training visits a sample many times: `Collator.encode`
turns a prompt into a small record once, `Collator.collate` pads records and features into tensors.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from textreel.data.chat import write_chat_prompt
from textreel.data.encoding import (
    EncodedChoice,
    EncodedPrompt,
    Tokenizer,
    encode_prompts,
    split_choice,
)
from textreel.data.prompt import (
    Prompt,
    PromptError,
    PromptTemplate,
    PromptTooLongError,
    Turn,
    write_prompt,
)
from textreel.models.batch import IGNORE, Batch, Features

Sample = tuple[EncodedPrompt, Features | None]


class Collator:
    """Turns prompts into records, and records with features into batches.

    Args:
        tokenizer: a fast Hugging Face tokenizer of the decoder.
        template: the words around a video and its questions; see `write`.
        num_soft_tokens: how many places a video of so many frames takes; the model's own.
        max_tokens: longest row, video included.
        drop_context: whether context may be left out of a prompt that is too long.
        encoder: (name, revision) that all features must be of; None: any, but one per batch.
        multiple: rows are padded to a multiple of this many positions. Matrix libraries keep a
            kernel of megabytes for every shape they have met: few lengths, little memory.

    Raises:
        PromptError: a slow tokenizer (it has no offsets), or one that cannot end an answer.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: PromptTemplate,
        num_soft_tokens: Callable[[int], int],
        *,
        max_tokens: int = 2048,
        drop_context: bool = False,
        encoder: tuple[str, str] | None = None,
        multiple: int = 1,
    ) -> None:
        name = getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
        if not getattr(tokenizer, "is_fast", False):
            raise PromptError(
                f"{name} is a slow tokenizer, which does not say where its tokens stand",
                hint="use the fast one of the same model",
            )
        if template.stop is None and tokenizer.eos_token_id is None:
            raise PromptError(
                f"{name} has no end-of-text token to end an answer with",
                hint="set PromptTemplate.stop",
            )
        self.tokenizer = tokenizer
        self.template = template
        self.num_soft_tokens = num_soft_tokens
        self.max_tokens = max_tokens
        self.drop_context = drop_context
        self.encoder = encoder
        self.multiple = multiple
        self.name = name
        self.pad_id = int(tokenizer.pad_token_id or 0)
        tail = tokenizer(
            [template.frame_tail], add_special_tokens=False, return_offsets_mapping=True
        )
        self.frame_tail = np.asarray(tail["input_ids"][0], dtype=np.int32)

    def write(
        self, id: str, *, turns: Sequence[Turn], video: bool = True, context: Sequence[str] = ()
    ) -> Prompt:
        """Write questions about one video with this collator's template.

        Arguments and errors as `prompt.write_prompt`, or `chat.write_chat_prompt` where the
        template asks for the tokenizer's own chat template.
        """
        if not self.template.chat:
            return write_prompt(
                id, turns=turns, template=self.template, video=video, context=context
            )
        return write_chat_prompt(
            id,
            turns=turns,
            template=self.template,
            tokenizer=self.tokenizer,
            video=video,
            context=context,
        )

    def stop_id(self, prompt: Prompt) -> int:
        """Return the token that ends an answer: what `generate` shall stop at."""
        if not prompt.stop:
            assert self.tokenizer.eos_token_id is not None
            return self.tokenizer.eos_token_id
        return int(self.encode_many([prompt.with_answer("a")])[0].token_ids[-1])

    def encode(self, prompt: Prompt, *, num_frames: int = 0) -> EncodedPrompt:
        """Tokenize one prompt with all its answers; see `encode_many`."""
        return self.encode_many([prompt], num_frames=num_frames)[0]

    def encode_many(self, prompts: Sequence[Prompt], *, num_frames: int = 0) -> list[EncodedPrompt]:
        """Tokenize prompts with all their answers.

        An unknown last answer has no tokens and no end: such a record is for `generate`.

        Args:
            prompts: in any mix of tasks.
            num_frames: frames of each one's video, if known, so that a prompt that is too long is
                found (or its context dropped) here; `collate` checks in any case.

        Raises:
            PromptTooLongError: a prompt that is too long with nothing left to drop.
        """
        encoded = self._tokenize(prompts)
        return [
            self._fit(prompt, record, num_frames)
            for prompt, record in zip(prompts, encoded, strict=True)
        ]

    def encode_choice(self, prompt: Prompt, *, num_frames: int = 0) -> EncodedChoice:
        """Tokenize a choice for scoring: every option in the place of the last answer.

        Options are tokenized where they stand, so that they are the tokens of training.

        Raises:
            PromptError: the prompt has no options.
            PromptTooLongError: see `encode_many`.
        """
        return self.encode_choices([prompt], num_frames=num_frames)[0]

    def encode_choices(
        self, prompts: Sequence[Prompt], *, num_frames: int = 0
    ) -> list[EncodedChoice]:
        """Tokenize choices for scoring; see `encode_choice`."""
        if missing := [prompt.id for prompt in prompts if not prompt.options]:
            raise PromptError(
                f"{len(missing)} of {len(prompts)} prompts have no options to score "
                f"(first: {missing[0]})"
            )
        kept = [self._without_surplus(prompt, num_frames) for prompt in prompts]
        filled = [p.with_answer(option) for p, _ in kept for option in p.options]
        records = iter(self.encode_many(filled, num_frames=num_frames))
        return [
            split_choice([next(records) for _ in p.options], dropped=dropped) for p, dropped in kept
        ]

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Pad records and their features into one batch.

        Args:
            samples: at least one; features are None where a prompt has no video.

        Raises:
            PromptError: a video without features or features without a place, features of another
                encoder, or none at all.
            PromptTooLongError: a row longer than `max_tokens`.
        """
        if not samples:
            raise PromptError("a batch needs at least one sample")
        self._check(samples)
        rows = [_row(record, self._places(_frames(features))) for record, features in samples]
        longest = max(len(ids) for ids, _, _ in rows)
        if longest > self.max_tokens:
            worst = max(range(len(rows)), key=lambda i: len(rows[i][0]))
            record, features = samples[worst]
            raise self._too_long(record.id, longest, len(self._places(_frames(features))[0]))
        rounded = -(-longest // self.multiple) * self.multiple
        shape = (len(rows), min(rounded, self.max_tokens))
        ids = np.full(shape, self.pad_id, dtype=np.int64)
        labels = np.full(shape, IGNORE, dtype=np.int64)
        slots, mask = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        for index, (row, is_target, is_slot) in enumerate(rows):
            n = len(row)
            ids[index, :n], slots[index, :n], mask[index, :n] = row, is_slot, True
            labels[index, :n] = np.where(is_target, row, IGNORE)
        values, frame_mask, times_s = _pad_features([features for _, features in samples])
        return Batch(
            input_ids=torch.from_numpy(ids),
            attention_mask=torch.from_numpy(mask),
            video_slots=torch.from_numpy(slots),
            labels=torch.from_numpy(labels),
            ids=tuple(record.id for record, _ in samples),
            features=values,
            feature_mask=frame_mask,
            times_s=times_s,
        )

    def _places(self, num_frames: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return ids of the places that a video takes, and which are for soft tokens.

        The template's `frame_tail` stands after the soft tokens of every frame.
        """
        count = self.num_soft_tokens(num_frames) if num_frames else 0
        tail = self.frame_tail
        if not count or not len(tail):
            return np.full(count, self.pad_id, dtype=np.int32), np.ones(count, dtype=bool)
        blank = np.full(count // num_frames, self.pad_id, dtype=np.int32)
        ids = np.concatenate([blank, tail])
        is_slot = np.arange(len(ids)) < len(blank)
        return np.tile(ids, num_frames), np.tile(is_slot, num_frames)

    def _check(self, samples: Sequence[Sample]) -> None:
        encoders = {} if self.encoder is None else {self.encoder: "the model"}
        for record, features in samples:
            if (record.video_at is None) != (features is None):
                what = "features but no place" if record.video_at is None else "no features"
                raise PromptError(f"{record.id}: a prompt has {what} for its video")
            if features is None:
                continue
            encoders.setdefault((features.encoder, features.revision), record.id)
            if len(encoders) > 1:
                (first, by), (other, _) = encoders.items()
                raise PromptError(
                    f"{record.id}: features are of encoder {' '.join(other)!r}, but {by} uses "
                    f"{' '.join(first)!r}",
                    hint="encode the videos with the model's own encoder",
                )

    def _tokenize(self, prompts: Sequence[Prompt]) -> list[EncodedPrompt]:
        return encode_prompts(prompts, tokenizer=self.tokenizer)

    def _fit(self, prompt: Prompt, record: EncodedPrompt, num_frames: int) -> EncodedPrompt:
        """Return the record, or one of the same prompt with less context."""
        slots = len(self._places(num_frames)[0]) if record.video_at is not None else 0
        droppable = sum(piece.droppable for piece in prompt.pieces) if self.drop_context else 0
        dropped = 0
        while len(record.token_ids) + slots > self.max_tokens:
            if dropped == droppable:
                raise self._too_long(prompt.id, len(record.token_ids) + slots, slots)
            dropped += 1
            record = self._tokenize([prompt.without_context(dropped)])[0]
        return record if not dropped else replace(record, dropped=dropped)

    def _without_surplus(self, prompt: Prompt, num_frames: int) -> tuple[Prompt, int]:
        """Drop as much context as the longest option needs, so that all options share a prompt."""
        if not self.drop_context:
            return prompt, 0
        records = self.encode_many(
            [prompt.with_answer(option) for option in prompt.options], num_frames=num_frames
        )
        dropped = max(record.dropped for record in records)
        return prompt.without_context(dropped), dropped

    def _too_long(self, id: str, length: int, slots: int) -> PromptTooLongError:
        return PromptTooLongError(
            f"{id}: {length} tokens ({slots} of them for the video), but a row takes "
            f"{self.max_tokens}",
            hint="ask a shorter question, use fewer frames, or allow context to be dropped",
        )


def _frames(features: Features | None) -> int:
    return 0 if features is None else len(features.values)


def _row(
    record: EncodedPrompt, places: tuple[NDArray[np.int32], NDArray[np.bool_]]
) -> tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return a record's ids, targets and slots with the video's places in."""
    at = record.video_at
    ids, targets = record.token_ids, record.is_target
    is_slot = np.zeros(len(ids), dtype=bool)
    if at is None:
        return ids, targets, is_slot
    video_ids, video_slots = places
    none = np.zeros(len(video_ids), dtype=bool)
    return (
        np.concatenate([ids[:at], video_ids, ids[at:]]),
        np.concatenate([targets[:at], none, targets[at:]]),
        np.concatenate([is_slot[:at], video_slots, is_slot[at:]]),
    )


def _pad_features(
    features: Sequence[Features | None],
) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
    """Return values (B, T, P, F), mask (B, T) and times (B, T), or None three times."""
    present = [f for f in features if f is not None]
    if not present:
        return None, None, None
    longest = max(len(f.values) for f in present)
    shape = (len(features), longest, *present[0].values.shape[1:])
    values, times_s = torch.zeros(shape), torch.zeros(shape[:2])
    mask = torch.zeros(shape[:2], dtype=torch.bool)
    for row, f in enumerate(features):
        if f is None:
            continue
        n = len(f.values)
        values[row, :n], times_s[row, :n], mask[row, :n] = f.values.float(), f.times_s.float(), True
    return values, mask, times_s
