"""The frozen frame encoder; what published code computes: tests/parity/test_videollama_*.py."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.models.published_fakes import EVA, QFORMER, save_frame_qformer
from textreel.models.encoder_errors import EncoderError
from textreel.models.eva_vit import EvaConfig, EvaViT, resize_positions
from textreel.models.frame_qformer import FrameQFormer, load_eva, load_frame_qformer
from textreel.models.published_files import PublishedFileError
from textreel.models.qformer import QFormer, QFormerShape


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("blip2")
    paths = {"eva": folder / "eva_vit_g.pth", "blip2": folder / "blip2.pth"}
    save_frame_qformer(paths["eva"], paths["blip2"])
    return paths


def load(files: dict[str, Path], **options) -> FrameQFormer:
    return load_frame_qformer(**files, eva_config=EVA, qformer=QFORMER, **options)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_published_parts_have_their_published_sizes() -> None:
    with torch.device("meta"):
        model = FrameQFormer(EvaConfig(), qformer=QFormerShape())
    assert round(count(model.vit) / 1e6, 1) == 985.9
    assert round(count(model.qformer.body) / 1e6, 1) == 105.1
    assert model.vit.pos_embed.shape == (1, 257, 1408) and len(model.vit.blocks) == 39
    layers = model.qformer.body.encoder.layer
    assert [layer.has_cross_attention for layer in layers] == [True, False] * 6


@pytest.mark.parametrize(
    ("width", "queries", "size"), [(768, 32, 18_905_088), (1024, 8, 19_691_520)]
)
def test_video_llama_s_own_qformers_have_their_published_sizes(width, queries, size) -> None:
    shape = QFormerShape(encoder_width=width, queries=queries, layers=2, cross_every=1)
    with torch.device("meta"):
        model = QFormer(shape)
    assert count(model.body) == size
    assert all(layer.has_cross_attention for layer in model.body.encoder.layer)


@torch.no_grad()
def test_both_files_give_the_model_that_was_saved(files: dict[str, Path]) -> None:
    saved = save_frame_qformer(files["eva"], files["blip2"])
    pixels = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    found = load(files, half_weights=False)(pixels)
    assert found.shape == (2, 3, 12)
    torch.testing.assert_close(found, saved(pixels))
    rounded = load(files)(pixels)
    assert 0 < (rounded - found).abs().max() < 0.05


def test_half_weights_round_layers_but_not_norms_and_query_biases(files: dict[str, Path]) -> None:
    exact, rounded = load(files, half_weights=False), load(files)
    for name, value in rounded.state_dict().items():
        before = exact.state_dict()[name]
        layer = "proj" in name or "mlp" in name or "qkv" in name
        half = name.startswith("vit.") and layer
        assert torch.equal(value, before.half().float() if half else before), name


@torch.no_grad()
def test_another_picture_size_gets_an_interpolated_table(files: dict[str, Path]) -> None:
    model = load_frame_qformer(**files, eva_config=replace(EVA, image_px=42), qformer=QFORMER)
    assert model(torch.zeros(1, 3, 42, 42)).shape == (1, 3, 12)
    table = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
    larger = resize_positions(table, side=4)
    assert larger.shape == (1, 17, 8) and torch.equal(larger[:, 0], table[:, 0])
    flat = torch.cat([table[:, :1], torch.ones(1, 4, 8)], dim=1)
    torch.testing.assert_close(resize_positions(flat, side=3)[:, 1:], torch.ones(1, 9, 8))
    with pytest.raises(PublishedFileError, match="relative position bias for 4 patches cannot be"):
        load_eva(files["eva"], config=replace(EVA, image_px=42, relative_bias=True))


def test_files_in_each_other_s_place_are_refused(files: dict[str, Path]) -> None:
    with pytest.raises(PublishedFileError, match="does not fit BLIP-2"):
        load({"eva": files["blip2"], "blip2": files["eva"]})
    with pytest.raises(PublishedFileError, match="does not fit EVA ViT-g"):
        load({"eva": files["blip2"], "blip2": files["blip2"]})
    with pytest.raises(PublishedFileError, match="weights have another shape"):
        load_frame_qformer(**files, eva_config=EVA, qformer=replace(QFORMER, mlp_hidden=20))
    with pytest.raises(PublishedFileError, match="weights are missing"):
        load_eva(files["eva"], config=replace(EVA, depth=5))


def test_inputs_and_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(EncoderError, match=r"takes pixels \(N, 3, 28, 28\), got \(1, 3, 42"):
        EvaViT(EVA)(torch.zeros(1, 3, 42, 42))
    with pytest.raises(EncoderError, match="image_px=30 must be a multiple of patch_px=14"):
        EvaConfig(image_px=30)


@torch.no_grad()
def test_a_masked_feature_is_not_read() -> None:
    model = QFormer(QFORMER).eval()
    features = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, True, True, False]])
    whole, masked = model(features), model(features, mask)
    torch.testing.assert_close(masked, model(features[:, :3]))
    assert not torch.allclose(whole, masked, atol=1e-4)
