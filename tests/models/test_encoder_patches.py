"""Patch tokens: those of the plain model, in any batches, and refused where a tower has none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import (
    CLIPImageProcessorPil,
    CLIPModel,
    SiglipImageProcessorPil,
    SiglipModel,
)

from tests.models.encoder_fakes import PICTURE, save_clip, save_siglip, save_tiny_towers
from textreel.models.encoder_errors import EncoderError, EncoderMemoryError
from textreel.models.encoder_patches import PatchTower
from textreel.models.encoders import DualEncoder, load_encoder

PATCHES = (PICTURE["image_size"] // PICTURE["patch_size"]) ** 2


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("encoders")
    folders = {"clip": save_clip(root / "clip"), "siglip": save_siglip(root / "siglip")}
    for kind, folder in folders.items():  # fresh layer norms are identities: make them count
        plain = {"clip": CLIPModel, "siglip": SiglipModel}[kind].from_pretrained(folder)
        norm = plain.vision_model.post_layernorm
        seeded = torch.Generator().manual_seed(3)
        norm.weight.data.uniform_(0.5, 2.0, generator=seeded)
        norm.bias.data.uniform_(-0.5, 0.5, generator=seeded)
        plain.save_pretrained(folder)
    return folders


@pytest.fixture(params=["clip", "siglip"])
def encoder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> DualEncoder:
    return load_encoder(folders[request.param])


def random_frames(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 3, 30, 40), dtype=np.uint8)


def test_clip_patches_are_those_of_the_plain_model_in_the_shared_space(
    folders: dict[str, Path],
) -> None:
    encoder = load_encoder(folders["clip"])
    plain = CLIPModel.from_pretrained(folders["clip"]).eval()
    frames = random_frames(3)
    pixels = CLIPImageProcessorPil.from_pretrained(folders["clip"])(
        list(frames), return_tensors="pt"
    ).pixel_values
    with torch.no_grad():
        tokens = plain.vision_model.post_layernorm(plain.vision_model(pixels).last_hidden_state)
        every = normalize(plain.visual_projection(tokens), dim=-1)
    patches = encoder.encode_patches(frames)
    assert patches.shape == (3, PATCHES, encoder.dim) and encoder.patch_dim == encoder.dim
    assert patches.dtype == torch.float32
    torch.testing.assert_close(patches, every[:, 1:], rtol=0, atol=0)
    torch.testing.assert_close(patches.norm(dim=-1), torch.ones(3, PATCHES))
    torch.testing.assert_close(encoder.encode_frames(frames), every[:, 0])


def test_siglip_patches_are_the_last_hidden_state_of_the_plain_model(
    folders: dict[str, Path],
) -> None:
    encoder = load_encoder(folders["siglip"])
    plain = SiglipModel.from_pretrained(folders["siglip"]).eval()
    frames = random_frames(3)
    pixels = SiglipImageProcessorPil.from_pretrained(folders["siglip"])(
        list(frames), return_tensors="pt"
    ).pixel_values
    with torch.no_grad():
        hidden = plain.vision_model(pixels).last_hidden_state
    patches = encoder.encode_patches(torch.tensor(frames))
    assert patches.shape == (3, PATCHES, PICTURE["hidden_size"])
    assert encoder.patch_dim == PICTURE["hidden_size"]
    torch.testing.assert_close(patches, hidden, rtol=0, atol=0)


def test_batches_change_no_patch_and_nothing_gives_nothing(encoder: DualEncoder) -> None:
    whole = encoder.encode_patches(random_frames(5))
    encoder._runner.budget["image"] = 2 * 3 * 24 * 24
    torch.testing.assert_close(encoder.encode_patches(random_frames(5)), whole)
    none = encoder.encode_patches(random_frames(0))
    assert none.shape == (0, PATCHES, encoder.patch_dim)


def test_patches_can_be_trained_on(encoder: DualEncoder) -> None:
    weight = torch.ones(encoder.patch_dim, requires_grad=True)
    (encoder.encode_patches(random_frames(1)) * weight).sum().backward()
    assert weight.grad is not None


def test_wrong_frames_and_numbers_that_are_not_finite_are_refused(encoder: DualEncoder) -> None:
    with pytest.raises(EncoderError, match="must be uint8"):
        encoder.encode_patches(np.zeros((2, 3, 8, 8), dtype=np.float32))
    encoder._model.vision_model.post_layernorm.bias.data[0] = torch.nan
    with pytest.raises(EncoderError, match="18 of 18 image vectors are not finite"):
        encoder.encode_patches(random_frames(2))


def test_batches_are_halved_until_they_fit(
    encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, plain, room = encoder.encode_patches(random_frames(4)), PatchTower.__call__, 1

    def limited(self: PatchTower, *, pixel_values: Tensor) -> Tensor:
        if len(pixel_values) > room:
            raise torch.OutOfMemoryError("out of memory")
        return plain(self, pixel_values=pixel_values)

    monkeypatch.setattr(PatchTower, "__call__", limited)
    torch.testing.assert_close(encoder.encode_patches(random_frames(4)), whole)
    room = 0
    with pytest.raises(EncoderMemoryError, match="not even one image fits into the memory"):
        encoder.encode_patches(random_frames(4))


def test_a_tower_without_patch_tokens_is_refused_by_name(tmp_path: Path) -> None:
    tiny = load_encoder(save_tiny_towers(tmp_path / "tiny"))
    message = "tiny is a TinyTowers, whose picture tower gives no patch tokens"
    with pytest.raises(EncoderError, match=message) as error:
        tiny.encode_patches(np.zeros((1, 3, 8, 8), dtype=np.uint8))
    assert "CLIP or SigLIP" in error.value.hint and "--patches" in error.value.hint
    with pytest.raises(EncoderError, match="gives no patch tokens"):
        _ = tiny.patch_dim
