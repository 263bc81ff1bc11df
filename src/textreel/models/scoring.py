"""Option scoring: how likely is each of several continuations of a prompt?

All options of a question share their prompt, so it is read once. What differs is packed behind it
in the same row, one option after the other, and a mask lets each see the prompt and itself only:

    tokens      [ prompt ........ ][ option 1 ][ option 2 ][ option 3 ]
    positions     0 ......... n-1   n n+1 ..    n n+1 ..    n n+1 ..

so that one forward pass of (prompt + all options) positions replaces one of (prompt + option)
positions per option, with equal numbers and no cache to copy. The beginning that all options have
in common belongs to the prompt; an option's last token is predicted, never read. Where the options
differ in one token only (letters), nothing is packed.

Shape letters as in `batch.py`; O options of one question.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import PreTrainedModel

from textreel.models import decoder as decoders
from textreel.models.attention import AttentionCall
from textreel.models.errors import BatchError, DecoderUnsupportedError
from textreel.models.published import Published

CHUNK_LOGITS = 1 << 26
"""Numbers in the logits of one piece: 256 MiB in float32."""
Options = Sequence[Sequence[int]]
"""Token ids of every option of one question."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OptionScores:
    """How likely each option of one question is.

    Attributes:
        total: float32 (O,), summed log-likelihood in nats.
        mean: float32 (O,), log-likelihood per token.
        num_tokens: int64 (O,), tokens of each option.
        by_mean: whether options compare by their mean instead of their sum.
    """

    total: Tensor
    mean: Tensor
    num_tokens: Tensor
    by_mean: bool = False

    @property
    def best(self) -> int:
        """Index of the likeliest option, which is also the most probable one.

        The published choice is that of the largest `mean` (TOPA, engine.py); where options are
        letters, or of one length, the two are the same. An option that ends in its stop is a whole
        answer, and whole answers compare by their sums.
        """
        return int((self.mean if self.by_mean else self.total).argmax())

    def probabilities(self) -> Tensor:
        """Return float32 (O,), the softmax of the log-likelihoods that options compare by."""
        return torch.softmax(self.mean if self.by_mean else self.total, dim=0)


@dataclass(frozen=True, slots=True)
class _Packed:
    """One question's options, laid behind its prompt.

    Attributes:
        ids: tokens to read behind the prompt: the common beginning, then each option.
        block: 0 for the common beginning, 1.. for each option.
        offset: distance of each token from the prompt's end.
        source: per option, for each of its tokens, the place in `ids` that predicts it; -1 is the
            prompt's last position.
        wanted: per option, its tokens.
    """

    ids: list[int]
    block: list[int]
    offset: list[int]
    source: list[list[int]]
    wanted: list[list[int]]


def score_options(
    decoder: PreTrainedModel,
    *,
    embeddings: Tensor,
    lengths: Tensor,
    call: AttentionCall,
    options: Sequence[Options],
    published: Published | None = None,
) -> list[OptionScores]:
    """Score every option of every question in one forward pass.

    Args:
        decoder: a prepared decoder.
        embeddings: (B, L, D), prompts padded on the right.
        lengths: int64 (B,), real positions of each prompt.
        call: what the layers are told about the L positions.
        options: for each prompt its options' token ids; at least one each, none empty.
        published: how a converted run counts tokens; None: all of them.

    Raises:
        BatchError: as many lists of options as prompts are needed, none of them empty; or prompt
            and options together are longer than the decoder takes.
        DecoderUnsupportedError: layers that are neither full nor sliding-window attention.
    """
    check_options(options, rows=len(embeddings))
    packed = [_pack(of_row) for of_row in options]
    if not any(pack.ids for pack in packed):
        out = decoders.run_body(decoder, embeddings, textreel=call, use_cache=False)
        return _read(decoder, out.last_hidden_state, packed, lengths, published)
    read = [length + len(p.ids) for p, length in zip(packed, lengths.tolist(), strict=True)]
    layout = _layout(packed, lengths, max(read))
    _check_length(decoder, layout)
    out = decoders.run_body(
        decoder,
        _join(decoder, embeddings, packed, layout),
        attention_mask=_masks(decoder, layout),
        position_ids=layout.positions,
        textreel=_extended(call, max(read)),
        use_cache=False,
    )
    return _read(decoder, out.last_hidden_state, packed, lengths, published)


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """Where everything is in rows of W = prompt + options, padded on the right.

    Attributes:
        positions: int64 (B, W).
        block: int64 (B, W): 0 prompt and common beginning, 1.. options, -1 padding.
    """

    positions: Tensor
    block: Tensor


