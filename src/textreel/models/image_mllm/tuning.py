"""What of an image-LLM learns: all of it or LoRA updates, its eyes or not; and merging LoRA again.

T2Vid's own runs train everything, Mini-InternVL's with the vision encoder frozen (arXiv 2411.19951,
appendix; `finetune_ds.sh`).
"""

from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel

from textreel.models.adapters import LoraSettings, add_lora
from textreel.models.errors import ModelConfigError
from textreel.models.image_mllm.frame_lm import FrameLM

VISION_PARTS = ("vision_tower", "vision_model", "visual")
"""Names of the parts that look, in transformers' image-LLMs."""
LANGUAGE_PARTS = ("language_model", "text_model")
"""Names of the part that speaks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuning:
    """What learns.

    Attributes:
        lora: updates of the language model's linear maps; None: all weights learn.
        vision: whether the part that looks learns too; only without LoRA.
        checkpoint_activations: compute activations again on the way back, for less memory.
    """

    lora: LoraSettings | None = None
    vision: bool = True
    checkpoint_activations: bool = False


def tune(model: FrameLM, tuning: Tuning, *, generator: torch.Generator) -> None:
    """Prepare a model for training, in place: set what requires gradients.

    Args:
        model: freshly loaded.
        tuning: what learns.
        generator: draws the start of LoRA updates.

    Raises:
        ModelConfigError: the model has no part that is known to look, or LoRA names no linear map.
    """
    looking = [part for name, part in model.named_modules() if _is_vision(name)]
    if not looking:
        raise ModelConfigError(
            f"{model.family.name}: none of its parts is called {', '.join(VISION_PARTS)}"
        )
    model.requires_grad_(tuning.lora is None)
    if tuning.lora is not None:
        add_lora(_language_part(model), tuning.lora, generator=generator)
    if not tuning.vision or tuning.lora is not None:
        for part in looking:
            part.requires_grad_(False)
    if tuning.checkpoint_activations:
        _checkpoint_activations(model.model)


def _checkpoint_activations(model: PreTrainedModel) -> None:
    how = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):  # its name in later transformers
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=how)
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=how)


def merge_lora(model: FrameLM) -> int:
    """Add LoRA updates to the weights they belong to, in place, and take the updates out.

    Returns:
        How many linear maps had one.

    Raises:
        ModelConfigError: the model has no LoRA updates.
    """
    merged = 0
    for name, module in list(model.named_modules()):
        if not hasattr(module, "lora_A") or not hasattr(module, "get_base_layer"):
            continue
        module.merge()
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, module.get_base_layer())
        merged += 1
    if not merged:
        raise ModelConfigError(
            "there are no LoRA updates to merge", hint="this model was trained as a whole"
        )
    return merged


def _is_vision(name: str) -> bool:
    return name.rsplit(".", 1)[-1] in VISION_PARTS


def _language_part(model: FrameLM) -> nn.Module:
    """Return the language model inside; LoRA's names would else match the part that looks too."""
    for name, part in model.named_modules():
        if name.rsplit(".", 1)[-1] in LANGUAGE_PARTS and not any(
            _is_vision(".".join(name.split(".")[:end])) for end in range(1, name.count(".") + 1)
        ):
            return part
    raise ModelConfigError(f"{model.family.name}: no part is called {' or '.join(LANGUAGE_PARTS)}")
