"""From conversations and pictures to a `FrameBatch`: what `Collator` is for image-LLMs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from textreel.data.chat import turn_messages
from textreel.data.encoding import EncodedChoice, EncodedPrompt, encode_prompts, split_choice
from textreel.data.frame_prompt import FrameMessage, write_frames_prompt
from textreel.data.prompt import (
    Prompt,
    PromptError,
    PromptTemplate,
    PromptTooLongError,
    Turn,
    opening,
    option_targets,
)
from textreel.data.templates import IMAGE_CHAT
from textreel.models.batch import IGNORE
from textreel.models.image_mllm.batch import FrameBatch
from textreel.models.image_mllm.pictures import Family, Pictures

Sample = tuple[EncodedPrompt, Pictures | None]


class FrameCollator:
    """Turns conversations with pictures into prompts, records and batches.

    Args:
        tokenizer: fast, with the model's chat template.
        family: the model's.
        template: the words within messages.
        max_tokens: longest row, image tokens included.
    """

    def __init__(
        self,
        tokenizer: Any,  # noqa: ANN401 - an `encoding.Tokenizer` with a chat template for parts
        family: Family,
        *,
        template: PromptTemplate = IMAGE_CHAT,
        max_tokens: int = 1 << 30,
    ) -> None:
        self.tokenizer = tokenizer
        self.family = family
        self.template = template
        self.max_tokens = max_tokens
        self.pad_id = int(tokenizer.pad_token_id or 0)

    def write(self, id: str, *, turns: Sequence[Turn], pictures: Pictures | None) -> Prompt:
        """Write questions about one video, its frames before the first one.

        Args:
            id: name of the sample.
            turns: at least one; only the last answer may be unknown.
            pictures: the frames; None: the questions alone.

        Raises:
            PromptError: see `frame_prompt.write_frames_prompt`.
        """
        if not turns:
            raise PromptError(f"{id}: a prompt needs at least one question")
        begin = opening(turns[0], self.template, video=pictures is not None, context=())
        messages = [
            FrameMessage(role="assistant" if index % 2 else "user", pieces=pieces)
            for index, pieces in enumerate(turn_messages(turns, self.template, begin))
        ]
        groups = () if pictures is None else (len(pictures),)
        prompt = self.write_messages(id, messages=messages, groups=groups, pictures=pictures)
        options = option_targets(turns[-1], self.template)
        return Prompt(
            id=id,
            pieces=prompt.pieces,
            options=options,
            answer=turns[-1].answer,
            stop=prompt.stop,
            bos=prompt.bos,
        )

    def write_messages(
        self,
        id: str,
        *,
        messages: Sequence[FrameMessage],
        groups: Sequence[int],
        pictures: Pictures | None,
    ) -> Prompt:
        """Write any conversation with pictures; see `frame_prompt.write_frames_prompt`."""
        return write_frames_prompt(
            id,
            messages=messages,
            groups=groups,
            words=() if pictures is None else pictures.words,
            placeholder=self.family.placeholder,
            tokenizer=self.tokenizer,
        )

    def stop_ids(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the tokens that end an answer: the template's mark, or else end of text."""
        if prompt.stop:
            ids = self.tokenizer(prompt.stop, add_special_tokens=False)["input_ids"]
            if len(ids) == 1:
                return (int(ids[0]),)
        end = self.tokenizer.eos_token_id
        return () if end is None else (int(end),)

    def encode(self, prompt: Prompt) -> EncodedPrompt:
        """Tokenize a prompt with all its answers; an unknown one has no tokens and no end.

        Raises:
            PromptTooLongError: longer than the model reads.
        """
        [record] = encode_prompts([prompt], tokenizer=self.tokenizer)
        return self._fitting(record)

    def encode_choice(self, prompt: Prompt) -> EncodedChoice:
        """Tokenize a choice for scoring: every option in the place of the last answer.

        Raises:
            PromptError: the prompt has no options.
            PromptTooLongError: longer than the model reads.
        """
        if not prompt.options:
            raise PromptError(f"{prompt.id} has no options to score")
        filled = [prompt.with_answer(option) for option in prompt.options]
        records = encode_prompts(filled, tokenizer=self.tokenizer)
        return split_choice([self._fitting(record) for record in records], dropped=0)

    def collate(self, samples: Sequence[Sample]) -> FrameBatch:
        """Pad records into one batch and put their pixels together.

        Args:
            samples: at least one; pictures are None where a prompt has none.

        Raises:
            PromptError: no sample, or image tokens that are not those of the pictures.
            PromptTooLongError: a row longer than the model reads.
        """
        if not samples:
            raise PromptError("a batch needs at least one sample")
        for record, pictures in samples:
            self._check(self._fitting(record), pictures)
        longest = max(len(record.token_ids) for record, _ in samples)
        shape = (len(samples), longest)
        ids = np.full(shape, self.pad_id, dtype=np.int64)
        labels = np.full(shape, IGNORE, dtype=np.int64)
        mask = np.zeros(shape, dtype=bool)
        for row, (record, _) in enumerate(samples):
            n = len(record.token_ids)
            ids[row, :n], mask[row, :n] = record.token_ids, True
            labels[row, :n] = np.where(record.is_target, record.token_ids, IGNORE)
        pixels = [pictures.pixels for _, pictures in samples if pictures is not None]
        return FrameBatch(
            input_ids=torch.from_numpy(ids),
            attention_mask=torch.from_numpy(mask),
            labels=torch.from_numpy(labels),
            ids=tuple(record.id for record, _ in samples),
            pixels=self.family.merge(pixels) if pixels else {},
        )

    def _check(self, record: EncodedPrompt, pictures: Pictures | None) -> None:
        found = int((record.token_ids == self.family.image_token_id).sum())
        wanted = 0 if pictures is None else pictures.num_tokens
        if found != wanted:
            raise PromptError(
                f"{record.id}: {found} image tokens for pictures of {wanted}: a text holds the "
                f"model's own image token, or these are other pictures",
                hint="ask in other words, and collate a prompt with the pictures it was "
                "written for",
            )

    def _fitting(self, record: EncodedPrompt) -> EncodedPrompt:
        if (length := len(record.token_ids)) > self.max_tokens:
            images = int((record.token_ids == self.family.image_token_id).sum())
            raise PromptTooLongError(
                f"{record.id}: {length:,} tokens, {images:,} of them for pictures, but the model "
                f"reads {self.max_tokens:,}",
                hint="show fewer frames, or ask a shorter question",
            )
        return record
