"""A CLIP of random weights in a folder, as any user's model is; speed does not ask what they are.

Its text tower is as small as can be: nothing is written with it.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, PreTrainedTokenizerFast

WORDS = ("<pad>", "<unk>", "<s>", "</s>", "a")
PAD, UNKNOWN, START, END, _ = WORDS
MAX_TOKENS = 8
TEXT_TOWER = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "vocab_size": len(WORDS),
    "max_position_embeddings": MAX_TOKENS,
    "pad_token_id": WORDS.index(PAD),
    "bos_token_id": WORDS.index(START),
    "eos_token_id": WORDS.index(END),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipSize:
    """Shape of the picture tower; the default has 12 million weights."""

    layers: int = 6
    width: int = 384
    heads: int = 6
    image_px: int = 224
    patch_px: int = 32


def save_random_clip(folder: Path, size: ClipSize, *, seed: int) -> Path:
    """Write such a model into `folder` and return it."""
    picture = {
        "hidden_size": size.width,
        "intermediate_size": 4 * size.width,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "image_size": size.image_px,
        "patch_size": size.patch_px,
    }
    config = CLIPConfig(text_config=TEXT_TOWER, vision_config=picture, projection_dim=size.width)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        CLIPModel(config).save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"shortest_edge": size.image_px},
        crop_size={"height": size.image_px, "width": size.image_px},
    ).save_pretrained(folder)
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    ids = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, ids[START]), (END, ids[END])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=START,
        eos_token=END,
        model_max_length=MAX_TOKENS,
    )
