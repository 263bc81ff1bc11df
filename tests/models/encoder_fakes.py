"""Tiny random CLIP, SigLIP and tiny-towers models in folders, as any user's models are."""

from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
)

from textreel.models.tiny_towers import TinyTowers, TinyTowersConfig

WORDS = "a red blue green square circle moves left right the then and appears near of".split()
MAX_TOKENS = 12
TOWER = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
PICTURE = {**TOWER, "image_size": 24, "patch_size": 8}


def word_tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = ["<pad>", "<unk>", *WORDS, ".", ",", "<s>", "</s>"]
    ids = {word: i for i, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", ids["<s>"]), ("</s>", ids["</s>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        model_max_length=MAX_TOKENS,
    )


def text_tower(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    return {
        **TOWER,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": MAX_TOKENS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def save_clip(folder: Path, *, seed: int = 0) -> Path:
    tokenizer = word_tokenizer()
    config = CLIPConfig(text_config=text_tower(tokenizer), vision_config=PICTURE, projection_dim=10)
    save(folder, lambda: CLIPModel(config), tokenizer=tokenizer, seed=seed)
    sizes = {"size": {"shortest_edge": 24}, "crop_size": {"height": 24, "width": 24}}
    CLIPImageProcessorPil(**sizes).save_pretrained(folder)
    return folder


def save_siglip(folder: Path) -> Path:
    tokenizer = word_tokenizer()
    config = SiglipConfig(text_config=text_tower(tokenizer), vision_config=PICTURE)
    save(folder, lambda: SiglipModel(config), tokenizer=tokenizer, seed=1)
    SiglipImageProcessorPil(size={"height": 24, "width": 24}).save_pretrained(folder)
    return folder


def save_tiny_towers(folder: Path) -> Path:
    tokenizer = word_tokenizer()
    config = TinyTowersConfig(
        vocab_size=len(tokenizer),
        projection_dim=10,
        image_channels=(4, 4, 4, 4),
        image_hidden=8,
        text_width=8,
        max_position_embeddings=MAX_TOKENS,
        num_mel_bins=16,
        audio_channels=4,
    )
    save(folder, lambda: TinyTowers(config), tokenizer=tokenizer, seed=2)
    sizes = {"size": {"shortest_edge": 48}, "crop_size": {"height": 48, "width": 48}}
    CLIPImageProcessorPil(**sizes).save_pretrained(folder)
    return folder


def save(
    folder: Path,
    make: Callable[[], PreTrainedModel],
    *,
    tokenizer: PreTrainedTokenizerFast,
    seed: int,
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        make().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
