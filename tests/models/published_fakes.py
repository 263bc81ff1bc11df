"""Tiny random weights in the published files' own names and layout."""

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    ClapAudioConfig,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapTextConfig,
    OPTConfig,
)

from tests.models.encoder_fakes import MAX_TOKENS, save, word_tokenizer
from textreel.models.eva_vit import EvaConfig, EvaViT
from textreel.models.frame_qformer import FrameQFormer
from textreel.models.imagebind import ImageBind, ImageBindConfig, TowerShape
from textreel.models.qformer import QFormerShape
from textreel.models.qformer_connector import QFormerConnector, QFormerConnectorConfig

SMALL = TowerShape(width=8, blocks=1, heads=2)
IMAGEBIND = ImageBindConfig(image=SMALL, sound=SMALL, text=SMALL, dim=6)
EVA = EvaConfig(image_px=28, width=8, depth=2, heads=2, mlp_hidden=12)
QFORMER = QFormerShape(
    encoder_width=8, width=12, queries=3, layers=2, heads=2, mlp_hidden=16, cross_every=2
)
_GROUPS = {
    "cls_token": "preprocessors",
    "positions": "preprocessors",
    "stem": "preprocessors",
    "stem_norm": "preprocessors",
    "tokens": "preprocessors",
    "pre_norm": "trunks",
    "blocks": "trunks",
    "norm": "heads",
    "project": "heads",
    "log_scale": "postprocessors",
}
_RESTS = {
    "positions": "pos_embedding_helper.pos_embed",
    "stem": "rgbt_stem.proj",
    "stem_norm": "rgbt_stem.norm_layer",
    "tokens": "token_embedding",
    "pre_norm": "pre_transformer_layer.0",
    "norm": "0",
    "project": "2",
    "log_scale": "1.log_logit_scale",
}


def fill(module: nn.Module, *, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)


def imagebind_names(model: ImageBind) -> dict[str, Tensor]:
    """A model's weights under the published names, with some that are not needed."""
    published = {}
    for name, value in model.state_dict().items():
        sense, part, *rest = name.split(".")
        theirs = {"image": "vision", "sound": "audio", "text": "text"}[sense]
        known = _RESTS.get(part, part)
        if sense == "text":
            known = {"positions": "pos_embed", "norm": "proj.0", "project": "proj.1"}.get(
                part, known
            )
        if (sense, part) == ("image", "stem"):
            known += ".1"
        key = ".".join([f"modality_{_GROUPS[part]}", theirs, known, *rest])
        published[key] = value
    published["modality_preprocessors.text.mask"] = torch.zeros(77, 77)
    published["modality_heads.depth.0.weight"] = torch.zeros(4)
    return published


def save_imagebind(path: Path, *, seed: int = 0) -> ImageBind:
    model = ImageBind(IMAGEBIND).eval()
    fill(model, seed=seed)
    torch.save(imagebind_names(model), path)
    return model


def save_frame_qformer(eva_path: Path, blip2_path: Path) -> FrameQFormer:
    """Write both files; the transformer's has a third block, which is not built."""
    model = FrameQFormer(EVA, qformer=QFORMER).eval()
    fill(model, seed=1)
    longer = EvaViT(EvaConfig(image_px=28, width=8, depth=3, heads=2, mlp_hidden=12))
    eva = {**longer.state_dict(), **model.vit.state_dict(), "norm.weight": torch.ones(8)}
    torch.save(eva, eva_path)
    rest = {"query_tokens": model.qformer.queries.data, "t5_proj.weight": torch.zeros(3, 12)}
    rest |= {f"ln_vision.{key}": value for key, value in model.ln_vision.state_dict().items()}
    for name, value in model.qformer.body.state_dict().items():
        rest[f"Qformer.{_bert_name(name)}"] = value
    rest["Qformer.bert.embeddings.position_ids"] = torch.arange(16)[None]
    torch.save({"model": rest}, blip2_path)
    return model


