"""Both branches of Video-LLaMA and its losses against the published code."""

from functools import cache

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from tests.parity.cases import Case, find_cases
from tests.parity.test_imagebind_trunk import config_of
from tests.parity.test_videollama_encoders import frame_encoder
from textreel.models import decoder as decoders
from textreel.models.imagebind_files import load_imagebind
from textreel.models.video_llama import SensesBatch, Track, VideoLlama, VideoLlamaConfig
from textreel.models.video_llama_checkpoint import read_branch

CASES = find_cases("videollama-*")


@cache
def model_of(case: Case) -> VideoLlama:
    told = case.json["config"]
    files = {"image": case.file("checkpoint.pth"), "sound": case.file("audio.checkpoint.pth")}
    per_step = {"image": told["num_query_token"], "sound": 1}
    heads = told["bert"]["num_attention_heads"]
    branches = {
        name: read_branch(file, branch=name, vectors_per_step=per_step[name], heads=heads)
        for name, file in files.items()
    }
    llama = LlamaForCausalLM(LlamaConfig(tie_word_embeddings=False, **told["llama"]))
    llama.load_state_dict(load_case_weights(case), strict=True)
    config = VideoLlamaConfig(
        decoder="golden", image=branches["image"].config, sound=branches["sound"].config
    )
    model = VideoLlama(decoders.prepare(llama), config)
    for name, file in files.items():
        model.load_branch(name, branches[name], path=file)
    return model


def load_case_weights(case: Case) -> dict[str, Tensor]:
    found = load_file(case.file("llama-hf.safetensors"))
    return {name: tensor for name, tensor in found.items() if "inv_freq" not in name}


@cache
def features_of(case: Case) -> dict[str, Tensor]:
    """Frames (B, T, P, F); sounds and pictures through ImageBind, (B, K, 1, F)."""
    video = case.tensors["in.video"].permute(0, 2, 1, 3, 4)
    mels = case.tensors["in.audio"]
    bound = load_imagebind(
        case.file("imagebind_huge.pth"),
        config=config_of(case.json["config"]["imagebind kwargs"]),
        senses=["image", "sound"],
    )
    with torch.no_grad():
        frames = frame_encoder(case)(video.flatten(0, 1)).unflatten(0, video.shape[:2])
        return {
            "frames": frames,
            "sound": bound.sound_vectors(mels, scale="published")[:, :, None],
            "seen": bound.image_vectors(video)[:, :, None],
            "heard": bound.sound.feature(mels.flatten(0, 1)).unflatten(0, mels.shape[:2]),
        }


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_the_picture_branch_is_as_published(case: Case) -> None:
    branch, tolerance = model_of(case).branch("image"), case.tolerance("stages")
    frames = features_of(case)["frames"]
    placed = frames + branch.place(frames, mask=None, times_s=None)[:, :, None]
    case.close(placed.flatten(1, 2), "out.video.frames_plus_pos", tolerance)
    case.close(branch.qformer(placed.flatten(1, 2)), "out.video.video_qformer", tolerance)
    case.close(branch(frames), "out.video.inputs_llama", tolerance)
    case.close(branch(frames[:, :1]), "out.image.inputs_llama", tolerance)
    heard = features_of(case)["heard"]
    case.close(branch(frames, heard=heard), "out.audiovideo.inputs_llama", tolerance)


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_the_sound_branch_is_as_published(case: Case) -> None:
    branch, tolerance = model_of(case).branch("sound"), case.tolerance("stages")
    for name, features, scaled in (
        ("audio", features_of(case)["sound"], case.tolerance("audio finalout (x20)")),
        ("audio_vision", features_of(case)["seen"], tolerance),
    ):
        placed = features[:, :, 0] + branch.place(features, mask=None, times_s=None)
        case.close(placed, f"out.{name}.finalout_plus_pos", scaled)
        case.close(branch(features), f"out.{name}.inputs_llama", tolerance)
        if name == "audio":
            case.close(branch.qformer(placed), "out.audio.audio_qformer", tolerance)


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_both_losses_are_as_published(case: Case) -> None:
    model, told = model_of(case), case.json["config"]
    for sense, key, features in (
        ("image", "vision", features_of(case)["frames"]),
        ("sound", "audio", features_of(case)["seen"]),
    ):
        ids = case.tensors[f"in.loss_{key}.input_ids"]
        slots = ids == told["image_patch_token_id"]
        batch = SensesBatch(
            input_ids=ids.masked_fill(slots, 0),
            labels=case.tensors[f"in.loss_{key}.labels"],
            ids=tuple(f"row {i}" for i in range(len(ids))),
            **{f"{sense}_slots": slots, sense: Track(features=features)},
        )
        case.close(model.loss(batch), f"out.loss_{key}", case.tolerance("loss"))
