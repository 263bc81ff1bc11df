"""From conversations and features of two senses to a `SensesBatch`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from textreel.data.encoding import EncodedChoice, EncodedPrompt, encode_prompts, split_choice
from textreel.data.prompt import Prompt, PromptError, PromptTooLongError, Turn
from textreel.data.senses_prompt import (
    SensesTemplate,
    Shown,
    check_template,
    write_senses_prompt,
)
from textreel.models.batch import IGNORE, Features
from textreel.models.senses_batch import SensesBatch, Track

NumTokens = Callable[[str, int], int]
"""From a sense (`image` or `sound`) and a number of time steps to a number of soft tokens."""


@dataclass(frozen=True, slots=True, eq=False)
class SensesSample:
    """A prompt with what it is about.

    Attributes:
        record: the tokenized prompt.
        image: what the picture branch reads, or None.
        sound: what the sound branch reads, or None.
    """

    record: EncodedPrompt
    image: Features | None = None
    sound: Features | None = None


class SensesCollator:
    """Writes prompts, tokenizes them and pads them into batches.

    Args:
        tokenizer: a fast one, of the decoder.
        template: the words around what is seen and heard.
        num_tokens: how many places a sense takes; the model's own.
        max_tokens: longest row, soft tokens included.
        multiple: rows are padded to a multiple of this many positions; see `Collator`.

    Raises:
        PromptError: a slow tokenizer, or one that the template does not fit.
    """

    def __init__(
        self,
        tokenizer: Any,  # noqa: ANN401 - an `encoding.Tokenizer`
        template: SensesTemplate,
        num_tokens: NumTokens,
        *,
        max_tokens: int = 2048,
        multiple: int = 1,
    ) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise PromptError(
                f"{getattr(tokenizer, 'name_or_path', tokenizer)} is a slow tokenizer, which does "
                f"not say where its tokens stand",
                hint="use the fast one of the same model",
            )
        check_template(template, tokenizer)
        self.tokenizer, self.template = tokenizer, template
        self.num_tokens = num_tokens
        self.max_tokens, self.multiple = max_tokens, multiple
        self.pad_id = int(tokenizer.pad_token_id or 0)

    def write(self, id: str, *, turns: Sequence[Turn], shown: Shown) -> Prompt:
        """Write questions about what is seen and heard; see `write_senses_prompt`."""
        return write_senses_prompt(
            id, turns=turns, template=self.template, shown=shown, tokenizer=self.tokenizer
        )

    def encode_many(
        self, prompts: Sequence[Prompt], *, max_target: int | None = None
    ) -> list[EncodedPrompt]:
        """Tokenize prompts with all their answers.

        Args:
            prompts: any.
            max_target: most tokens of a prompt's last target, for captions; a longer one is cut,
                its end (one token) kept. Published: the end is cut off with the rest.
        """
        records = encode_prompts(prompts, tokenizer=self.tokenizer)
        if max_target is None:
            return records
        return [_cut(record, max_target) for record in records]

    def encode_choices(self, prompts: Sequence[Prompt]) -> list[EncodedChoice]:
        """Tokenize choices for scoring: every option in the place of the last answer.

        Raises:
            PromptError: a prompt without options.
        """
        if missing := [prompt.id for prompt in prompts if not prompt.options]:
            raise PromptError(
                f"{len(missing)} of {len(prompts)} prompts have no options to score "
                f"(first: {missing[0]})"
            )
        filled = [p.with_answer(option) for p in prompts for option in p.options]
        records = iter(encode_prompts(filled, tokenizer=self.tokenizer))
        return [split_choice([next(records) for _ in p.options], dropped=0) for p in prompts]

    def length(self, sample: SensesSample) -> int:
        """Return the positions that a sample takes.

        Raises:
            BatchError: more time steps than its branch has positions for.
        """
        return len(sample.record.token_ids) + sum(self._places(sample).values())

    def collate(self, samples: Sequence[SensesSample]) -> SensesBatch:
        """Pad samples into one batch.

        Args:
            samples: at least one, all with pictures or all without; likewise sound.

        Raises:
            PromptError: none, mixed senses, features without a place or a place without features.
            PromptTooLongError: a row longer than `max_tokens`.
        """
        self._check(samples)
        rows = [self._row(sample) for sample in samples]
        longest = max(len(row["ids"]) for row in rows)
        if longest > self.max_tokens:
            worst = max(range(len(rows)), key=lambda i: len(rows[i]["ids"]))
            raise PromptTooLongError(
                f"{samples[worst].record.id}: {longest} tokens with what is seen and heard, but a "
                f"row takes {self.max_tokens}",
                hint="ask a shorter question",
            )
        width = min(-(-longest // self.multiple) * self.multiple, self.max_tokens)
        first = samples[0]
        padded = {
            name: _padded([row[name] for row in rows], width, fill)
            for name, fill in (
                ("ids", self.pad_id),
                ("labels", IGNORE),
                ("mask", False),
                ("image", False),
                ("sound", False),
            )
        }
        return SensesBatch(
            input_ids=padded["ids"],
            labels=padded["labels"],
            attention_mask=padded["mask"],
            ids=tuple(sample.record.id for sample in samples),
            image_slots=padded["image"] if first.image is not None else None,
            sound_slots=padded["sound"] if first.sound is not None else None,
            image=_track([s.image for s in samples if s.image is not None]),
            sound=_track([s.sound for s in samples if s.sound is not None]),
        )

    def _places(self, sample: SensesSample) -> dict[str, int]:
        tracks = {"image": sample.image, "sound": sample.sound}
        return {
            name: 0 if track is None else self.num_tokens(name, len(track.values))
            for name, track in tracks.items()
        }

    def _check(self, samples: Sequence[SensesSample]) -> None:
        if not samples:
            raise PromptError("a batch needs at least one sample")
        kinds = {(s.image is not None, s.sound is not None) for s in samples}
        if len(kinds) > 1:
            raise PromptError(
                f"{samples[0].record.id} and {len(samples) - 1} others do not show the same "
                f"senses: a batch has pictures in all rows or in none, and so with sound"
            )
        for sample in samples:
            for at, track, name in (
                (sample.record.video_at, sample.image, "pictures"),
                (sample.record.sound_at, sample.sound, "sound"),
            ):
                if (at is None) != (track is None):
                    what = "features but no place" if at is None else "a place but no features"
                    raise PromptError(f"{sample.record.id}: a prompt has {what} for its {name}")

    def _row(self, sample: SensesSample) -> Mapping[str, NDArray[Any]]:
        """Return a row's ids, labels, and where what stands, places in."""
        record, count = sample.record, self._places(sample)
        ids, targets = record.token_ids, record.is_target
        senses = np.zeros(len(ids), dtype=np.int8)  # 1 pictures, 2 sound
        places = [(record.video_at, count["image"], 1), (record.sound_at, count["sound"], 2)]
        for at, number, sense in sorted(places, key=lambda p: -1 if p[0] is None else p[0])[::-1]:
            if at is None:
                continue
            blank = np.full(number, self.pad_id, dtype=np.int32)
            ids = np.concatenate([ids[:at], blank, ids[at:]])
            targets = np.concatenate([targets[:at], np.zeros(number, bool), targets[at:]])
            senses = np.concatenate(
                [senses[:at], np.full(number, sense, dtype=np.int8), senses[at:]]
            )
        return {
            "ids": ids.astype(np.int64),
            "labels": np.where(targets, ids, IGNORE).astype(np.int64),
            "mask": np.ones(len(ids), dtype=bool),
            "image": senses == 1,
            "sound": senses == 2,
        }


