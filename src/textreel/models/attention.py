"""One attention function for every decoder: ordinary attention, a video bias and layer prompts.

    out = softmax(q k^T + mask + bias) v  +  tanh(gate) * softmax(q k_p^T) v_p

It is registered under the name `textreel` with transformers' `AttentionInterface`, and takes what
it needs beyond queries, keys and values from one keyword argument, an `AttentionCall`, that is
handed to the decoder's `forward` and travels to every layer. A decoder called without it computes
plain attention.

k_p and v_p come from each layer's own prompt vectors, are not rotated, and have a softmax of
their own (TOPA, arXiv:2405.13911; LLaMA-Adapter, arXiv:2303.16199). The bias is one learned number
per head, added to the logits of rows after the video on columns of the video. It has rank one, so
it is carried by one more feature of queries and keys, and never becomes an (L x L) matrix:
[s q, b r] . [k, c] = s q.k + b r c.

Shape letters: B samples, H query heads, G key heads, L queries, S keys, A prompts, E head width.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from textreel.models.errors import DecoderUnsupportedError

NAME = "textreel"
"""What the function is registered as; a decoder's `attn_implementation`."""
Kernel = Literal["sdpa", "eager"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LayerPrompt:
    """What one layer of a gated adapter adds.

    Attributes:
        key: (G, A, E), not rotated.
        value: (G, A, E).
        gate: (H,), before tanh.
        video_bias: (H,), added to the logits of text after the video on the video.
    """

    key: Tensor
    value: Tensor
    gate: Tensor
    video_bias: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AttentionCall:
    """What one forward pass tells every layer.

    Attributes:
        kernel: `sdpa`, torch's fused function; `eager`, plain products, which can be faster for
            narrow decoders in bfloat16.
        prompt: gives a layer's prompt from its attention module, or None where it has none.
        after_video: bool (B, L), the queries that come after a video and are not video.
        video: bool (B, at least S), the keys that are video. Where a layer keeps only the latest S
            keys, the latest S columns hold.
    """

    kernel: Kernel = "sdpa"
    prompt: Callable[[nn.Module], LayerPrompt | None] | None = None
    after_video: Tensor | None = None
    video: Tensor | None = None


PLAIN = AttentionCall()


@dataclass(slots=True, eq=False)
class PromptCache:
    """Keys and values of layer prompts, kept while a decoder is only read (generation)."""

    make: Callable[[nn.Module], LayerPrompt | None]
    made: dict[int, LayerPrompt | None] = field(default_factory=dict)

    def __call__(self, module: nn.Module) -> LayerPrompt | None:
        """Return the module's prompt, made at its first use."""
        key = id(module)
        if key not in self.made:
            self.made[key] = self.make(module)
        return self.made[key]


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **kwargs: Any,  # noqa: ANN401 - transformers' own signature
) -> tuple[Tensor, None]:
    """Attention as transformers calls it; see the module's header.

    Args:
        module: the layer's attention module.
        query: (B, H, L, E), rotated.
        key: (B, G, S, E), rotated.
        value: (B, G, S, E).
        attention_mask: bool (B, 1, L, S), or None for plainly causal (or one query).
        **kwargs: `scaling`, `dropout`, `softcap`, `textreel` (an `AttentionCall`) and others.

    Returns:
        (B, L, H, E), and None in place of the weights.

    Raises:
        DecoderUnsupportedError: the decoder's attention has learned sinks.
    """
    if kwargs.get("s_aux") is not None:
        raise DecoderUnsupportedError(
            f"{type(module).__name__} has attention sinks, which this attention does not compute",
            hint="choose a decoder without sinks",
        )
    call: AttentionCall = kwargs.get("textreel") or PLAIN
    scaling = kwargs.get("scaling") or query.shape[-1] ** -0.5
    options = _Options(scaling, kwargs.get("dropout") or 0.0, kwargs.get("softcap"))
    prompt = call.prompt(module) if call.prompt is not None else None
    bias = None
    if prompt is not None and call.video is not None and call.after_video is not None:
        bias = _video_bias(query, key, prompt.video_bias, call)
    attention = _fused if call.kernel == "sdpa" and options.softcap is None else _plain
    out = attention(query, key, value, attention_mask, bias, options)
    if prompt is not None:
        out = out + _attend_prompt(query, prompt, scaling)
    return out.transpose(1, 2).contiguous(), None


