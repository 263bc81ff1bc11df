"""ImageBind's towers against the published code, stage by stage."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.parity.cases import Case, Tolerance, find_cases
from textreel.models.imagebind import ImageBind, ImageBindConfig, TowerShape
from textreel.models.imagebind_files import load_imagebind

CASES = find_cases("imagebind-trunk-*")


def config_of(told: dict) -> ImageBindConfig:
    """From upstream's keyword arguments."""

    def shape(sense: str) -> TowerShape:
        keys = ("embed_dim", "num_blocks", "num_heads")
        width, blocks, heads = (told[f"{sense}_{key}"] for key in keys)
        return TowerShape(width=width, blocks=blocks, heads=heads)

    return ImageBindConfig(
        image=shape("vision"), sound=shape("audio"), text=shape("text"), dim=told["out_embed_dim"]
    )


def load(case: Case, **options) -> ImageBind:
    config = config_of(case.json["config"]["ImageBindModel kwargs"])
    return load_imagebind(case.file("checkpoint.pth"), config=config, **options)


def tolerances(case: Case) -> tuple[Tolerance, Tolerance]:
    """For all stages, and for sound vectors of length 20."""
    scaled = case.tolerance(after="(")
    return case.tolerance(), scaled


def stages(name: str, tower: torch.nn.Module, inputs: Tensor) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) of every stage of a tower, as the published ones are stored."""
    seen: list[Tensor] = []
    hooks = [
        block.register_forward_hook(lambda _, __, out: seen.append(out)) for block in tower.blocks
    ]
    tokens = tower.embed(inputs)
    yield f"out.{name}.tokens", tokens
    yield f"out.{name}.trunk", tower.trunk(tokens)
    for i, found in enumerate(seen):
        yield f"out.{name}.block{i}_LND", found.transpose(0, 1)
    for hook in hooks:
        hook.remove()
    yield f"out.{name}.head", tower(inputs)


def pixels_of(case: Case) -> Tensor:
    return case.tensors["in.image_u8"].float() / 127.5 - 1


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_the_sound_tower_is_as_published(case: Case) -> None:
    model, mels = load(case, senses=["sound"]), case.tensors["in.audio"]
    plain, scaled = tolerances(case)
    found = dict(stages("audio", model.sound, mels.flatten(0, 1)))
    assert len(found) == 3 + len(model.sound.blocks)
    for name, tensor in found.items():
        case.close(tensor, name, plain)
    apart = model.sound_vectors(mels, scale="published")
    case.close(apart.mean(-2), "out.audio.embedding", scaled)
    case.close(apart, "out.videollama.audio_finalout", scaled)
    feature = model.sound.feature(mels.flatten(0, 1))[None]
    case.close(feature, "out.videollama.audio_feature", plain)
    unit = model.sound_vectors(mels, scale="unit")
    torch.testing.assert_close(20 * unit, apart)


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_the_picture_tower_is_as_published(case: Case) -> None:
    model, pixels = load(case, senses=["image"]), pixels_of(case)
    plain, _ = tolerances(case)
    found = dict(stages("vision", model.image, pixels))
    assert len(found) == 3 + len(model.image.blocks)
    for name, tensor in found.items():
        case.close(tensor, name, plain)
    case.close(model.image_vectors(pixels), "out.vision.embedding", plain)
    case.close(model.image_vectors(pixels[None]), "out.videollama.vision_finalout", plain)
    case.close(model.image.feature(pixels)[None], "out.videollama.vision_feature", plain)


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_pairs_of_frames_and_other_sizes_are_as_published(case: Case) -> None:
    model, pixels = load(case, senses=["image"]), pixels_of(case)
    plain, _ = tolerances(case)
    smaller = pixels[:, :, 14:210, 14:210]
    case.close(model.image.embed(smaller), "out.vision196.tokens", plain)
    case.close(model.image_vectors(smaller), "out.vision196.embedding", plain)
    pair = torch.stack([pixels[0], pixels[0].flip(-1)], dim=1)
    clips = torch.stack([pair, pair.flip(-2)])[None]
    case.close(model.image_vectors(clips).mean(-2), "out.vision_video.embedding", plain)


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_eight_clips_of_a_file_are_as_published(case: Case) -> None:
    where = case.json["notes"]["out.videollama.audio8_*"]
    key, _, file = where.removeprefix("input: tensor ").partition(" of ")
    mel_case = Case(case.path.with_name(file.replace(".io.safetensors", ".json")))
    model = load(case, senses=["sound"])
    plain, scaled = tolerances(case)
    mels = mel_case.tensors[key]
    found = model.sound_vectors(mels, scale="published")
    case.close(found, "out.videollama.audio8_finalout", scaled)
    feature = model.sound.feature(mels.flatten(0, 1))[None]
    case.close(feature, "out.videollama.audio8_feature", plain)
