"""Adapters: what a frozen decoder learns with. Gated prompts in every layer, or LoRA through peft.

`GatedAdapter` is TOPA's (arXiv:2405.13911, dhg-wei/TOPA@609c482, llama/model.py: `adapter_query`,
`gate1`, `gate2`), after LLaMA-Adapter (arXiv:2303.16199), for any decoder whose attention goes
through transformers' attention interface. The decoder's classes are not touched: its layers ask
the adapter for their prompt through `attention.AttentionCall`.

Not as published: a layer without prompts is an ordinary layer (upstream does not run it at all);
an adapter of all layers, the default, is the same in both.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from textreel.models.attention import LayerPrompt
from textreel.models.errors import DecoderUnsupportedError, ModelConfigError

AttentionModule: TypeAlias = Any
"""A layer's attention, of the decoder's own class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GatedConfig:
    """Shape of a gated adapter. The defaults are TOPA's.

    Attributes:
        length: A, prompt vectors per layer.
        num_layers: how many layers, counted from the last one; None: all.
        init_std: standard deviation of the prompt vectors at the start.
        bias: the video bias starts at minus this, so that text sees the video at exp(-bias) of its
            weight before anything is learned.
    """

    length: int = 50
    num_layers: int | None = None
    init_std: float = 1.0
    bias: float = 3.5

    def __post_init__(self) -> None:
        if self.length < 1 or (self.num_layers is not None and self.num_layers < 1):
            raise ModelConfigError(
                f"GatedConfig: length={self.length} and num_layers={self.num_layers} must be at "
                "least 1 (or None for all layers)"
            )