@dataclass(frozen=True, slots=True)
class _Options:
    scaling: float
    dropout: float
    softcap: float | None


def _video_bias(
    query: Tensor, key: Tensor, bias: Tensor, call: AttentionCall
) -> tuple[Tensor, Tensor]:
    """Return the two factors of the bias: rows (B, H, L, 1) and columns (B, G, S, 1)."""
    assert call.video is not None and call.after_video is not None
    columns = call.video[:, -key.shape[2] :, None].to(key.dtype)
    rows = call.after_video[:, None, :, None].to(query.dtype)
    rows = rows * bias.to(query.dtype).view(1, -1, 1, 1)
    return rows, columns[:, None].expand(-1, key.shape[1], -1, -1)


def _fused(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    bias: tuple[Tensor, Tensor] | None,
    options: _Options,
) -> Tensor:
    """Attention by torch's fused function; the bias is one more feature; (B, H, L, E)."""
    width, scaling = query.shape[-1], options.scaling
    if bias is not None:
        fill = -(width + 1) % 8  # fused kernels want multiples of eight
        query = torch.nn.functional.pad(torch.cat([query * scaling, bias[0]], dim=-1), (0, fill))
        key = torch.nn.functional.pad(torch.cat([key, bias[1]], dim=-1), (0, fill))
        value = torch.nn.functional.pad(value, (0, fill + 1))
        scaling = 1.0
    out = torch.nn.functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        dropout_p=options.dropout,
        is_causal=mask is None and query.shape[2] > 1,
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return out[..., :width]


def _plain(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    bias: tuple[Tensor, Tensor] | None,
    options: _Options,
) -> Tensor:
    """Attention by plain products, softmax in float32; (B, H, L, E)."""
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    logits = torch.matmul(query, key.transpose(2, 3)) * options.scaling
    if options.softcap is not None:
        logits = torch.tanh(logits / options.softcap) * options.softcap
    if bias is not None:
        logits = logits + bias[0] * bias[1][:, :1].transpose(2, 3)
    if mask is None and query.shape[2] > 1:
        mask = torch.ones(logits.shape[2:], dtype=torch.bool, device=logits.device).tril()
    if mask is not None:
        logits = logits.masked_fill(~mask, torch.finfo(logits.dtype).min)
    weights = torch.softmax(logits, dim=-1, dtype=torch.float32).to(value.dtype)
    weights = torch.nn.functional.dropout(weights, p=options.dropout)
    return torch.matmul(weights, value)


def _attend_prompt(query: Tensor, prompt: LayerPrompt, scaling: float) -> Tensor:
    """Gated attention to a layer's prompt: (B, H, L, E).

    The batch is folded into the queries, so that one product per head serves all samples.
    """
    batch, heads, length, width = query.shape
    groups = heads // prompt.key.shape[0]
    key, value = (
        x.to(query.dtype).repeat_interleave(groups, dim=0) for x in (prompt.key, prompt.value)
    )
    folded = query.transpose(0, 1).reshape(heads, batch * length, width)
    logits = torch.bmm(folded, key.transpose(1, 2)) * scaling
    weights = torch.softmax(logits, dim=-1, dtype=torch.float32)
    weights = weights * torch.tanh(prompt.gate.float()).view(heads, 1, 1)
    out = torch.bmm(weights.to(value.dtype), value)
    return out.view(heads, batch, length, width).transpose(0, 1)


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
