"""Tiny random image-LLMs of the real classes, as folders like those on Hugging Face."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

SIDE_PX, PATCH_PX = 32, 8
POSITIONS = 512
VOCABULARY = 320
GRID = [[32, 64], [64, 32], [64, 64]]
IM_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for p in m['content'] %}{% if p['type'] == 'image' %}IMAGE"
    "{% else %}{{ p['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
IDEFICS_CHAT = (
    "<|im_start|>{% for m in messages %}{{ m['role'] | capitalize }}"
    "{% if m['content'][0]['type'] == 'image' %}:{% else %}: {% endif %}"
    "{% for p in m['content'] %}{% if p['type'] == 'text' %}{{ p['text'] }}"
    "{% elif p['type'] == 'image' %}<image>{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
INST_CHAT = (
    "{% for m in messages %}{% if m['role'] == 'user' %}[INST] {% for p in m['content'] %}"
    "{% if p['type'] == 'image' %}<image>\n{% else %}{{ p['text'] }}{% endif %}{% endfor %} [/INST]"
    "{% else %}{% for p in m['content'] %} {{ p['text'] }}{% endfor %}</s>{% endif %}{% endfor %}"
)
GEMMA_CHAT = (
    "<s>{% for m in messages %}<start_of_turn>"
    "{{ 'model' if m['role'] == 'assistant' else 'user' }}\n"
    "{% for p in m['content'] %}{% if p['type'] == 'image' %}<start_of_image>"
    "{% else %}{{ p['text'] | trim }}{% endif %}{% endfor %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
SPECIALS = (
    "<pad> <s> </s> <unk> <|im_start|> <|im_end|> <image> <video> <|vision_start|> <|vision_end|> "
    "<|image_pad|> <|video_pad|> <fake_token_around_image> <global-img> <end_of_utterance> <img> "
    "</img> <IMG_CONTEXT> <start_of_image> <image_soft_token> <end_of_image> <start_of_turn> "
    "<end_of_turn>"
).split() + [f"<row_{r}_col_{c}>" for r in range(1, 5) for c in range(1, 5)]


@dataclass(frozen=True)
class Kind:
    """One family: its model, its image processor, its chat template and its end of an answer."""

    make: Callable[[dict[str, int]], Any]
    processor: Callable[[], Any]
    chat: str
    stop: str
    template_file: str = "chat_template.jinja"


def save_tokenizer(folder: Path) -> dict[str, int]:
    """Bytes, one merge (two line ends), and every family's special tokens; return their ids."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*alphabet, "ĊĊ"])}
    core = Tokenizer(models.BPE(vocabulary, [("Ċ", "Ċ")]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": SPECIALS[3:]})
    tokenizer.save_pretrained(folder)
    return {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIALS}


TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": POSITIONS,
    "initializer_range": 0.3,
    "pad_token_id": None,
}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE_PX,
    "patch_size": PATCH_PX,
    "initializer_range": 0.3,
}


def _idefics(ids: dict[str, int], name: str = "Idefics3") -> PreTrainedModel:
    config = getattr(transformers, f"{name}Config")(
        text_config={"model_type": "llama", **TEXT},
        vision_config=VISION,
        scale_factor=2,
        image_token_id=ids["<image>"],
        pad_token_id=ids["<pad>"],
    )
    return getattr(transformers, f"{name}ForConditionalGeneration")(config)


def _idefics_processor(name: str = "Idefics3") -> Any:
    return getattr(transformers, f"{name}ImageProcessorPil")(
        size={"longest_edge": 2 * SIDE_PX}, max_image_size={"longest_edge": SIDE_PX}
    )


def _llava(ids: dict[str, int]) -> PreTrainedModel:
    config = transformers.LlavaConfig(
        text_config={"model_type": "llama", **TEXT},
        vision_config={"model_type": "clip_vision_model", **VISION},
        image_token_id=ids["<image>"],
    )
    return transformers.LlavaForConditionalGeneration(config)


def _llava_next(ids: dict[str, int]) -> PreTrainedModel:
    config = transformers.LlavaNextConfig(
        text_config={"model_type": "mistral", **TEXT},
        vision_config={"model_type": "clip_vision_model", **VISION},
        image_token_id=ids["<image>"],
        image_grid_pinpoints=GRID,
    )
    return transformers.LlavaNextForConditionalGeneration(config)


def _onevision(ids: dict[str, int]) -> PreTrainedModel:
    config = transformers.LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **TEXT},
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **VISION},
        image_token_id=ids["<image>"],
        video_token_id=ids["<video>"],
        image_grid_pinpoints=GRID,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_2",
        vision_feature_layer=-1,
    )
    return transformers.LlavaOnevisionForConditionalGeneration(config)


def _clip_processor() -> Any:
    size = {"shortest_edge": SIDE_PX}
    crop = {"height": SIDE_PX, "width": SIDE_PX}
    return transformers.CLIPImageProcessorPil(size=size, crop_size=crop)


def _next_processor() -> Any:
    return transformers.LlavaNextImageProcessorPil(
        size={"shortest_edge": SIDE_PX},
        crop_size={"height": SIDE_PX, "width": SIDE_PX},
        image_grid_pinpoints=GRID,
    )


def _onevision_processor() -> Any:
    return transformers.LlavaOnevisionImageProcessorPil(
        size={"height": SIDE_PX, "width": SIDE_PX}, image_grid_pinpoints=GRID
    )


QWEN_TOKENS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}
QWEN_VISION = {
    "depth": 2,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_heads": 2,
    "patch_size": PATCH_PX,
    "spatial_merge_size": 2,
    "out_hidden_size": 32,
    "initializer_range": 0.3,
}