class GatedAdapter(nn.Module):
    """Prompt vectors, a gate and a video bias for each of the decoder's last layers.

    Args:
        config: the shape.
        decoder: the decoder that will ask for prompts; it is read, not kept.
        generator: draws the start values.

    Raises:
        DecoderUnsupportedError: an attention module whose keys and values it cannot make.
        ModelConfigError: more layers than the decoder has.
    """

    def __init__(
        self, config: GatedConfig, *, decoder: nn.Module, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.config = config
        attentions = attention_modules(decoder)
        count = len(attentions) if config.num_layers is None else config.num_layers
        if count > len(attentions):
            raise ModelConfigError(
                f"GatedConfig: num_layers={count}, but the decoder has {len(attentions)} layers"
            )
        self.first_layer = len(attentions) - count
        heads, width = num_heads(attentions[0]), model_width(attentions[0])
        self.prompts = nn.Parameter(torch.empty(count, config.length, width))
        self.gates = nn.Parameter(torch.zeros(count, heads))
        self.video_bias = nn.Parameter(torch.full((count, heads), -config.bias))
        with torch.no_grad():
            self.prompts.normal_(0.0, config.init_std, generator=generator)
        for module in attentions:
            prompt_keys_values(module, self.prompts[0].to(next(module.parameters())))

    def forward(self, module: AttentionModule) -> LayerPrompt | None:
        """Return what `module`, a layer's attention, adds; None for a layer without prompts."""
        index = int(module.layer_idx) - self.first_layer
        if index < 0:
            return None
        weight = next(module.parameters())
        key, value = prompt_keys_values(module, self.prompts[index].to(weight.dtype))
        return LayerPrompt(
            key=key, value=value, gate=self.gates[index], video_bias=self.video_bias[index]
        )


def attention_modules(decoder: nn.Module) -> list[AttentionModule]:
    """Return the decoder's self-attention modules in order of layers.

    Raises:
        DecoderUnsupportedError: there are none, or their numbers do not count from 0.
    """
    found: list[AttentionModule] = [
        module
        for module in decoder.modules()
        if hasattr(module, "layer_idx")
        and any(hasattr(module, name) for name in ("k_proj", "c_attn", "query_key_value"))
    ]
    found.sort(key=lambda module: int(module.layer_idx))
    numbers = [int(module.layer_idx) for module in found]
    if not found or numbers != list(range(len(found))):
        raise DecoderUnsupportedError(
            f"{type(decoder).__name__}: no attention module with known projections for every "
            f"layer (found those of layers {numbers})",
            hint="use adapter='lora', or a decoder of the Llama, Qwen, Gemma, OPT or GPT families",
        )
    return found


def prompt_keys_values(module: AttentionModule, prompt: Tensor) -> tuple[Tensor, Tensor]:
    """Make keys and values of prompt vectors with a layer's own frozen projections.

    Key norms are applied where the layer has them; rotary positions are not.

    Args:
        module: a layer's attention module.
        prompt: (A, D).

    Returns:
        Keys and values, (G, A, E) each.

    Raises:
        DecoderUnsupportedError: projections of an unknown kind.
    """
    length = len(prompt)
    if hasattr(module, "query_key_value"):
        head_width = model_width(module) // num_heads(module)
        fused = module.query_key_value(prompt).view(length, -1, 3 * head_width)
        _, key, value = fused.chunk(3, dim=-1)
    elif hasattr(module, "c_attn"):
        head_width = model_width(module) // num_heads(module)
        _, key, value = (x.view(length, -1, head_width) for x in module.c_attn(prompt).chunk(3, -1))
    elif hasattr(module, "k_proj") and hasattr(module, "v_proj"):
        head_width = int(module.head_dim)
        key = _normed_key(module, module.k_proj(prompt), head_width)
        value = module.v_proj(prompt).view(length, -1, head_width)
    else:
        raise DecoderUnsupportedError(
            f"{type(module).__name__}: no k_proj and v_proj, c_attn or query_key_value to make "
            "prompt keys and values with",
            hint="use adapter='lora'",
        )
    return key.transpose(0, 1), value.transpose(0, 1)


def _normed_key(module: AttentionModule, key: Tensor, head_width: int) -> Tensor:
    """Split keys (A, G * E) into heads (A, G, E), normed per head or over all heads."""
    split = (len(key), -1, head_width)
    norm = getattr(module, "k_norm", None)
    if norm is None:
        return key.view(split)
    if norm.weight.shape[-1] == head_width:
        return norm(key.view(split))
    return norm(key).view(split)


def num_heads(module: AttentionModule) -> int:
    """Return H, the query heads of an attention module."""
    if hasattr(module, "num_heads"):
        return int(module.num_heads)
    return int(module.config.num_attention_heads)


def model_width(module: AttentionModule) -> int:
    """Return D, the width an attention module takes."""
    return int(module.config.hidden_size)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraSettings:
    """Low-rank updates of linear maps (arXiv:2106.09685), made by peft.

    Attributes:
        rank: rank of the updates.
        alpha: the update is multiplied by alpha / rank.
        dropout: on the update's input, in training.
        targets: names of the linear maps: ends of module names, or `all-linear`.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ("q_proj", "v_proj")

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.targets:
            raise ModelConfigError(
                f"LoraSettings: rank={self.rank} must be at least 1 and targets={self.targets} "
                "must name something"
            )


def add_lora(decoder: nn.Module, settings: LoraSettings, *, generator: torch.Generator) -> None:
    """Put LoRA updates into `decoder`, in place, in float32, the updates being zero at first.

    Raises:
        ModelConfigError: no module of the decoder has one of the wanted names.
    """
    from peft import LoraConfig, inject_adapter_in_model

    names = [name for name, module in decoder.named_modules() if _is_linear(module)]
    ends = {name.rsplit(".", 1)[-1] for name in names}
    everything = settings.targets == ("all-linear",)
    missing = () if everything else tuple(t for t in settings.targets if t not in ends)
    if missing:
        raise ModelConfigError(
            f"LoraSettings: the decoder has no linear map named {', '.join(missing)}",
            hint=f"choose among {', '.join(sorted(ends))}",
        )
    head = {"lm_head", "embed_out"}
    targets = sorted(ends - head) if everything else list(settings.targets)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets,
        fan_in_fan_out=any(_is_conv1d(decoder.get_submodule(n)) for n in names),
    )
    inject_adapter_in_model(config, decoder)
    for name, parameter in decoder.named_parameters():
        if "lora_" not in name:
            continue
        parameter.data = parameter.data.float()
        with torch.no_grad():
            if "lora_A" in name:  # peft's own start, drawn from the given generator
                bound = 1.0 / math.sqrt(parameter.shape[1])
                start = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
                parameter.copy_(start)
            else:
                parameter.zero_()


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or _is_conv1d(module)


def _is_conv1d(module: nn.Module) -> bool:
    """GPT-2's transposed linear map."""
    return type(module).__name__ == "Conv1D"


AdapterKind = Literal["none", "gated", "lora"]
