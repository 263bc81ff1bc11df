"""Generation with a KV cache, from prompts that hold soft tokens.

The prompts are read once, padded on the right. Then every row's cached keys and values are moved to
the right end, so that new tokens follow their prompt without a gap: sliding windows and masks count
columns, and a gap would shift them. Rows that have stopped go on with a token nobody reads.

Shape letters as in `batch.py`.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from textreel.models import decoder as decoders
from textreel.models.attention import AttentionCall
from textreel.models.errors import BatchError, ModelConfigError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: 0 takes the likeliest; above, tokens are drawn.
        top_p: draw among the likeliest tokens that together reach this probability.
        stop_ids: tokens that end an answer; None: the decoder's end of text.
        banned_ids: tokens that are never chosen.
        prefix_ids: tokens that every answer begins with, whatever the model would say.
        end_ids: tokens that end an answer and belong to it, such as a full stop.
        generator: draws the tokens; needed above temperature 0.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    stop_ids: tuple[int, ...] | None = None
    banned_ids: tuple[int, ...] = ()
    prefix_ids: tuple[int, ...] = ()
    end_ids: tuple[int, ...] = ()
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ModelConfigError(
                f"Sampling: temperature={self.temperature} must not be below 0, and "
                f"top_p={self.top_p} must lie in (0, 1]"
            )
        if self.temperature > 0 and self.generator is None:
            raise ModelConfigError("Sampling: drawing tokens needs a generator")
        if both := set(self.banned_ids) & set(self.prefix_ids):
            raise ModelConfigError(
                f"Sampling: tokens {sorted(both)} are banned and must come first"
            )


@torch.no_grad()
def generate_tokens(
    decoder: PreTrainedModel,
    *,
    embeddings: Tensor,
    lengths: Tensor,
    call: AttentionCall,
    max_new_tokens: int,
    sampling: Sampling,
) -> list[list[int]]:
    """Continue each prompt until a stop token, or for `max_new_tokens`.

    Args:
        decoder: a prepared decoder.
        embeddings: (B, L, D), prompts padded on the right.
        lengths: int64 (B,), real positions of each prompt.
        call: what the layers are told about the L positions.
        max_new_tokens: at least 1.
        sampling: how tokens are chosen.

    Returns:
        New token ids of each row, those of `prefix_ids` first, the stop token left out.

    Raises:
        BatchError: prompt and new tokens together are longer than the decoder takes, or what every
            answer begins with is longer than `max_new_tokens`.
    """
    _check_room(decoder, int(lengths.max()), max_new_tokens, sampling)
    stop_ids = stop_ids_of(decoder, sampling)
    cache = DynamicCache()
    out = decoders.run_body(
        decoder, embeddings, textreel=call, past_key_values=cache, use_cache=True
    )
    last = out.last_hidden_state[torch.arange(len(lengths), device=lengths.device), lengths - 1]
    state = _State(cache, call, embeddings.shape[1], lengths)
    answers: list[list[int]] = [[] for _ in lengths]
    running = set(range(len(answers)))
    for step in range(max_new_tokens):
        given = step < len(sampling.prefix_ids)
        tokens = choose(decoders.logits(decoder, last), sampling)
        if given:
            tokens = torch.full_like(tokens, sampling.prefix_ids[step])
        for row, token in enumerate(tokens.tolist()):
            if row in running and token in stop_ids and not given:
                running.discard(row)
            elif row in running:
                answers[row].append(token)
                if token in sampling.end_ids and not given:
                    running.discard(row)
        if not running or step + 1 == max_new_tokens:
            break
        last = state.step(decoder, tokens)
    return answers


def _check_room(
    decoder: PreTrainedModel, length: int, max_new_tokens: int, sampling: Sampling
) -> None:
    if (forced := len(sampling.prefix_ids)) > max_new_tokens:
        raise BatchError(
            f"an answer begins with {forced} given tokens, but takes {max_new_tokens} at most",
            hint="allow more new tokens, or begin with fewer words",
        )
    limit = decoders.max_positions(decoder)
    if limit is not None and (longest := length + max_new_tokens) > limit:
        raise BatchError(
            f"a prompt of {length} positions and {max_new_tokens} new tokens make {longest}, but "
            f"the decoder takes {limit}",
            hint="ask for fewer new tokens, or use fewer frames",
        )


class _State:
    """The cache and all that grows with it."""

    def __init__(
        self, cache: DynamicCache, call: AttentionCall, length: int, lengths: Tensor
    ) -> None:
        shift = length - lengths
        column = torch.arange(length, device=lengths.device)
        order = (column - shift[:, None]) % length
        self.cache = cache
        self.mask = column >= shift[:, None]
        self.positions = lengths[:, None].clone()
        self.call = call
        if bool(shift.any()):
            move_right(cache, order)
        if call.video is not None:
            video = call.video.gather(1, order)
            has_video = video.any(1, keepdim=True)
            self.call = replace(call, video=video, after_video=has_video)

    def step(self, decoder: PreTrainedModel, tokens: Tensor) -> Tensor:
        """Read one token per row; return the hidden states behind them, (B, D)."""
        one = self.mask.new_ones(len(tokens), 1)
        self.mask = torch.cat([self.mask, one], dim=1)
        if self.call.video is not None:
            self.call = replace(self.call, video=torch.cat([self.call.video, ~one], dim=1))
        out = decoders.run_body(
            decoder,
            decoder.get_input_embeddings()(tokens[:, None]),
            attention_mask=None if bool(self.mask.all()) else self.mask,
            position_ids=self.positions,
            past_key_values=self.cache,
            textreel=self.call,
            use_cache=True,
        )
        self.positions = self.positions + 1
        return out.last_hidden_state[:, -1]


def move_right(cache: DynamicCache, order: Tensor) -> None:
    """Reorder every layer's keys and values (B, G, L, E) along L, row by row."""
    for layer in cache.layers:
        index = order[:, None, :, None].expand_as(layer.keys)
        layer.keys, layer.values = layer.keys.gather(2, index), layer.values.gather(2, index)


def stop_ids_of(decoder: PreTrainedModel, sampling: Sampling) -> frozenset[int]:
    """Return the tokens that end an answer: those of `sampling`, or else the decoder's own."""
    if sampling.stop_ids is not None:
        return frozenset(sampling.stop_ids)
    config = decoder.generation_config
    end = None if config is None else config.eos_token_id
    if end is None:
        return frozenset()
    return frozenset(end if isinstance(end, list) else [end])


def choose(logits: Tensor, sampling: Sampling) -> Tensor:
    """Return the next token of each row, int64 (B,), from logits (B, V)."""
    if sampling.banned_ids:
        logits[:, list(sampling.banned_ids)] = -torch.inf
    if sampling.temperature == 0:
        return logits.argmax(-1)
    probabilities, ids = torch.softmax(logits / sampling.temperature, -1).sort(descending=True)
    beyond = probabilities.cumsum(-1) - probabilities >= sampling.top_p
    probabilities = probabilities.masked_fill(beyond, 0.0)
    drawn = torch.multinomial(probabilities, 1, generator=sampling.generator)
    return ids.gather(1, drawn)[:, 0]
