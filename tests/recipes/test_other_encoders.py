"""Alignments on texts that ImageBind or a CLAP reads; the runs answer about pictures or sounds."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.models import published_fakes as fakes
from tests.models.encoder_fakes import word_tokenizer
from tests.recipes.toy import toy_recipe
from textreel.features.towers import ImageBindTower
from textreel.media.clip import Clip
from textreel.media.decode import read_clip
from textreel.media.errors import NoStreamError
from textreel.media.write import write_clip
from textreel.models import imagebind_files
from textreel.models.encoder_errors import EncoderError
from textreel.models.published_files import PublishedFileError
from textreel.recipes.recipe import AlignRecipe
from textreel.recipes.training import find_recipe, run_recipe
from textreel.serve.errors import EncoderMismatchError
from textreel.serve.session import load

QUESTION = {"question": "what colour is the circle ?", "options": ("red", "blue")}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("encoders")
    fakes.save_clap(home / "clap")
    fakes.save_imagebind(home / "imagebind_huge.pth")
    word_tokenizer().save_pretrained(home / "words")
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (8, 3, 32, 32), dtype=np.uint8)
    times_s = np.arange(8) * 2.8
    sound = (rng.random((2, 179_200)) - 0.5).astype(np.float32)
    film = Clip(
        frames=frames,
        frame_times_s=times_s,
        duration_s=22.4,
        source="film",
        sound=sound,
        sound_rate_hz=8000,
        sound_status="used",
    )
    write_clip(home / "film.mp4", film)
    write_clip(
        home / "mute.mp4", replace(film, sound=None, sound_rate_hz=None, sound_status="absent")
    )
    return home


@pytest.fixture(autouse=True)
def small_imagebind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagebind_files, "ImageBindConfig", lambda: fakes.IMAGEBIND)


def recipe_of(home: Path, encoder: str) -> AlignRecipe:
    recipe = toy_recipe(encoder=str(home / "clap"), head_start=None)
    train = replace(recipe.train, steps=1, warmup=0, accumulate=1, batch_size=2)
    recipe = replace(recipe, data="world:2", train=train)
    if encoder == "clap":
        return recipe
    return replace(
        recipe,
        encoder=encoder,
        encoder_weights=(str(home / "imagebind_huge.pth"),),
        encoder_tokenizer=str(home / "words"),
    )


@pytest.fixture(scope="module")
def runs(home: Path) -> dict[str, Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imagebind_files, "ImageBindConfig", lambda: fakes.IMAGEBIND)
        found = {}
        for encoder in ("clap", "imagebind-image"):
            found[encoder] = home / "runs" / encoder
            run_recipe(recipe_of(home, encoder), found[encoder])
    found["imagebind-audio"] = home / "runs" / "imagebind-audio"  # the same texts, another sense
    shutil.copytree(found["imagebind-image"], found["imagebind-audio"])
    told = found["imagebind-audio"] / "run.json"
    told.write_text(told.read_text().replace("imagebind-image", "imagebind-audio"))
    return found


@pytest.mark.parametrize(
    ("encoder", "modality", "pieces"),
    [("clap", "sound", 8), ("imagebind-audio", "sound", 8), ("imagebind-image", "image", 8)],
)
def test_a_run_answers_by_the_sense_of_its_encoder(home, runs, encoder, modality, pieces) -> None:
    session = load(runs[encoder])
    seen = session.look(home / "film.mp4")
    assert (seen.features.modality, len(seen.features.values)) == (modality, pieces)
    assert seen.sound_status == ("used" if modality == "sound" else "unused")
    answer = session.ask(home / "film.mp4", **QUESTION)
    assert sum(answer.probabilities) == pytest.approx(1)
    assert answer.encoder == session.reader.encoder.name
    assert (answer.frames is None) == (modality == "sound")
    (home / "story.txt").write_text("a red square moves left\nthen the circle appears\n")
    told = session.look(home / "story.txt")
    assert told.features.modality == "text" and told.features.encoder == seen.features.encoder


@pytest.mark.slow
def test_a_run_that_hears_gets_what_a_store_gets(home, runs) -> None:
    session = load(runs["imagebind-audio"])
    tower = ImageBindTower(session.reader.encoder)
    inputs, times_s = tower.prepare(read_clip(home / "film.mp4", sound="all"), start_s=0.0)
    seen = session.look(home / "film.mp4")
    assert seen.heard_times_s == pytest.approx(times_s)
    wanted = tower.encode(inputs).half()
    assert np.allclose(seen.features.values[:, 0].float(), wanted.float(), atol=2e-3)


def test_of_many_windows_of_sound_as_many_are_heard_as_frames_were_read(home, runs) -> None:
    seen = load(runs["clap"]).look(home / "film.mp4")  # 22.4 s, windows of 2 s
    assert "heard 8 of 12 pieces of its sound" in seen.notes
    assert seen.heard_times_s[:3] == pytest.approx((1.0, 2.85, 6.56), abs=0.02)


def test_a_clip_at_another_rate_is_heard_as_its_file_is(home, runs) -> None:
    session = load(runs["clap"])
    clip = read_clip(home / "film.mp4", sound="all")
    assert clip.sound.shape[0] == 2 and clip.sound_rate_hz == 16_000
    heard, from_file = session.look(clip), session.look(home / "film.mp4")
    assert heard.heard_times_s == pytest.approx(from_file.heard_times_s)
    assert np.allclose(heard.features.values.float(), from_file.features.values.float(), atol=0.02)


def test_a_run_that_hears_refuses_a_file_without_sound(home, runs) -> None:
    with pytest.raises(NoStreamError, match="has no sound to encode"):
        load(runs["clap"]).ask(home / "mute.mp4", **QUESTION)


def test_the_run_names_its_files_beside_itself(home, runs, tmp_path) -> None:
    told = json.loads((runs["imagebind-image"] / "run.json").read_text())
    assert told["weights"] == ["../../imagebind_huge.pth"] and told["tokenizer"] == "../../words"
    assert "weights" not in json.loads((runs["clap"] / "run.json").read_text())
    again = find_recipe(str(runs["imagebind-image"] / "recipe.json"))
    assert again == recipe_of(home, "imagebind-image")
    moved = tmp_path / "all" / "runs" / "run"
    shutil.copytree(runs["imagebind-image"], moved)
    with pytest.raises(PublishedFileError, match=r"no file .*imagebind_huge\.pth"):
        load(moved)
    for name in ("imagebind_huge.pth", "words"):
        (tmp_path / "all" / name).symlink_to(home / name)
    assert load(moved).ask(home / "film.mp4", **QUESTION).options == ("red", "blue")


def test_a_run_refuses_other_weights(home, runs, tmp_path) -> None:
    fakes.save_imagebind(tmp_path / "imagebind_huge.pth", seed=9)
    run = tmp_path / "runs" / "run"
    shutil.copytree(runs["imagebind-image"], run)
    (tmp_path / "words").symlink_to(home / "words")
    with pytest.raises(EncoderMismatchError, match="the encoder at hand is imagebind"):
        load(run)


def test_encoders_without_texts_are_refused(home, tmp_path) -> None:
    recipe = replace(recipe_of(home, "imagebind-audio"), encoder_tokenizer="")
    with pytest.raises(EncoderError, match="imagebind-audio cannot read texts") as told:
        run_recipe(recipe, tmp_path / "run")
    assert "openai/clip-vit-large-patch14" in told.value.hint
    fakes.save_blip2(tmp_path / "blip2")
    blind = toy_recipe(encoder="eva-blip2", encoder_weights=(str(tmp_path / "blip2"),))
    with pytest.raises(EncoderError, match="eva-blip2 reads no texts"):
        run_recipe(blind, tmp_path / "run")
    assert not (tmp_path / "run").exists()