def _cut(record: EncodedPrompt, most: int) -> EncodedPrompt:
    count = int(record.is_target.sum())
    if count <= most:
        return record
    keep = np.ones(len(record.token_ids), dtype=bool)
    where = np.flatnonzero(record.is_target)
    keep[where[most - 1 : -1]] = False
    return replace(record, token_ids=record.token_ids[keep], is_target=record.is_target[keep])


def _padded(rows: Sequence[NDArray[Any]], width: int, fill: int | bool) -> torch.Tensor:
    out = np.full((len(rows), width), fill, dtype=rows[0].dtype)
    for index, row in enumerate(rows):
        out[index, : len(row)] = row
    return torch.from_numpy(out)


def _track(features: Sequence[Features]) -> Track | None:
    return padded_track(features) if features else None


def padded_track(features: Sequence[Features]) -> Track:
    """Pad the features of several videos to one track."""
    longest = max(len(f.values) for f in features)
    shape = (len(features), longest, *features[0].values.shape[1:])
    values, times_s = torch.zeros(shape), torch.zeros(shape[:2])
    mask = torch.zeros(shape[:2], dtype=torch.bool)
    for row, f in enumerate(features):
        n = len(f.values)
        values[row, :n], times_s[row, :n], mask[row, :n] = f.values.float(), f.times_s.float(), True
    return Track(features=values, mask=mask, times_s=times_s)
