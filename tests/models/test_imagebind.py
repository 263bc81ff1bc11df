"""ImageBind's towers; what published code computes: tests/parity/test_imagebind_trunk.py."""

from pathlib import Path

import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from tests.models.published_fakes import IMAGEBIND, imagebind_names, save_imagebind
from textreel.models.encoder_errors import EncoderError
from textreel.models.imagebind import ImageBind, ImageBindConfig
from textreel.models.imagebind_files import load_imagebind
from textreel.models.published_files import PublishedFileError


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("imagebind") / "imagebind_huge.pth"
    save_imagebind(path)
    return path


@pytest.fixture(scope="module")
def model(file: Path) -> ImageBind:
    return load_imagebind(file, config=IMAGEBIND)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_published_towers_have_their_published_sizes() -> None:
    with torch.device("meta"):
        model = ImageBind(ImageBindConfig())
    assert round(count(model.sound) / 1e6, 1) == 86.2
    assert round(count(model.image) / 1e6, 1) == 632.8
    assert model.image.positions.shape[1] == 257 and model.sound.positions.shape[1] == 229


def test_every_weight_is_read_under_the_published_names(file: Path, model: ImageBind) -> None:
    wanted = torch.load(file, weights_only=True)
    found = imagebind_names(model)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_only_the_senses_asked_for_are_built(file: Path) -> None:
    heard = load_imagebind(file, config=IMAGEBIND, senses=["sound"])
    assert {name.split(".")[0] for name in heard.state_dict()} == {"sound"}


def test_the_file_of_another_model_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(PublishedFileError, match="weights are missing"):
        load_imagebind(file)  # another depth
    table = torch.load(file, weights_only=True)
    torch.save(table | {"modality_trunks.vision.extra": torch.zeros(1)}, tmp_path / "more.pth")
    with pytest.raises(PublishedFileError, match=r"1 are left over \(first: modality_trunks.vis"):
        load_imagebind(tmp_path / "more.pth", config=IMAGEBIND)
    torch.save({"backbone.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(PublishedFileError, match=r"1 are left over \(first: backbone.weight\)"):
        load_imagebind(tmp_path / "other.pth", config=IMAGEBIND)


@torch.no_grad()
def test_clips_keep_their_axis_and_the_scale_is_told(model: ImageBind) -> None:
    mels = torch.randn(2, 3, 1, 128, 204, generator=torch.Generator().manual_seed(0))
    unit = model.sound_vectors(mels, scale="unit")
    assert unit.shape == (2, 3, 6)
    assert torch.allclose(unit.norm(dim=-1), torch.ones(2, 3))
    published = model.sound_vectors(mels, scale="published")
    assert torch.allclose(published.norm(dim=-1), torch.full((2, 3), 20.0))
    alone = model.sound_vectors(mels[1, 2], scale="unit")
    assert torch.allclose(alone, unit[1, 2], atol=1e-6)


@torch.no_grad()
def test_a_still_is_a_pair_of_equal_frames(model: ImageBind) -> None:
    still = torch.randn(1, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    pair = still[:, :, None].repeat(1, 1, 2, 1, 1)
    assert torch.allclose(model.image_vectors(still), model.image_vectors(pair))


@torch.no_grad()
def test_text_is_read_up_to_its_end_and_not_beyond(model: ImageBind) -> None:
    ids = torch.tensor([[5, 7, 49_407, 0, 0], [5, 7, 49_407, 3, 9], [7, 5, 49_407, 0, 0]])
    first, padded, other = model.text_vectors(ids)
    assert torch.allclose(first, padded, atol=1e-6)
    assert not torch.allclose(first, other, atol=1e-3)


@torch.no_grad()
def test_the_text_tower_is_clip_s_with_exact_gelu(model: ImageBind) -> None:
    """No golden tensors hold texts: transformers' own CLIP is the second opinion."""
    width, ours = 8, model.text
    config = CLIPTextConfig(
        vocab_size=49_408,
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=6,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=77,
        hidden_act="gelu",
        layer_norm_eps=1e-6,
        eos_token_id=49_407,
    )
    theirs = CLIPTextModelWithProjection(config).eval()
    body, block = theirs.text_model, ours.blocks[0]
    layer = body.encoder.layers[0]
    body.embeddings.token_embedding.weight.copy_(ours.tokens.weight)
    body.embeddings.position_embedding.weight.copy_(ours.positions[0])
    parts = zip(
        block.attn.in_proj_weight.chunk(3), block.attn.in_proj_bias.chunk(3), "qkv", strict=True
    )
    for weight, bias, name in parts:
        getattr(layer.self_attn, f"{name}_proj").weight.copy_(weight)
        getattr(layer.self_attn, f"{name}_proj").bias.copy_(bias)
    for mine, other in (
        (block.attn.out_proj, layer.self_attn.out_proj),
        (block.norm_1, layer.layer_norm1),
        (block.norm_2, layer.layer_norm2),
        (block.mlp.fc1, layer.mlp.fc1),
        (block.mlp.fc2, layer.mlp.fc2),
        (ours.norm, body.final_layer_norm),
        (ours.project, theirs.text_projection),
    ):
        other.load_state_dict(mine.state_dict())
    ids = torch.tensor([[49_406, 320, 1929, 49_407, 0], [49_406, 5, 49_407, 0, 0]])
    torch.testing.assert_close(ours(ids), theirs(ids).text_embeds, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_inputs_of_another_shape_are_refused(model: ImageBind) -> None:
    with pytest.raises(EncoderError, match="square pictures of a multiple of 14 px, got 28 x 30"):
        model.image_vectors(torch.zeros(1, 3, 28, 30))
    with pytest.raises(EncoderError, match=r"hears mel pictures \(1, 128, 204\), got \(1, 128"):
        model.sound_vectors(torch.zeros(1, 1, 128, 100), scale="unit")
    with pytest.raises(EncoderError, match="reads 77 tokens, got rows of 78"):
        model.text_vectors(torch.zeros(1, 78, dtype=torch.long))
