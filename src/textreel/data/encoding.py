"""From prompts to token ids, with every answer's tokens marked.

Target tokens are those whose characters overlap a target's span, found through the tokenizer's
offsets; each target ends with the prompt's stop, or with the tokenizer's end-of-text token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from textreel.data.prompt import MEDIA, Prompt, Segment

Tokens = tuple[list[int], list[bool]]
"""Token ids, and which of them are targets."""


class Tokenizer(Protocol):
    """What is used of a fast Hugging Face tokenizer."""

    is_fast: bool
    name_or_path: str
    bos_token_id: int | None
    eos_token_id: int | None
    pad_token_id: int | None

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, tokenize: Literal[False]
    ) -> str:
        """Write a conversation as the model's own template does."""
        ...

    def __call__(
        self, text: list[str], *, add_special_tokens: bool, return_offsets_mapping: bool
    ) -> Mapping[str, Any]:
        """Return `input_ids` and `offset_mapping`, a list for each text."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncodedPrompt:
    """A prompt as token ids.

    Attributes:
        id: name of the sample.
        token_ids: int32 (n,), without places for the video.
        is_target: bool (n,).
        video_at: how many of the ids stand before the video; None: no video.
        answer: index of the right option, where there is one.
        dropped: pieces of context that were left out to make it fit.
        sound_at: how many of the ids stand before the sound; None: no sound.
    """

    id: str
    token_ids: NDArray[np.int32]
    is_target: NDArray[np.bool_]
    video_at: int | None
    answer: int | None = None
    dropped: int = 0
    sound_at: int | None = None

    def __repr__(self) -> str:
        return (
            f"EncodedPrompt({self.id!r}, {len(self.token_ids)} ids, "
            f"{int(self.is_target.sum())} targets, video_at={self.video_at})"
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncodedChoice:
    """A choice as token ids: what all options share, and what each adds.

    Attributes:
        prompt: everything before the options, without targets.
        options: the token ids of every option, its end included.
    """

    prompt: EncodedPrompt
    options: tuple[tuple[int, ...], ...]


def encode_prompts(prompts: Sequence[Prompt], *, tokenizer: Tokenizer) -> list[EncodedPrompt]:
    """Tokenize prompts with all their answers, in one call of the tokenizer.

    Where the last answer is unknown, something (its first option, or a letter) stands in its place
    while tokenizing, so that the tokens before it are those of training: a space before an answer
    usually belongs to the answer's first token.

    Args:
        prompts: in any mix of tasks.
        tokenizer: fast, with an end-of-text token unless the prompts have their own stop.
    """
    unknown = [not prompt.pieces[-1].text for prompt in prompts]
    filled = [
        prompt.with_answer((*prompt.options, "a")[0]) if is_unknown else prompt
        for prompt, is_unknown in zip(prompts, unknown, strict=True)
    ]
    segments = [[_stopped(s, prompt.stop) for s in prompt.segments()] for prompt in filled]
    texts = list({segment.text: None for row in segments for segment in row})
    found = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    tokens = zip(found["input_ids"], found["offset_mapping"], strict=True)
    by_text = dict(zip(texts, tokens, strict=True))
    end_id = tokenizer.eos_token_id
    return [
        _join(
            prompt,
            [
                _mark(part, *by_text[part.text], end_id if prompt.stop is None else None)
                for part in row
            ],
            begin=tokenizer.bos_token_id if prompt.bos else None,
            cut=cut,
        )
        for prompt, row, cut in zip(prompts, segments, unknown, strict=True)
    ]


def _stopped(segment: Segment, stop: str | None) -> Segment:
    """Write the prompt's stop behind every target that is not empty."""
    if not stop:
        return segment
    text, targets, shift = segment.text, [], 0
    for start, end in segment.targets:
        start, end = start + shift, end + shift
        if end > start:
            text = text[:end] + stop + text[end:]
            end, shift = end + len(stop), shift + len(stop)
        targets.append((start, end))
    return replace(segment, text=text, targets=tuple(targets))


def _mark(
    segment: Segment, ids: list[int], offsets: list[tuple[int, int]], end_id: int | None
) -> Tokens:
    """Return a segment's ids and targets, `end_id`, if any, behind every target."""
    spans = [span for span in segment.targets if span[1] > span[0]]
    if not spans:
        return ids, [False] * len(ids)
    out: list[tuple[int, bool]] = []
    end = [] if end_id is None else [(end_id, True)]
    for token, (first, last) in zip(ids, offsets, strict=True):
        while spans and first >= spans[0][1]:
            spans.pop(0)
            out += end
        out.append((token, bool(spans) and last > spans[0][0] and last > first))
    out += end * len(spans)
    return [token for token, _ in out], [target for _, target in out]


def _join(
    prompt: Prompt, parts: Sequence[Tokens], *, begin: int | None, cut: bool
) -> EncodedPrompt:
    """Put a prompt's parts together; `cut`: without its last target."""
    ids, targets = ([], []) if begin is None else ([begin], [False])
    places: dict[str, int] = {}
    media = [piece.kind for piece in prompt.pieces if piece in MEDIA]
    for index, (more_ids, more_targets) in enumerate(parts):
        if index:
            places[media[index - 1]] = len(ids)
        ids += more_ids
        targets += more_targets
    end = _last_target(targets) if cut else len(ids)
    return EncodedPrompt(
        id=prompt.id,
        token_ids=np.asarray(ids[:end], dtype=np.int32),
        is_target=np.asarray(targets[:end], dtype=bool),
        video_at=places.get("video"),
        answer=prompt.answer,
        sound_at=places.get("sound"),
    )


def _last_target(is_target: Sequence[bool] | NDArray[np.bool_]) -> int:
    """Return where the last run of targets begins."""
    return int(np.flatnonzero(~np.asarray(is_target, dtype=bool))[-1]) + 1


def split_choice(records: Sequence[EncodedPrompt], *, dropped: int) -> EncodedChoice:
    """Part the records of one prompt's options into what they share and what each adds.

    Args:
        records: the same prompt with each option as its last answer.
        dropped: pieces of context that were left out of it.
    """
    starts = [_last_target(record.is_target) for record in records]
    heads = [record.token_ids[:start] for record, start in zip(records, starts, strict=True)]
    shared = min(starts)
    while any(not np.array_equal(head[:shared], heads[0][:shared]) for head in heads):
        shared -= 1
    first = records[0]
    head = EncodedPrompt(
        id=first.id,
        token_ids=first.token_ids[:shared],
        is_target=np.zeros(shared, dtype=bool),
        video_at=first.video_at,
        answer=first.answer,
        dropped=dropped,
        sound_at=first.sound_at,
    )
    return EncodedChoice(
        prompt=head,
        options=tuple(tuple(int(i) for i in record.token_ids[shared:]) for record in records),
    )