def _qwen2_5(ids: dict[str, int]) -> PreTrainedModel:
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            **TEXT,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]},
        },
        vision_config={
            **QWEN_VISION,
            "fullatt_block_indexes": [1],
            "window_size": 2 * 2 * PATCH_PX,
        },
        **{name: ids[token] for name, token in QWEN_TOKENS.items()},
    )
    return transformers.Qwen2_5_VLForConditionalGeneration(config)


def _qwen2(ids: dict[str, int]) -> PreTrainedModel:
    vision = {"embed_dim": 16, "hidden_size": 32}
    config = transformers.Qwen2VLConfig(
        text_config={
            **TEXT,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]},
        },
        vision_config={**QWEN_VISION, **vision},
        **{name: ids[token] for name, token in QWEN_TOKENS.items()},
    )
    return transformers.Qwen2VLForConditionalGeneration(config)


def _qwen3(ids: dict[str, int]) -> PreTrainedModel:
    config = transformers.Qwen3VLConfig(
        text_config={
            **TEXT,
            "head_dim": 8,
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [2, 1, 1],
                "mrope_interleaved": True,
                "rope_theta": 10000.0,
            },
        },
        vision_config={
            **QWEN_VISION,
            "deepstack_visual_indexes": [0],
            "num_position_embeddings": 16,
        },
        **{name: ids[token] for name, token in QWEN_TOKENS.items()},
    )
    return transformers.Qwen3VLForConditionalGeneration(config)


def _qwen_processor() -> Any:
    return transformers.Qwen2VLImageProcessorPil(
        patch_size=PATCH_PX, merge_size=2, size={"shortest_edge": 16**2, "longest_edge": 64**2}
    )


def _internvl(ids: dict[str, int]) -> PreTrainedModel:
    side, patch = [SIDE_PX, SIDE_PX], [PATCH_PX, PATCH_PX]
    config = transformers.InternVLConfig(
        text_config={"model_type": "qwen2", **TEXT},
        vision_config={**VISION, "image_size": side, "patch_size": patch},
        image_token_id=ids["<IMG_CONTEXT>"],
        downsample_ratio=0.5,
        vision_feature_layer=-1,
    )
    return transformers.InternVLForConditionalGeneration(config)


def _internvl_processor() -> Any:
    return transformers.GotOcr2ImageProcessorPil(
        size={"height": SIDE_PX, "width": SIDE_PX}, crop_to_patches=True, max_patches=4
    )


def _gemma3(ids: dict[str, int]) -> PreTrainedModel:
    config = transformers.Gemma3Config(
        text_config={**TEXT, "head_dim": 8, "sliding_window": 16, "rope_parameters": None},
        vision_config={"vision_use_head": False, **VISION},
        mm_tokens_per_image=4,
        boi_token_index=ids["<start_of_image>"],
        eoi_token_index=ids["<end_of_image>"],
        image_token_index=ids["<image_soft_token>"],
        image_token_id=ids["<image_soft_token>"],
    )
    return transformers.Gemma3ForConditionalGeneration(config)


def _gemma_processor() -> Any:
    return transformers.Gemma3ImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX})


def _im_chat(image: str) -> str:
    return IM_CHAT.replace("IMAGE", image)


KINDS = {
    "idefics3": Kind(_idefics, _idefics_processor, IDEFICS_CHAT, "<end_of_utterance>"),
    "llava_next": Kind(_llava_next, _next_processor, INST_CHAT, "</s>", "chat_template.json"),
    "qwen2_5_vl": Kind(
        _qwen2_5,
        _qwen_processor,
        _im_chat("<|vision_start|><|image_pad|><|vision_end|>"),
        "<|im_end|>",
    ),
    "qwen3_vl": Kind(
        _qwen3,
        _qwen_processor,
        _im_chat("<|vision_start|><|image_pad|><|vision_end|>"),
        "<|im_end|>",
    ),
    "llava_onevision": Kind(_onevision, _onevision_processor, _im_chat("<image>\n"), "<|im_end|>"),
    "smolvlm": Kind(
        lambda ids: _idefics(ids, "SmolVLM"),
        lambda: _idefics_processor("SmolVLM"),
        IDEFICS_CHAT,
        "<end_of_utterance>",
    ),
    "internvl": Kind(_internvl, _internvl_processor, _im_chat("<IMG_CONTEXT>\n"), "<|im_end|>"),
    "gemma3": Kind(_gemma3, _gemma_processor, GEMMA_CHAT, "<end_of_turn>"),
    "qwen2_vl": Kind(
        _qwen2,
        _qwen_processor,
        _im_chat("<|vision_start|><|image_pad|><|vision_end|>"),
        "<|im_end|>",
    ),
    "llava": Kind(_llava, _clip_processor, INST_CHAT, "</s>", "chat_template.json"),
}
"""Every family to its makers, the five that must work first."""


def save_image_llm(folder: Path, kind: str = "idefics3") -> Path:
    """Write a tiny random image-LLM of one kind."""
    made = KINDS[kind]
    folder.mkdir(parents=True, exist_ok=True)
    ids = save_tokenizer(folder)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = made.make(ids)
    model.generation_config.eos_token_id = ids[made.stop]
    model.save_pretrained(folder)
    made.processor().save_pretrained(folder)
    path = folder / made.template_file
    path.write_text(
        made.chat if path.suffix == ".jinja" else json.dumps({"chat_template": made.chat})
    )
    return folder