def save_clap(folder: Path, *, fusion: bool = False) -> Path:
    """A tiny CLAP that hears two seconds at 8 kHz."""
    tokenizer = word_tokenizer()
    audio = ClapAudioConfig(
        window_size=4,
        num_mel_bins=16,
        spec_size=64,
        patch_size=2,
        patch_stride=[2, 2],
        patch_embeds_hidden_size=8,
        hidden_size=16,
        depths=[1, 1],
        num_attention_heads=[2, 2],
        num_hidden_layers=2,
        enable_fusion=fusion,
    )
    text = ClapTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=MAX_TOKENS + 4,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = ClapConfig(audio_config=audio, text_config=text, projection_dim=10)
    save(folder, lambda: ClapModel(config), tokenizer=tokenizer, seed=3)
    ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=8_000,
        hop_length=128,
        fft_window_size=256,
        max_length_s=2,
        frequency_min=50,
        frequency_max=4_000,
        truncation="fusion" if fusion else "rand_trunc",
    ).save_pretrained(folder)
    return folder


def save_blip2(folder: Path, *, shard_size: str = "50GB") -> Blip2ForConditionalGeneration:
    """A tiny whole BLIP-2, language model included."""
    vision = Blip2VisionConfig(
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
    )
    qformer = Blip2QFormerConfig(
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        encoder_hidden_size=8,
    )
    text = OPTConfig(
        hidden_size=8, ffn_dim=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=20
    )
    config = Blip2Config(
        vision_config=vision, qformer_config=qformer, text_config=text, num_query_tokens=3
    )
    model = Blip2ForConditionalGeneration(config).eval()
    fill(model, seed=4)
    for layer in model.vision_model.encoder.layers:
        layer.self_attn.qkv.bias.data[8:16] = 0  # keys have none
    model.save_pretrained(folder, max_shard_size=shard_size)
    return model


BRANCHES = {
    "image": QFormerConnectorConfig(
        feature_dim=12, vectors_per_step=3, queries=2, width=16, heads=2, mlp_hidden=24, max_steps=4
    ),
    "sound": QFormerConnectorConfig(
        feature_dim=6, vectors_per_step=1, queries=3, width=16, heads=2, mlp_hidden=24, max_steps=2
    ),
}
_BRANCH_NAMES = {
    "image": ("video_frame_position_embedding.weight", "video", "llama_proj"),
    "sound": ("audio_position_embedding.weight", "audio", "audio_llama_proj"),
}


def save_branch(path: Path, name: str, *, model_dim: int) -> QFormerConnector:
    """A checkpoint of one branch, as the published trainer writes it."""
    generator = torch.Generator().manual_seed(5)
    model = QFormerConnector(BRANCHES[name], model_dim=model_dim, generator=generator)
    table, prefix, project = _BRANCH_NAMES[name]
    theirs = {table: model.positions.weight, f"{prefix}_query_tokens": model.qformer.queries}
    theirs |= {f"{project}.{key}": value for key, value in model.project.state_dict().items()}
    for key, value in model.qformer.body.state_dict().items():
        theirs[f"{prefix}_Qformer.{_bert_name(key)}"] = value
    theirs |= {
        "Qformer.bert.embeddings.position_ids": torch.arange(16)[None],
        "llama_model.model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2),
        "audio_encoder.modality_preprocessors.text.mask": torch.zeros(77, 77),
        "audio_encoder.modality_postprocessors.audio.1.log_logit_scale": torch.tensor(3.0),
    }
    plain = {key: value.detach().clone() for key, value in theirs.items()}
    torch.save({"model": plain, "optimizer": {"state": {}}, "epoch": 3, "scaler": {}}, path)
    return model.eval()


def _bert_name(ours: str) -> str:
    theirs = ours.replace(".attention.attention.", ".attention.self.")
    theirs = theirs.replace(".crossattention.attention.", ".crossattention.self.")
    return f"bert.{theirs.replace('layernorm.', 'embeddings.LayerNorm.')}"
