"""The families' own composite processors, built without torchvision where that can be done."""

import contextlib
from typing import Any

import transformers
from transformers.utils import is_num2words_available


class NoVideo:
    """Stands where a video processor is wanted."""

    model_input_names = ()


def composite(kind: str, image_processor: Any, tokenizer: Any) -> Any:
    """Return the family's processor, or None where it cannot be built here."""
    chat = tokenizer.chat_template
    if kind == "idefics3":
        return transformers.Idefics3Processor(image_processor, tokenizer, 4, chat_template=chat)
    if kind == "smolvlm":
        if not is_num2words_available():
            return None
        return _unchecked("SmolVLMProcessor")(image_processor, tokenizer, NoVideo(), 4)
    if kind == "llava":
        return transformers.LlavaProcessor(
            image_processor, tokenizer, 8, "default", chat, num_additional_image_tokens=1
        )
    if kind == "llava_next":
        return transformers.LlavaNextProcessor(
            image_processor, tokenizer, 8, "default", chat, num_additional_image_tokens=1
        )
    if kind == "llava_onevision":
        return _unchecked("LlavaOnevisionProcessor")(
            image_processor,
            tokenizer,
            NoVideo(),
            num_image_tokens=16,
            vision_feature_select_strategy="full",
            vision_aspect_ratio="anyres_max_2",
        )
    if kind in {"qwen2_vl", "qwen2_5_vl", "qwen3_vl"}:
        names = {"qwen2_vl": "Qwen2VL", "qwen2_5_vl": "Qwen2_5_VL", "qwen3_vl": "Qwen3VL"}
        return _unchecked(f"{names[kind]}Processor")(image_processor, tokenizer, NoVideo())
    if kind == "gemma3":
        _name(tokenizer, boi_token="<start_of_image>", eoi_token="<end_of_image>")
        _name(tokenizer, image_token="<image_soft_token>")
        return transformers.Gemma3Processor(image_processor, tokenizer, image_seq_length=4)
    _name(tokenizer, start_image_token="<img>", end_image_token="</img>")
    _name(tokenizer, context_image_token="<IMG_CONTEXT>", video_token="<video>")
    return _unchecked("InternVLProcessor")(
        image_processor, tokenizer, NoVideo(), image_seq_length=4
    )


def _name(tokenizer: Any, **tokens: str) -> None:
    for name, token in tokens.items():
        for attribute, value in ((name, token), (f"{name}_id", tokenizer.vocab[token])):
            with contextlib.suppress(AttributeError):
                object.__setattr__(tokenizer, attribute, value)


def _unchecked(name: str) -> Any:
    base = getattr(transformers, name)
    return type(base.__name__, (base,), {"check_argument_for_proper_class": lambda *_: None})
