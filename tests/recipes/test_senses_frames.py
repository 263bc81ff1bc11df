"""A frame encoder of the world's own: built once, frozen, read from the run's folder."""

import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from tests.recipes.senses_job import TOWERS, own_frames_recipe
from textreel.models import tiny_frames
from textreel.models.decoder import locate
from textreel.models.encoder_errors import EncoderError
from textreel.models.errors import CheckpointError
from textreel.models.open_encoder import open_encoder
from textreel.models.tiny_frames import is_tiny_frames, new_tiny_frames, save_tiny_frames
from textreel.recipes import senses_frames
from textreel.recipes.recipe import RecipeError
from textreel.recipes.senses_arms import arms
from textreel.recipes.senses_frames import build_frames, still_lines, still_samples
from textreel.recipes.senses_recipe import FRAMES_FOLDER
from textreel.recipes.senses_training import run_senses
from textreel.recipes.senses_world import _two_sided, encoded_texts
from textreel.recipes.video_llama import (
    video_llama_tiny,
    video_llama_tiny_textonly,
    with_own_frames,
)
from textreel.serve.session import load
from textreel.synth.world.scene import Look
from textreel.synth.world.stills import Moment
from textreel.synth.world.textual import textual_video

RECIPE = video_llama_tiny()


def fresh(width: int = 8) -> tiny_frames.TinyFrames:
    generator = torch.Generator().manual_seed(0)
    return new_tiny_frames(locate(TOWERS), queries=3, width=width, words=4, generator=generator)


def test_it_comes_back_from_its_folder_and_is_an_encoder_like_any_other(tmp_path: Path) -> None:
    model, folder = fresh(), tmp_path / "frames"
    assert not is_tiny_frames(folder)
    save_tiny_frames(model, folder, towers=Path(locate(TOWERS)))
    encoder = open_encoder(str(folder))
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 48, 48), dtype=np.uint8)
    seen = encoder.encode_frames(frames)
    assert seen.shape == (2, 3, 8) and encoder.name == "frames" and encoder.dim == 8
    with torch.no_grad():
        wanted = model(encoder.prepare_frames(frames)["pixel_values"])
    torch.testing.assert_close(seen, wanted)
    with pytest.raises(RecipeError, match="captions cannot stand for pictures to frames, which"):
        encoded_texts([textual_video], encoder, tmp_path / "texts")
    with pytest.raises(RecipeError, match="pictures cannot stand for sounds to frames, which does"):
        _two_sided(encoder)
    other = fresh(width=12)
    shape = (folder / "config.json").read_text()
    save_tiny_frames(other, folder, towers=Path(locate(TOWERS)))
    (folder / "config.json").write_text(shape)
    with pytest.raises(CheckpointError, match="but the model takes"):
        open_encoder(str(folder))


def test_only_the_tiny_towers_have_such_a_map(monkeypatch) -> None:
    monkeypatch.setattr(tiny_frames.AutoModel, "from_pretrained", lambda _: torch.nn.Identity())
    with pytest.raises(EncoderError, match="is a Identity; a tiny frame encoder is built around"):
        fresh()


def test_a_still_has_a_line_for_each_shape_and_one_for_the_background() -> None:
    look = Look("square", "red", "big", (1, 1), visible=True)
    lines = still_lines(Moment("black", (look,)), Random(0))
    assert lines[0] == lines[1] == lines[3] == "nothing" and lines[4] == "black background"
    assert "red" in lines[2] and ("square" in lines[2] or "box" in lines[2])
    assert RECIPE.frames is not None
    samples = still_samples(replace(RECIPE.frames, stills=3), fresh(), seed=0)
    assert [len(s.lines) for s in samples] == [5, 5, 5]
    assert samples[0].features.values.shape == (36, 1, 128)


def test_a_recipe_with_one_names_it_and_the_other_way_round() -> None:
    with pytest.raises(RecipeError, match="builds its own frame encoder where image_encoder"):
        replace(RECIPE, frames=None)
    with pytest.raises(RecipeError, match="this one has 'embedded:tiny/towers'"):
        replace(RECIPE, image_encoder=RECIPE.sound_encoder)
    with pytest.raises(RecipeError, match=r"noise=0\.1 is for unit vectors, and the encoder"):
        replace(RECIPE, noise=0.1)


def test_its_training_takes_the_seed_and_allows_other_last_bits(
    tmp_path: Path, monkeypatch
) -> None:
    told = {}
    monkeypatch.setattr(senses_frames, "train", lambda *a, **named: told.update(named, config=a[2]))
    assert RECIPE.frames is not None
    few = replace(RECIPE.frames, stills=4)
    for inexact in (False, True):
        build_frames(few, tmp_path / "run", decoder=RECIPE.decoder, seed=5, inexact=inexact)
        assert told["inexact"] is inexact and told["config"].seed == 5
        shutil.rmtree(tmp_path / "run")


def test_the_arm_of_a_study_is_a_variant_of_its_recipe() -> None:
    text = replace(video_llama_tiny_textonly(), seed=7, remembers=True)
    (arm,) = arms(text, only=("own frames",))
    assert arm.recipe.seed == 7 and arm.recipe.remembers
    assert with_own_frames(video_llama_tiny_textonly()) == RECIPE


@pytest.mark.slow
def test_the_run_builds_it_first_and_finds_it_where_the_run_is_moved_to(tmp_path: Path) -> None:
    from tests.serve.test_senses_reader import wave, write

    recipe = own_frames_recipe(steps=2)
    run_senses(recipe, tmp_path / "run")
    assert is_tiny_frames(tmp_path / "run" / FRAMES_FOLDER)
    assert run_senses(recipe, tmp_path / "run") == {}
    shutil.move(tmp_path / "run", tmp_path / "moved")
    clip = write(tmp_path / "v.mp4", frames=8, sound=wave(3))
    answer = load(tmp_path / "moved").ask(clip, "what is heard ?", options=["circle", "square"])
    assert answer.sound_status == "used" and len(answer.frame_times_s) == 8
