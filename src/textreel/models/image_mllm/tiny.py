"""The world's tiny image-LLM: Idefics3's classes around the tiny decoder, 2 million parameters.

    96 px picture -> 8 x 8 patches -> 3 layers of 96 -> shuffled 2 x 2 -> 16 vectors -> decoder

One row of patches stands for one line of a page of the world, and a patch for two of its letters.
The decoder's weights are those it is given; the eyes are random, but for where some heads look at
first (`tiny_eyes`). Prompts are written as the decoder learned them; it has three more words, which
stand around and for pictures.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from textreel.models.image_mllm.families import find_family
from textreel.models.image_mllm.frame_lm import FrameLM
from textreel.models.image_mllm.idefics import FAKE, GLOBAL
from textreel.models.image_mllm.loading import ImageLLM
from textreel.models.image_mllm.pictures import PictureReader, PictureSettings
from textreel.models.image_mllm.tiny_eyes import look_beside

SIDE_PX, PATCH_PX, SCALE = 96, 12, 2
VISION = {
    "hidden_size": 96,
    "intermediate_size": 192,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "image_size": SIDE_PX,
    "patch_size": PATCH_PX,
    "initializer_range": 0.04,
}
CONNECTOR_STD = 0.0085
"""At the start a picture's vectors are then as long as the decoder's words; six times as long, they
were learned more slowly (docs/LOG.md)."""
IMAGE = "<image>"
PIL_BOX = 4
"""Pillow's number of the box filter: 192 px to 96 px is then the exact 2 x 2 mean."""
CHAT = (
    "{% for m in messages %}{% for p in m['content'] %}{% if p['type'] == 'image' %}"
    "{% if loop.first %}video : {% endif %}<image> . {% elif m['role'] == 'user' %}"
    "question : {{ p['text'] }} {% else %}answer : {{ p['text'] }}<eos> {% endif %}"
    "{% endfor %}{% endfor %}"
)
"""As `data.templates.TINY` writes questions, in turns."""


def new_tiny_image_llm(decoder: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> ImageLLM:
    """Build an image-LLM around a decoder; its eyes are drawn from torch's global generator.

    Args:
        decoder: of a class that knows no pictures; its weights are copied.
        tokenizer: its own, word by word, whose `<eos>` ends an answer; it is changed.
    """
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE, FAKE, GLOBAL]})
    tokenizer.chat_template = CHAT
    text = decoder.config.to_dict() | {"vocab_size": len(tokenizer)}
    config = Idefics3Config(
        text_config=text,
        vision_config=VISION,
        scale_factor=SCALE,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    model = Idefics3ForConditionalGeneration(config)
    look_beside(model.model.vision_model)
    nn.init.normal_(model.model.connector.modality_projection.proj.weight, 0.0, CONNECTOR_STD)
    _take_over(decoder, model)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    family = find_family(model.config, tokenizer)
    side = {"longest_edge": SIDE_PX}
    processor: Any = Idefics3ImageProcessorPil(size=side, max_image_size=side, resample=PIL_BOX)
    return ImageLLM(
        model=FrameLM(model, family),
        reader=PictureReader(processor, family, PictureSettings()),
        tokenizer=tokenizer,
        name="tiny image-LLM",
        path=Path(),
    )


@torch.no_grad()
def _take_over(decoder: PreTrainedModel, model: Idefics3ForConditionalGeneration) -> None:
    """Copy the decoder's weights; new words keep their random ones."""
    theirs = decoder.base_model.state_dict()
    for name, values in model.model.text_model.state_dict().items():
        values[: len(theirs[name])] = theirs[name]
    model.tie_weights()
