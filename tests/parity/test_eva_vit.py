"""EVA's transformer against the published code: every stage, every stored case."""

import pytest
import torch

from tests.parity.cases import Case, Tolerance, find_cases, outputs_of
from textreel.models.eva_vit import EvaConfig, EvaViT, resize_positions
from textreel.models.frame_qformer import load_eva

CASES = find_cases("eva-vit-*")


def config_of(case: Case, **other) -> EvaConfig:
    told = case.json["config"]
    return EvaConfig(
        **{
            "image_px": told["img_size"],
            "patch_px": told["patch_size"],
            "width": told["embed_dim"],
            "depth": told["depth"],
            "heads": told["num_heads"],
            "mlp_hidden": told["mlp_hidden"],
            "qkv_bias": told["qkv_bias"],
            "layer_scale": bool(told.get("init_values")),
            "relative_bias": told.get("use_rel_pos_bias", False),
            "eps": told["eps"],
            **other,
        }
    )


def load(case: Case, *, half: bool = False, **other) -> EvaViT:
    config = config_of(case, **other)
    return load_eva(case.file("checkpoint.pth"), config=config, half_weights=half)


def tolerance_of(case: Case) -> Tolerance:
    """The file's, in proportion to the residual stream: a wrong eps shows in small values only."""
    told = case.tolerance()
    return Tolerance(
        told.atol * min(1.0, case.json["config"].get("residual_scale", 1.0)), told.rtol
    )


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_every_stage_is_as_published(case: Case) -> None:
    model = load(case)
    stages = {f"out.block{i}": block for i, block in enumerate(model.blocks)}
    with outputs_of({"out.patch_embed": model.patch_embed, **stages}) as seen:
        seen["out.vit"] = model(case.tensors["in.image"])
    assert len(seen) == 2 + len(model.blocks)
    for name, found in seen.items():
        case.close(found, name, tolerance_of(case))


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_the_parts_of_a_block_are_as_published(case: Case) -> None:
    block, tokens = load(case).blocks[0], case.tensors["in.block0_alone"]
    case.close(block.attn(block.norm1(tokens)), "out.block0_attn", tolerance_of(case))
    case.close(block.mlp(block.norm2(tokens)), "out.block0_mlp", tolerance_of(case))
    case.close(block(tokens), "out.block0_alone", tolerance_of(case))


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_another_picture_size_is_as_published(case: Case) -> None:
    told = case.json["config"]
    pixels = told["interpolated to image size"]
    table = resize_positions(load(case).pos_embed, side=pixels // told["patch_size"])
    tolerance = case.tolerance(after="interpolation")
    case.close(table, "out.pos_embed_interpolated", tolerance)
    if "out.vit_new" in case.tensors:
        model = load(case, image_px=pixels)
        case.close(model(case.tensors["in.image_new"]), "out.vit_new", tolerance_of(case))


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_half_weights_are_as_published(case: Case) -> None:
    found = load(case, half=True)(case.tensors["in.image"])
    case.close(found, "out.vit_fp16_rounded_weights", tolerance_of(case))
    difference = (found - case.tensors["out.vit"]).abs().max()
    assert difference > tolerance_of(case).atol, "rounding changed nothing that this would see"
