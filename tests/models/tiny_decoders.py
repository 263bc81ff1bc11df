"""Random decoders of every family, a batch with two videos, and plain ways to compute things."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    OPTConfig,
    PreTrainedModel,
    Qwen3Config,
)
from transformers import logging as transformers_logging

from textreel.models.adapters import GatedConfig, LoraSettings
from textreel.models.batch import IGNORE, Batch
from textreel.models.config import TrackLMConfig
from textreel.models.connectors import ConnectorConfig
from textreel.models.decoder import prepare
from textreel.models.track_lm import TrackLM

transformers_logging.set_verbosity_error()

VOCABULARY = 50
FAMILIES = ("llama", "qwen3", "gemma3", "opt", "gpt2", "neox")
LORA_TARGETS = {"gpt2": ("c_attn",), "neox": ("query_key_value",)}


def config_of(family: str, *, layers: int = 2):
    shape = {"hidden_size": 32, "num_hidden_layers": layers, "num_attention_heads": 4}
    ends = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    grouped = {**shape, **ends, "num_key_value_heads": 2, "intermediate_size": 48}
    match family:
        case "llama":
            return LlamaConfig(**grouped, max_position_embeddings=128)
        case "qwen3":
            return Qwen3Config(**grouped, head_dim=16)
        case "gemma3":
            return Gemma3TextConfig(
                **grouped,
                head_dim=16,
                sliding_window=6,
                layer_types=["sliding_attention"] + ["full_attention"] * (layers - 1),
                final_logit_softcapping=5.0,
            )
        case "opt":
            return OPTConfig(
                **shape, **ends, ffn_dim=48, word_embed_proj_dim=24, max_position_embeddings=128
            )
        case "gpt2":
            return GPT2Config(n_embd=32, n_layer=layers, n_head=4, n_positions=128, **ends)
        case "neox":
            return GPTNeoXConfig(**shape, **ends, intermediate_size=48)
    raise AssertionError(family)


def make_decoder(family: str = "llama", *, layers: int = 2, std: float = 0.3) -> PreTrainedModel:
    """A prepared random decoder whose weights are large enough for differences to show."""
    generator = torch.Generator().manual_seed(len(family))
    decoder = AutoModelForCausalLM.from_config(config_of(family, layers=layers))
    with torch.no_grad():
        for parameter in decoder.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, std, generator=generator)
    return prepare(decoder)


def make_model(
    family: str = "llama", *, adapter: str = "none", layers: int = 2, **connector
) -> TrackLM:
    """A model whose adapter is open: gates and LoRA updates are not zero."""
    config = TrackLMConfig(
        decoder=family,
        connector=ConnectorConfig(feature_dim=8, max_frames=4, **connector),
        adapter=adapter,
        gated=GatedConfig(length=5, bias=1.5),
        lora=LoraSettings(rank=2, targets=LORA_TARGETS.get(family, ("q_proj", "v_proj"))),
    )
    model = TrackLM(make_decoder(family, layers=layers), config)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        if model.adapter is not None:
            model.adapter.gates.normal_(generator=generator)
            model.adapter.video_bias.add_(
                torch.randn(model.adapter.video_bias.shape, generator=generator)
            )
        for name, parameter in model.decoder.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0.0, 0.3, generator=generator)
    return model


def make_batch(*, targets: bool = True, seed: int = 0) -> Batch:
    """Two prompts: 12 positions with 3 frames, 9 positions with 2 frames; the video at 3."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, VOCABULARY, (2, 12), generator=generator)
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[1, 9:] = False
    slots = torch.zeros(2, 12, dtype=torch.bool)
    slots[0, 3:6] = True
    slots[1, 3:5] = True
    labels = torch.full((2, 12), IGNORE)
    if targets:
        labels[0, 9:] = ids[0, 9:]
        labels[1, 7:9] = ids[1, 7:9]
    features = torch.nn.functional.normalize(torch.randn(2, 3, 1, 8, generator=generator), dim=-1)
    features[1, 2] = 0
    return Batch(
        input_ids=ids,
        attention_mask=mask,
        video_slots=slots,
        labels=labels,
        ids=("first", "second"),
        features=features,
        feature_mask=torch.tensor([[True, True, True], [True, True, False]]),
        times_s=torch.tensor([[0.5, 1.5, 2.5], [1.0, 3.0, 0.0]]),
    )


def row_of(batch: Batch, row: int, *, more: Sequence[int] = ()) -> Batch:
    """One row without its padding, with `more` tokens behind it, which are its targets."""
    length, frames = int(batch.attention_mask[row].sum()), int(batch.feature_mask[row].sum())
    ids = torch.cat([batch.input_ids[row, :length], torch.tensor(list(more), dtype=torch.long)])
    slots = torch.zeros(1, len(ids), dtype=torch.bool)
    slots[0, :length] = batch.video_slots[row, :length]
    labels = torch.full((1, len(ids)), IGNORE)
    labels[0, :length] = batch.labels[row, :length]
    if more:
        labels[0] = IGNORE
        labels[0, length:] = torch.tensor(list(more))
    return replace(
        batch,
        input_ids=ids[None],
        attention_mask=torch.ones(1, len(ids), dtype=torch.bool),
        video_slots=slots,
        labels=labels,
        ids=(batch.ids[row],),
        features=batch.features[row : row + 1, :frames],
        feature_mask=batch.feature_mask[row : row + 1, :frames],
        times_s=batch.times_s[row : row + 1, :frames],
    )


def likelihoods(model: TrackLM, batch: Batch, row: int, option: Sequence[int]) -> Tensor:
    """Log-likelihoods of an option's tokens by one full forward of the decoder with all logits."""
    full = row_of(batch, row, more=option)
    with torch.no_grad():
        prompted = model.prompted(full, bridged=True)
        out = model.decoder(
            inputs_embeds=prompted.embeddings, textreel=prompted.call, use_cache=False
        )
    logs = torch.log_softmax(out.logits[0, -len(option) - 1 : -1].float(), dim=-1)
    return logs.gather(1, torch.tensor(list(option))[:, None])[:, 0]
