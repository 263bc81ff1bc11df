"""`Behind`: prompts that have been read, and going on behind them with their keys and values.

Prompts end in one column: where they differ in length their cached keys and values were moved to
the right end (`generate.move_right`), and a mask leaves out what is left of them. Tokens behind a
prompt count their positions from the prompt's end.

Shape letters as in `batch.py`; N rows that go on, K tokens that they go on with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from transformers import DynamicCache

from textreel.models.scoring import Options, OptionScores, check_options


class More(Protocol):
    """Reads tokens behind prompts."""

    def __call__(
        self, tokens: Tensor, *, rows: Tensor, offset: int, cache: DynamicCache, mask: Tensor | None
    ) -> Tensor:
        """Return hidden states (N, K, D); the tokens' keys and values join `cache`.

        Args:
            tokens: int64 (N, K).
            rows: int64 (N,), the prompt behind which each row goes on.
            offset: tokens that already stand between the prompts and these.
            cache: keys and values of N rows.
            mask: bool (N, columns in the cache and K), or None: all are real.
        """


class Head(Protocol):
    """Makes logits."""

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return float32 (..., V) for (..., D)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Behind:
    """The ends of B prompts.

    Attributes:
        last: (B, D), hidden states of each prompt's last position.
        cache: keys and values of everything read.
        mask: bool (B, columns), false where a row has nothing; None: all are real.
        more: reads on.
        head: makes logits.
        offset: tokens read behind the prompts.
    """

    last: Tensor
    cache: DynamicCache
    mask: Tensor | None
    more: More
    head: Head
    offset: int = 0

    def step(self, tokens: Tensor) -> "Behind":
        """Read one token per row, int64 (B,); the cache grows."""
        mask = _grown(self.mask, len(tokens), 1)
        rows = torch.arange(len(tokens), device=tokens.device)
        hidden = self.more(
            tokens[:, None], rows=rows, offset=self.offset, cache=self.cache, mask=mask
        )
        return replace(self, last=hidden[:, -1], mask=mask, offset=self.offset + 1)

    @torch.no_grad()
    def score(self, options: Sequence[Options]) -> list[OptionScores]:
        """Say how likely each option is behind its prompt; the cache stays as it is.

        Args:
            options: for each prompt the token ids of its options; at least one, none empty.

        Raises:
            BatchError: as many lists of options as prompts are needed, none of them empty.
        """
        check_options(options, rows=len(self.last))
        rows = torch.tensor(
            [row for row, of_row in enumerate(options) for _ in of_row], device=self.last.device
        )
        every = [option for of_row in options for option in of_row]
        states = self.last[rows][:, None]
        longest = max(map(len, every))
        if longest > 1:
            states = torch.cat([states, self._read_on(every, rows, longest - 1)], dim=1)
        likelihoods = _log_likelihoods(states, every, self.head)
        totals = torch.stack([found.sum() for found in likelihoods])
        numbers = torch.tensor([len(option) for option in every], device=totals.device)
        sizes = [len(of_row) for of_row in options]
        return [
            OptionScores(total=total, mean=total / number, num_tokens=number)
            for total, number in zip(
                torch.split(totals, sizes), torch.split(numbers, sizes), strict=True
            )
        ]

    def _read_on(self, options: Options, rows: Tensor, width: int) -> Tensor:
        tokens = torch.zeros(len(options), width, dtype=torch.long, device=rows.device)
        for row, option in enumerate(options):
            tokens[row, : len(option) - 1] = torch.tensor(option[:-1], device=rows.device)
        mask = None if self.mask is None else _grown(self.mask[rows], len(rows), width)
        cache = selected(self.cache, rows)
        return self.more(tokens, rows=rows, offset=self.offset, cache=cache, mask=mask)


def _grown(mask: Tensor | None, rows: int, columns: int) -> Tensor | None:
    return None if mask is None else torch.cat([mask, mask.new_ones(rows, columns)], dim=1)


def selected(cache: DynamicCache, rows: Tensor) -> DynamicCache:
    """Return a new cache with copies of some rows, in the order and number given."""
    copied = DynamicCache()
    for index, layer in enumerate(cache.layers):
        copied.update(layer.keys[rows], layer.values[rows], index)
    return copied


def shortened(cache: DynamicCache, columns: int) -> DynamicCache:
    """Return a new cache with the first columns only."""
    kept = DynamicCache()
    for index, layer in enumerate(cache.layers if columns else ()):
        kept.update(layer.keys[:, :, :columns], layer.values[:, :, :columns], index)
    return kept


def _log_likelihoods(states: Tensor, options: Options, head: Head) -> list[Tensor]:
    """Return log p of every token of every option, from states (N, K + 1, D)."""
    found = []
    for row, option in enumerate(options):
        wanted = torch.tensor(option, device=states.device)
        logits = head(states[row, : len(option)])
        found.append(logits.gather(-1, wanted[:, None])[:, 0] - logits.logsumexp(-1))
    return found
