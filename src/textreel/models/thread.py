"""`Thread`: one prompt that changes and grows, of which only what is new is read.

    prompt 1   system, video, question 1              -> answer 1
    prompt 2   system, video, question 1, answer 1, question 2
               [ kept: keys and values ............ ][ read ]

Whatever a prompt has in common with the one before it stays as keys and values; the rest is
dropped and read anew. So an answer never depends on what was asked before in another prompt, only
on the prompt itself, and a second question about a video costs its own tokens.

Products of other shapes have other last bits. So a prompt is always read in two parts, up to the
end of its video and behind it, and a thread that does not grow keeps the first part only: its
answers are the same to the last bit whatever was asked before.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor
from transformers import DynamicCache

from textreel.models.behind import Behind, Head, More, shortened
from textreel.models.generate import Sampling, choose
from textreel.models.scoring import Options, OptionScores


class Row(Protocol):
    """One prompt, ready to be read from any place on."""

    @property
    def key(self) -> Sequence[int]:
        """What stands at every position: equal keys mean equal keys and values.

        Positions of a video have the same number in every prompt of a thread.
        """

    @property
    def video_end(self) -> int:
        """The position behind its video, 0 without one; nothing begins inside a video."""

    @property
    def more(self) -> More:
        """Reads tokens behind the prompt."""

    @property
    def head(self) -> Head:
        """Makes logits."""

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end an answer."""

    def read(self, start: int, end: int, cache: DynamicCache) -> Tensor:
        """Read positions [start, end) behind what `cache` holds; the last hidden state, (1, D)."""


class Thread:
    """The prompts of one conversation about one video.

    Args:
        grows: whether prompts grow by what was said before; then everything in common is kept.
    """

    def __init__(self, *, grows: bool = False) -> None:
        self._grows = grows
        self._cache = DynamicCache()
        self._read: list[int] = []
        self.reused = 0
        """Positions of the latest prompt that did not have to be read again."""

    def stream(self, row: Row, *, max_new_tokens: int, sampling: Sampling) -> Iterator[int]:
        """Yield the tokens of an answer as they are chosen, the stop left out.

        Args:
            row: the prompt; it fits, with the new tokens, into the model.
            max_new_tokens: at least 1.
            sampling: how tokens are chosen.
        """
        stops = row.stop_ids if sampling.stop_ids is None else frozenset(sampling.stop_ids)
        behind = self._enter(row)
        for step in range(max_new_tokens):
            with torch.no_grad():
                token = choose(behind.head(behind.last), sampling)
                if int(token) in stops:
                    return
                yield int(token)
                if step + 1 == max_new_tokens:
                    return
                behind = behind.step(token)
            self._read.append(int(token))

    def score(self, row: Row, options: Options) -> OptionScores:
        """Say how likely each option is where the prompt ends."""
        return self._enter(row).score([options])[0]

    @torch.no_grad()
    def _enter(self, row: Row) -> Behind:
        shared = _shared(self._read, row.key)
        shared = min(shared, len(row.key) - 1)  # the last position is read for its hidden state
        if shared < row.video_end:
            shared = 0
        elif not self._grows:
            shared = row.video_end
        self._cache, self.reused = shortened(self._cache, shared), shared
        self._read = self._read[:shared]
        if shared < row.video_end:
            last = row.read(0, row.video_end, self._cache)
            shared = row.video_end
        if shared < len(row.key):  # else the prompt ends with its video
            last = row.read(shared, len(row.key), self._cache)
        self._read = list(row.key)
        return Behind(last=last, cache=self._cache, mask=None, more=row.more, head=row.head)


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many numbers two rows have in common at their start."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
