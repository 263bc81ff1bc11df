"""The frozen encoders inside Video-LLaMA, read from its five kinds of file, stage by stage."""

import pytest
import torch

from tests.parity.cases import Case, find_cases, outputs_of
from tests.parity.test_imagebind_trunk import config_of
from textreel.models.eva_vit import EvaConfig
from textreel.models.frame_qformer import FrameQFormer, load_frame_qformer
from textreel.models.imagebind_files import load_imagebind
from textreel.models.qformer import QFormerShape

CASES = find_cases("videollama-*")


def frame_encoder(case: Case) -> FrameQFormer:
    told = case.json["config"]
    vit, bert = told["vit"], told["bert"]
    eva = EvaConfig(
        image_px=vit["image_size"],
        patch_px=vit["patch_size"],
        width=vit["embed_dim"],
        depth=vit["depth"],
        heads=vit["num_heads"],
        mlp_hidden=vit["mlp_hidden"],
        qkv_bias=vit["qkv_bias"],
        eps=vit["eps"],
    )
    shape = QFormerShape(
        encoder_width=vit["embed_dim"],
        width=bert["hidden_size"],
        queries=told["num_query_token"],
        layers=bert["num_hidden_layers"],
        heads=bert["num_attention_heads"],
        mlp_hidden=bert["intermediate_size"],
        cross_every=bert["cross_attention_freq qformer"],
    )
    return load_frame_qformer(
        case.file("eva_vit_g.pth"),
        blip2=case.file("blip2_pretrained_flant5xxl.pth"),
        eva_config=eva,
        qformer=shape,
        half_weights=False,
    )


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_the_frame_encoder_is_as_published(case: Case) -> None:
    model, tolerance = frame_encoder(case), case.tolerance("stages")
    modules = {"vit_patch_embed": model.vit.patch_embed, "vit": model.vit}
    modules |= {f"vit_block{i}": block for i, block in enumerate(model.vit.blocks)}
    modules |= {"ln_vision": model.ln_vision, "qformer_embeddings": model.qformer.body.layernorm}
    layers = model.qformer.body.encoder.layer
    modules |= {f"qformer_layer{i}": layer for i, layer in enumerate(layers)}
    pixels = case.tensors["in.video"].permute(0, 2, 1, 3, 4).flatten(0, 1)
    with outputs_of(modules) as seen:
        seen["qformer"] = model(pixels)
    assert len(seen) == 5 + len(model.vit.blocks) + len(layers)
    for name, found in seen.items():
        found = found[0] if isinstance(found, tuple) else found
        case.close(found, f"out.video.{name}", tolerance)


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_imagebind_inside_is_as_published(case: Case) -> None:
    config = config_of(case.json["config"]["imagebind kwargs"])
    model = load_imagebind(case.file("imagebind_huge.pth"), config=config)
    mels = case.tensors["in.audio"]
    feature = model.sound.feature(mels.flatten(0, 1)).unflatten(0, mels.shape[:2])
    case.close(feature, "out.audio.feature", case.tolerance("stages"))
    found = model.sound_vectors(mels, scale="published")
    case.close(found, "out.audio.finalout", case.tolerance("audio finalout (x20)"))