def _pack(options: Options) -> _Packed:
    """Lay options behind a prompt: their common beginning once, then what each adds."""
    shortest = min(len(option) for option in options)
    shared = 0
    while shared < shortest - 1 and len({option[shared] for option in options}) == 1:
        shared += 1
    ids, block = list(options[0][:shared]), [0] * shared
    offset = list(range(shared))
    source = []
    for number, option in enumerate(options, start=1):
        start = len(ids)
        own = len(option) - 1 - shared
        ids += option[shared:-1]
        block += [number] * own
        offset += range(shared, shared + own)
        source.append([*range(-1, shared), *range(start, start + own)])
    return _Packed(ids, block, offset, source, [list(option) for option in options])


def _layout(packed: Sequence[_Packed], lengths: Tensor, width: int) -> _Layout:
    column = torch.arange(width, device=lengths.device)
    real = column < lengths[:, None]
    positions = torch.where(real, column, 0)
    block = torch.where(real, 0, -1)
    for row, (pack, length) in enumerate(zip(packed, lengths.tolist(), strict=True)):
        end = length + len(pack.ids)
        positions[row, length:end] = torch.tensor(pack.offset, device=column.device) + length
        block[row, length:end] = torch.tensor(pack.block, device=column.device)
    return _Layout(positions, block)


def _masks(decoder: PreTrainedModel, layout: _Layout) -> Tensor | dict[str, Tensor]:
    """Return the mask (B, 1, W, W) of full layers, or one for every kind of layer.

    Raises:
        DecoderUnsupportedError: a kind of layer that a mask does not describe.
    """
    config = decoder.config.get_text_config()
    window: int | None = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    if unknown := kinds - {"full_attention", "sliding_attention"}:
        raise DecoderUnsupportedError(
            f"options cannot be packed for layers of kind {', '.join(sorted(unknown))}",
            hint="choose a decoder with full or sliding-window attention",
        )
    if "sliding_attention" in kinds:
        full, sliding = _mask(layout, None), _mask(layout, window)
        return {"full_attention": full, "sliding_attention": sliding}
    return _mask(layout, None if kinds else window)


def _mask(layout: _Layout, window: int | None) -> Tensor:
    index = torch.arange(layout.block.shape[1], device=layout.block.device)
    query, key = layout.block[:, :, None], layout.block[:, None, :]
    mask = ((key == 0) | (key == query)) & (index <= index[:, None])
    if window is not None:
        mask &= layout.positions[:, :, None] - layout.positions[:, None, :] < window
        mask |= torch.eye(len(index), dtype=torch.bool, device=index.device)
    return mask[:, None]


def _join(
    decoder: PreTrainedModel, embeddings: Tensor, packed: Sequence[_Packed], layout: _Layout
) -> Tensor:
    """Write the options' embeddings behind their prompts; (B, W, D)."""
    width = layout.block.shape[1]
    ids = torch.zeros_like(layout.block)
    counts = torch.tensor([len(pack.ids) for pack in packed], device=ids.device)
    real = (layout.block >= 0).sum(1)
    for row, (pack, end) in enumerate(zip(packed, real.tolist(), strict=True)):
        ids[row, end - len(pack.ids) : end] = torch.tensor(pack.ids, device=ids.device)
    column = torch.arange(width, device=ids.device)
    is_option = (column >= (real - counts)[:, None]) & (column < real[:, None])
    padded = _widened(embeddings, width)
    return torch.where(is_option[..., None], decoder.get_input_embeddings()(ids), padded)


