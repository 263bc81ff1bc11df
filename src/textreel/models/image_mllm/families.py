"""Which image-LLMs are known, by the `model_type` of their configuration."""

from collections.abc import Callable
from typing import Any

from textreel.models.errors import DecoderUnsupportedError
from textreel.models.image_mllm.gemma import gemma
from textreel.models.image_mllm.idefics import idefics
from textreel.models.image_mllm.internvl import internvl
from textreel.models.image_mllm.llava import llava
from textreel.models.image_mllm.pictures import Family
from textreel.models.image_mllm.qwen import qwen

FAMILIES: dict[str, Callable[[Any, Any], Family]] = {
    "idefics3": idefics,
    "smolvlm": idefics,
    "llava": llava,
    "llava_next": llava,
    "llava_onevision": llava,
    "qwen2_vl": qwen,
    "qwen2_5_vl": qwen,
    "qwen3_vl": qwen,
    "internvl": internvl,
    "gemma3": gemma,
}
"""Every `model_type` to what makes its family of a configuration and a tokenizer."""


def find_family(config: Any, tokenizer: Any) -> Family:  # noqa: ANN401
    """Return the family of a model.

    Raises:
        DecoderUnsupportedError: a kind of image-LLM that is not known here.
        ModelConfigError: model and tokenizer do not fit together.
    """
    kind = str(config.model_type)
    if kind not in FAMILIES:
        raise DecoderUnsupportedError(
            f"image-LLMs of kind {kind!r} are not known here",
            hint=f"known are {', '.join(sorted(FAMILIES))}",
        )
    return FAMILIES[kind](config, tokenizer)
