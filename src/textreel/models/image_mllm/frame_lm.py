"""`FrameLM`: an image-LLM of Hugging Face that reads frames as pictures. T2Vid's family.

    FrameBatch --the model's own towers and merging--> hidden states --head--> loss, words, scores

The same protocol as `TrackLM`: `loss(batch)`, `generate(batch)`, `score(batch)`. The model is what
transformers makes of its folder; nothing is added or exchanged. Logits are made only where there
are targets. Rows are padded on the right and attention is causal (but within a picture, for some),
so no real position ever sees padding and no mask is needed.

Shape letters as in `batch.py`; R targets in a batch.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from textreel.models import decoder as decoders
from textreel.models.batch import IGNORE
from textreel.models.behind import Behind
from textreel.models.errors import BatchError
from textreel.models.generate import Sampling, choose, move_right, stop_ids_of
from textreel.models.image_mllm.batch import FrameBatch
from textreel.models.image_mllm.pictures import Family
from textreel.models.scoring import Options, OptionScores
from textreel.models.token_losses import token_losses


class FrameLM(nn.Module):
    """An image-LLM behind our protocol.

    Args:
        model: a `...ForConditionalGeneration` of transformers.
        family: its family.

    Attributes:
        limit: most positions that the model takes; None: it names no limit.
    """

    def __init__(self, model: PreTrainedModel, family: Family) -> None:
        super().__init__()
        self.model = model
        self.family = family
        self.limit = decoders.max_positions(model)
        self.train(False)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that learn: those that were not frozen."""
        return (p for p in self.parameters() if p.requires_grad)

    def trainable_state_dict(self) -> dict[str, Tensor]:
        """Return the tensors that learn, by name."""
        return {name: p.detach() for name, p in self.named_parameters() if p.requires_grad}

    def positions(self, input_ids: Tensor, pixels: Mapping[str, Tensor]) -> Tensor:
        """Return where every token stands, (B, L) or (3, B, L)."""
        if self.family.positions is not None:
            return self.family.positions(self.model.base_model, input_ids, pixels)
        return torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)

    def read(
        self,
        input_ids: Tensor,
        *,
        pixels: Mapping[str, Tensor],
        positions: Tensor,
        cache: DynamicCache | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return hidden states (B, L, D).

        Args:
            input_ids: int64 (B, L).
            pixels: of the pictures among these ids; empty where there are none.
            positions: of these ids.
            cache: what was read before; the ids join it.
            mask: bool (B, columns in the cache and L), or None: all are real.
        """
        body = self.model.base_model
        pixels = {name: self._cast(values) for name, values in pixels.items()}
        inputs: dict[str, Tensor] = {"input_ids": input_ids, **pixels}
        if pixels and self.family.extra_inputs is not None:
            inputs |= self.family.extra_inputs(input_ids)
        if self.family.embed is not None:
            embeddings = self.family.embed(body, input_ids, pixels)
            inputs = inputs if embeddings is None else {"inputs_embeds": embeddings}
        out = body(
            **inputs,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        return out.last_hidden_state

    def head(self, hidden: Tensor) -> Tensor:
        """Return logits, float32 (..., V)."""
        return decoders.logits(self.model, hidden)

    def token_losses(self, batch: FrameBatch) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy of every target, and which row each belongs to.

        Returns:
            float32 (R,) in nats, and int64 (R,) row numbers, in order of row and position.

        Raises:
            BatchError: the batch has no target, or a row is longer than the model takes.
        """
        wanted = batch.labels[:, 1:]
        is_target = wanted != IGNORE
        if not bool(is_target.any()):
            raise BatchError(f"no target among {len(batch.ids)} prompts (first: {batch.ids[0]})")
        hidden = self._read_prompts(batch, cache=None)[:, :-1][is_target]
        rows = is_target.nonzero()[:, 0]
        vocabulary = self.model.config.get_text_config().vocab_size
        losses = token_losses(hidden, wanted[is_target], head=self.head, vocabulary=vocabulary)
        return losses, rows

    def forward(self, batch: FrameBatch) -> Tensor:
        """Return `loss(batch)`; what wrappers for several devices call."""
        return self.loss(batch)

    def loss(self, batch: FrameBatch) -> Tensor:
        """Return the mean cross-entropy over all targets of the batch, a float32 scalar in nats.

        Errors as `token_losses`.
        """
        return self.token_losses(batch)[0].mean()

    @torch.no_grad()
    def score(self, batch: FrameBatch, options: Sequence[Options]) -> list[OptionScores]:
        """Say how likely each option is in the place where its prompt ends.

        Args:
            batch: prompts that end where the answer begins, on the model's device.
            options: for each prompt, the token ids of its options.

        Raises:
            BatchError: options and prompts do not match, or a prompt with its longest option is
                longer than the model takes.
        """
        longest = max((len(option) for of_row in options for option in of_row), default=0)
        self._check_room(batch, max(0, longest - 1))
        return self._behind(batch).score(options)

    @torch.no_grad()
    def generate(
        self, batch: FrameBatch, *, max_new_tokens: int, sampling: Sampling | None = None
    ) -> list[list[int]]:
        """Continue each prompt until a stop token, or for `max_new_tokens`.

        Args:
            batch: prompts that end where the answer begins, on the model's device.
            max_new_tokens: at least 1.
            sampling: how tokens are chosen; None: the likeliest, until the model's end of text.

        Returns:
            New token ids of each row, the stop token left out.

        Raises:
            BatchError: prompt and new tokens together are longer than the model takes.
        """
        self._check_room(batch, max_new_tokens)
        sampling = sampling or Sampling()
        stops = stop_ids_of(self.model, sampling)
        behind = self._behind(batch)
        answers: list[list[int]] = [[] for _ in batch.ids]
        running = set(range(len(answers)))
        for step in range(max_new_tokens):
            tokens = choose(behind.head(behind.last), sampling)
            for row, token in enumerate(tokens.tolist()):
                if row in running and token in stops:
                    running.discard(row)
                elif row in running:
                    answers[row].append(token)
            if not running or step + 1 == max_new_tokens:
                break
            behind = behind.step(tokens)
        return answers

    def save_pretrained(self, directory: str | Path) -> None:
        """Write the model as transformers does: an image-LLM like the one that was loaded."""
        self.model.save_pretrained(directory)

    def _behind(self, batch: FrameBatch) -> Behind:
        cache = DynamicCache()
        hidden = self._read_prompts(batch, cache=cache)
        lengths = batch.attention_mask.sum(1)
        at = torch.arange(len(lengths), device=lengths.device)
        shift = batch.input_ids.shape[1] - lengths
        mask = None
        if bool(shift.any()):
            column = torch.arange(batch.input_ids.shape[1], device=lengths.device)
            move_right(cache, (column - shift[:, None]) % len(column))
            mask = column >= shift[:, None]
        ends = self.positions(batch.input_ids, batch.pixels)[..., at, lengths - 1] + 1
        return Behind(
            last=hidden[at, lengths - 1],
            cache=cache,
            mask=mask,
            more=Continuation(self, ends),
            head=self.head,
        )

    def _read_prompts(self, batch: FrameBatch, *, cache: DynamicCache | None) -> Tensor:
        self._check_room(batch, 0)
        positions = self.positions(batch.input_ids, batch.pixels)
        return self.read(batch.input_ids, pixels=batch.pixels, positions=positions, cache=cache)

    def _check_room(self, batch: FrameBatch, more: int) -> None:
        longest = int(batch.attention_mask.sum(1).max())
        if self.limit is None or longest + more <= self.limit:
            return
        worst = batch.ids[int(batch.attention_mask.sum(1).argmax())]
        raise BatchError(
            f"{worst}: a prompt of {longest} positions and {more} new ones, but the model takes "
            f"{self.limit}",
            hint="show fewer frames, or ask for fewer new tokens",
        )

    def _cast(self, values: Tensor) -> Tensor:
        return values.to(self.model.dtype) if values.is_floating_point() else values


class Continuation:
    """Reads tokens behind prompts of a `FrameLM`; see `behind.More`.

    Args:
        model: the model.
        ends: the first position behind each prompt, (B,) or (3, B).
    """

    def __init__(self, model: FrameLM, ends: Tensor) -> None:
        self._model, self._ends = model, ends

    def __call__(
        self, tokens: Tensor, *, rows: Tensor, offset: int, cache: DynamicCache, mask: Tensor | None
    ) -> Tensor:
        """See `behind.More`."""
        columns = torch.arange(offset, offset + tokens.shape[1], device=tokens.device)
        positions = self._ends[..., rows, None] + columns
        return self._model.read(tokens, pixels={}, positions=positions, cache=cache, mask=mask)