def _widened(x: Tensor, width: int) -> Tensor:
    """Cut or pad (with zeros) dimension 1 of `x` to `width`."""
    if x.shape[1] >= width:
        return x[:, :width]
    fill = x.new_zeros(x.shape[0], width - x.shape[1], *x.shape[2:])
    return torch.cat([x, fill], dim=1)


def _extended(call: AttentionCall, width: int) -> AttentionCall:
    """Say the same of the wider rows: options come after the video, and hold none."""
    if call.video is None:
        return call
    video = _widened(call.video, width)
    has_video = video.any(1, keepdim=True)
    first = video.int().argmax(1, keepdim=True)
    column = torch.arange(width, device=video.device)
    return replace(call, video=video, after_video=has_video & ~video & (column > first))


@torch.no_grad()
def _read(
    decoder: PreTrainedModel,
    hidden: Tensor,
    packed: Sequence[_Packed],
    lengths: Tensor,
    published: Published | None,
) -> list[OptionScores]:
    """Collect every option's log-likelihoods from the hidden states."""
    places: dict[tuple[int, int], int] = {}
    index, wanted, counts = [], [], []
    for row, (pack, length) in enumerate(zip(packed, lengths.tolist(), strict=True)):
        for source, tokens in zip(pack.source, pack.wanted, strict=True):
            index += [places.setdefault((row, length + at), len(places)) for at in source]
            wanted += tokens
            counts.append(len(tokens))
    device = hidden.device
    where = torch.tensor(list(places), device=device)
    states = hidden[where[:, 0], where[:, 1]]
    targets = torch.tensor(wanted, device=device)
    likelihoods = _log_likelihoods(decoder, states, torch.tensor(index, device=device), targets)
    counted = torch.ones_like(likelihoods)
    if published is not None and published.ignored_id is not None:
        counted *= targets != published.ignored_id
    if by_mean := published is not None and published.nonzero_mean:
        counted *= likelihoods != 0
    likelihoods = likelihoods * counted
    totals = torch.stack([piece.sum() for piece in torch.split(likelihoods, counts)])
    numbers = torch.stack([piece.sum() for piece in torch.split(counted, counts)]).long()
    per_question = [len(pack.wanted) for pack in packed]
    return [
        OptionScores(total=total, mean=total / number, num_tokens=number, by_mean=by_mean)
        for total, number in zip(
            torch.split(totals, per_question), torch.split(numbers, per_question), strict=True
        )
    ]


def _log_likelihoods(
    decoder: PreTrainedModel, states: Tensor, index: Tensor, wanted: Tensor
) -> Tensor:
    """Return log p(wanted[r] | states[index[r]]), float32 (R,), a piece of the states at a time."""
    rows = max(1, CHUNK_LOGITS // decoder.config.get_text_config().vocab_size)
    out = torch.empty(len(wanted), device=states.device)
    for start in range(0, len(states), rows):
        logits = decoders.logits(decoder, states[start : start + rows])
        here = ((index >= start) & (index < start + rows)).nonzero().flatten()
        at = index[here] - start
        out[here] = logits[at, wanted[here]] - logits.logsumexp(-1)[at]
    return out


def check_options(options: Sequence[Options], *, rows: int) -> None:
    """Refuse options that cannot be scored.

    Raises:
        BatchError: as many lists of options as prompts are needed, none of them empty.
    """
    if len(options) != rows:
        raise BatchError(f"{len(options)} lists of options for {rows} prompts")
    for row, of_row in enumerate(options):
        if not of_row or not all(len(option) for option in of_row):
            raise BatchError(
                f"prompt {row}: {len(of_row)} options, of which "
                f"{sum(not len(option) for option in of_row)} are empty; each needs a token"
            )


def _check_length(decoder: PreTrainedModel, layout: _Layout) -> None:
    limit, longest = decoders.max_positions(decoder), int(layout.positions.max()) + 1
    if limit is not None and longest > limit:
        raise BatchError(
            f"a prompt with its longest option has {longest} positions, but the decoder takes "
            f"{limit}",
            hint="ask a shorter question, use fewer frames or another decoder",
        )
