"""Stages of two branches: what learns, what goes on, and a run that answers at the end."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load_file

from tests.models import published_fakes as fakes
from tests.recipes.senses_job import SHAPE, make_data, staged_recipe
from textreel.cli.app import run as run_command
from textreel.data.record import Message, Part, Record
from textreel.data.senses_templates import STILL_REQUESTS
from textreel.data.textual_jsonl import write_videos
from textreel.data.textual_video import TextualFrame, TextualQuestion, TextualVideo
from textreel.features.errors import FeatureMismatchError, MissingFeaturesError
from textreel.features.store import FeatureStore
from textreel.media.sampling import SamplingSpec
from textreel.models.errors import ModelConfigError
from textreel.recipes.find_senses import find_senses_recipe
from textreel.recipes.recipe import RecipeError
from textreel.recipes.recipe_values import read_as, with_settings
from textreel.recipes.senses_data import Sources, conversation_turns, stage_data
from textreel.recipes.senses_recipe import DataSource, EncoderChoice, SensesRecipe, SensesStage
from textreel.recipes.senses_training import (
    DONE,
    StageError,
    _save_means,
    build_senses,
    run_senses,
    stage_folder,
)
from textreel.recipes.senses_words import image_samples
from textreel.recipes.video_llama import SENSES_RECIPES, tiny_data, video_llama_2_7b
from textreel.serve.bridging import save_sound_means
from textreel.serve.run_files import BridgeSettings
from textreel.serve.session import load
from textreel.train.config import TrainConfig


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("staged")
    make_data(home)
    run_senses(staged_recipe(home), home / "run")
    return home


def weights(home: Path, stage: str) -> dict:
    return load_file(stage_folder(home / "run", staged_recipe(home), stage) / DONE)


def changed(home: Path, before: str, after: str) -> set[str]:
    one, other = weights(home, before), weights(home, after)
    return {name.split(".")[0] for name in one if not one[name].equal(other[name])}


def test_each_stage_trains_what_it_names_and_nothing_else(home: Path) -> None:
    assert changed(home, "vl1", "vl2") == {"image"}
    assert changed(home, "vl2", "al1") == {"sound"}
    assert changed(home, "al1", "al2") == {"sound"}
    final = load_file(home / "run" / DONE)
    assert all(final[name].equal(value) for name, value in weights(home, "al2").items())


def test_the_run_answers_and_its_recipe_repeats_it(home: Path, tmp_path: Path) -> None:
    from tests.serve.test_senses_reader import wave, write

    clip = write(tmp_path / "v.mp4", frames=4, sound=wave(3))
    answer = load(home / "run").ask(clip, "what moves ?", options=["red", "blue"])
    assert answer.sound_status == "used" and len(answer.frame_times_s) == 4
    again = find_senses_recipe(str(home / "run" / "recipe.json"))
    assert again is not None and again.to_json() == staged_recipe(home).to_json()
    assert find_senses_recipe(str(home / "chats.json")) is None
    assert find_senses_recipe("topa_tiny") is None


def test_finished_stages_are_only_read(home: Path) -> None:
    assert run_senses(staged_recipe(home), home / "run") == {}
    (home / "moved").mkdir()
    shutil.copytree(home / "run" / "stages", home / "moved" / "stages")
    moved = staged_recipe(home, bridges={"sound": BridgeSettings(name="mean_shift")})
    with pytest.raises(StageError, match="moves sounds by their means, which are known for the"):
        run_senses(moved, home / "moved")
    save_sound_means(home / "moved", sound=torch.zeros(256), text=torch.ones(256))
    assert run_senses(moved, home / "moved") == {}


@pytest.mark.slow
def test_one_stage_at_a_time_ends_where_all_at_once_end(home: Path) -> None:
    recipe, out = staged_recipe(home), home / "one"
    with pytest.raises(StageError, match="begins with what stage vl1 leaves, which is not"):
        run_senses(recipe, out, stage="vl2")
    for stage in recipe.stages:
        assert list(run_senses(recipe, out, stage=stage)) == [stage]
    assert (out / DONE).read_bytes() == (home / "run" / DONE).read_bytes()
    with pytest.raises(StageError, match="there is no stage 'vl3'"):
        run_senses(recipe, out, stage="vl3")
    with pytest.raises(StageError, match="was begun with another recipe than this test"):
        run_senses(replace(recipe, seed=1), out)


@pytest.mark.slow
def test_the_command_line_runs_one_stage(home: Path, capsys) -> None:
    path = str(home / "run" / "recipe.json")
    words = ["train", path, "--out", str(home / "cli"), "--stage", "vl1", "--json"]
    assert run_command(words) == 0
    assert json.loads(capsys.readouterr().out)["stages"]["vl1"]["steps"] == 3
    assert run_command(["train", path, "--out", str(home / "run")]) == 0
    assert "is finished already" in capsys.readouterr().out
    assert run_command(["train", "topa_tiny", "--out", str(home / "x"), "--stage", "a"]) == 2
    assert "--stage a: topa_tiny has no stages" in capsys.readouterr().err
    words = ["train", path, "--out", str(home / "y"), "--set", "stages.vl1.train.stepz=5"]
    assert run_command(words) == 2
    assert "did you mean 'steps'" in capsys.readouterr().err


def test_both_branches_may_read_in_one_stage(home: Path) -> None:
    recipe = staged_recipe(home)
    joint = replace(recipe.stages["vl2"], trains=("image", "sound"), reads="both")
    recipe = replace(recipe, stages={"joint": joint})
    learner = build_senses(recipe)
    revisions = {"image": learner.model.config.image_encoder.revision}
    revisions["sound"] = revisions["image"]
    sources = Sources(recipe, learner.collator, home / "f", revisions=revisions)
    with pytest.raises(RecipeError, match="names no store with features for the sound branch"):
        stage_data(sources, joint)
    data = {n: replace(s, sound_features=s.features) for n, s in recipe.data.items()}
    both = replace(recipe, data=data)
    batch = stage_data(Sources(both, learner.collator, home / "f", revisions=revisions), joint)
    store = Path(next(iter(data.values())).features) / "sampling.json"
    store.write_text('{"start_s":null,"end_s":null,"resampler":"ffmpeg"}')
    try:
        sources = Sources(both, learner.collator, home / "f", revisions=revisions)
        with pytest.raises(FeatureMismatchError, match="other pieces of sound: resampler 'ffm"):
            stage_data(sources, joint)
        ffmpeg = replace(both, sampling=replace(both.sampling, resampler="ffmpeg"))
        assert "resampler" not in both.to_json()["sampling"]
        assert ffmpeg.to_json()["sampling"]["resampler"] == "ffmpeg"
        sources = Sources(ffmpeg, learner.collator, home / "f", revisions=revisions)
        assert stage_data(sources, joint).batch(0).sound is not None
        four = SamplingSpec(num_frames=4)
        store.write_text(four.to_json())
        with pytest.raises(FeatureMismatchError, match="of other frames: num_frames 4 in"):
            stage_data(sources, joint)
        told = {n: replace(s, sampling=four) for n, s in both.data.items()}
        meant = replace(both, data=told)
        sources = Sources(meant, learner.collator, home / "f", revisions=revisions)
        assert stage_data(sources, joint).batch(0).image is not None
        assert read_as(SensesRecipe, meant.to_json()) == meant
        assert all("sampling" not in one for one in both.to_json()["data"].values())
        assert all("pixels" not in one for one in both.to_json()["data"].values())
        name = next(iter(both.data))
        said = ["sampling.resampler=ffmpeg", f"data.{name}.pixels=wrapped"]
        told_both = with_settings(both, said)
        assert told_both.sampling.resampler == "ffmpeg"
        assert (
            told_both.data[name].pixels == told_both.to_json()["data"][name]["pixels"] == "wrapped"
        )
    finally:
        store.unlink()
    with pytest.raises(RecipeError, match="resampler='ffmpeg' has no effect on a recipe without a"):
        replace(ffmpeg, sound=None, sound_encoder=None, stages={})
    first = batch.batch(0)
    assert first.image is not None and first.sound is not None
    assert learner.model.loss(first).isfinite()


def test_features_that_are_missing_or_of_another_encoder_are_refused(home: Path) -> None:
    recipe = staged_recipe(home)
    learner = build_senses(recipe)
    stage = recipe.stages["vl1"]
    other = Sources(recipe, learner.collator, home / "f", revisions={"image": "other"})
    with pytest.raises(FeatureMismatchError, match="revision"):
        stage_data(other, stage)
    wrapped = replace(recipe.data["webvid"], pixels="wrapped")
    cropped = replace(recipe, data={**recipe.data, "webvid": wrapped})
    revision = FeatureStore.open(home / "store").identity.revision
    sources = Sources(cropped, learner.collator, home / "f", revisions={"image": revision})
    with pytest.raises(RecipeError, match=r"the source webvid is of wrapped pixels, but .* shows "):
        stage_data(sources, stage)
    heard = FeatureStore.create(
        home / "heard", encoder="ear", revision=revision, sampling="s", feature_dim=256
    )
    pictured = FeatureStore.open(home / "store")
    with heard.writer() as writer:
        for id in pictured:
            writer.add(id, replace(pictured[id], modality="sound", encoder="ear"))
    listens = replace(wrapped, sound_features=str(home / "heard"))
    hearing = replace(recipe, data={**recipe.data, "webvid": listens})
    sources = Sources(hearing, learner.collator, home / "f", revisions={"sound": revision})
    ears = replace(recipe.stages["al1"], mix={"webvid": 1.0})
    assert stage_data(sources, ears).batch(0).sound is not None, "sounds show no pixels"
    (home / "more.csv").write_text("videoid,name,page_dir\n9,red,p\n")
    data = {**recipe.data, "webvid": replace(recipe.data["webvid"], path=str(home / "more.csv"))}
    more = replace(recipe, data=data)
    sources = Sources(more, learner.collator, home / "f", revisions={"image": revision})
    with pytest.raises(MissingFeaturesError, match=r"1 of 1 clips have no features"):
        stage_data(sources, stage)
    (home / "none.csv").write_text("videoid,name,page_dir\n")
    data = {**recipe.data, "webvid": replace(recipe.data["webvid"], path=str(home / "none.csv"))}
    none = replace(recipe, data=data)
    sources = Sources(none, learner.collator, home / "f", revisions={"image": revision})
    with pytest.raises(RecipeError, match="the source webvid holds nothing to train on"):
        stage_data(sources, stage)


def test_recipes_that_contradict_themselves_are_refused(home: Path) -> None:
    recipe = staged_recipe(home)
    train = TrainConfig(steps=1)

    def refused(text: str, **changes: object) -> None:
        with pytest.raises(RecipeError, match=text):
            replace(recipe, **changes)

    refused("there is no template 'x' for two senses", template="x")
    refused("the sound branch and its encoder go together", sound=None)
    mixed = replace(recipe.stages["vl1"], mix={"laion": 1.0})
    refused("draws from 'laion', which is not in the recipe's data", stages={"a": mixed})
    deaf = {"sound": None, "sound_encoder": None}
    refused("stage al1 reads sound, which the recipe does not have", **deaf)
    refused("bridges: the recipe has no sense 'sounds'", bridges={"sounds": BridgeSettings()})
    centre = {"sound": BridgeSettings(name="centre")}
    refused("bridges.sound: a run of two senses crosses no centre", bridges=centre)
    with pytest.raises(RecipeError, match="a stage cannot train decoder"):
        SensesStage(task="captions", trains=("decoder",), reads="image", mix={"a": 1}, train=train)
    with pytest.raises(RecipeError, match="a stage needs data, each with a sampling ratio"):
        SensesStage(task="captions", trains=("image",), reads="image", mix={}, train=train)
    with pytest.raises(RecipeError, match="mixed has no effect on a stage of captions"):
        replace(recipe.stages["vl1"], mixed=True)
    with pytest.raises(RecipeError, match="eyes has no effect on a stage of captions"):
        replace(recipe.stages["vl1"], eyes=True)
    with pytest.raises(RecipeError, match="mixed has no effect on a stage that does not train the"):
        replace(recipe.stages["al1"], task="words", trains=("sound",), mixed=True)
    with pytest.raises(RecipeError, match="there is no corpus 'laion' to train on"):
        DataSource(corpus="laion", path="x")
    with pytest.raises(RecipeError, match="pixels='wrapped' has no effect on a source of world"):
        DataSource(corpus="world", path="2", pixels="wrapped")
    with pytest.raises(RecipeError, match="of the world it is how many videos to write"):
        DataSource(corpus="world", path="many")
    adapter = replace(recipe.stages["vl1"], trains=("adapter",))
    with pytest.raises(ModelConfigError, match="this model cannot train adapter"):
        run_senses(replace(recipe, stages={"a": adapter}), home / "adapter")
    words = replace(adapter, task="words", trains=("image", "adapter"), mix={"w": 1.0})
    world = {"w": DataSource(corpus="world", path="2")}
    with pytest.raises(RecipeError, match="a head start fits branches to words; it cannot"):
        run_senses(replace(recipe, stages={"a": words}, data=world), home / "words")
    two = replace(words, trains=("image",), mix={"w": 1.0, "webvid": 1.0})
    with pytest.raises(RecipeError, match="a head start reads one source of world or textual, not"):
        run_senses(replace(recipe, stages={"a": two}, data={**recipe.data, **world}), home / "two")
    captions = replace(adapter, trains=("image",), mix={"w": 1.0})
    with pytest.raises(RecipeError, match="asks questions about both, which a stage of captions"):
        run_senses(replace(recipe, stages={"a": captions}, data=world), home / "captions")
    with pytest.raises(RecipeError, match="captions of sounds belong to the senses sound and"):
        DataSource(corpus="textual", path="x", sense="image", sounds="y")
    blind = replace(recipe, image_encoder=EncoderChoice(name="eva-blip2", weights=("a.pth",)))
    sources = Sources(blind, build_senses(recipe).collator, home / "f", revisions={})
    with pytest.raises(RecipeError, match="hold no text side that captions could be read with"):
        sources.encoder("image")


def test_textual_videos_and_captions_of_sounds_stand_for_both(home: Path, caplog) -> None:
    frame = TextualFrame(caption="red circle , black ground")
    asked = TextualQuestion(question="what ?", options=("red", "blue"), answer=0, kind="colour")
    videos = [
        TextualVideo(id=i, frames=(frame,) * 12, caption="a circle", questions=(asked,))
        for i in ("a", "b")
    ]
    heard = TextualVideo(
        id="a", frames=(TextualFrame(caption="a hum is heard"),), caption="", times_s=(1.0,)
    )
    write_videos(home / "videos.jsonl", videos)
    write_videos(home / "sounds.jsonl", [heard])
    both = DataSource(
        corpus="textual", path=str(home / "videos.jsonl"), sounds=str(home / "sounds.jsonl")
    )
    recipe = staged_recipe(home)
    joint = replace(recipe.stages["vl2"], reads="both", trains=("image", "sound"), mix={"t": 1.0})
    recipe = replace(recipe, stages={"joint": joint}, data={"t": both})
    sources = Sources(recipe, build_senses(recipe).collator, home / "texts", revisions={})
    batch = stage_data(sources, joint).batch(0)
    assert batch.ids == ("a",), "only videos that are heard"
    assert batch.image is not None and batch.image.features.shape[1] == 8, "thinned"
    assert batch.sound is not None and batch.sound.features.shape[1] == 1
    assert "1 of 2 textual videos have no caption of their sound" in caplog.text
    read = sources.world("t")
    assert [len(video.frames) for video in read.videos] == [8], "the frames that are read"
    odd = replace(read, videos=(*read.videos, replace(read.videos[0], frames=(frame,))))
    with pytest.raises(RecipeError, match="1 of 2 have more or fewer"):
        image_samples(odd, queries=16)
    other = replace(recipe, data={"t": replace(both, sounds=str(home / "videos2.jsonl"))})
    sources = Sources(other, sources.collator, home / "texts2", revisions={})
    with pytest.raises(RecipeError, match="there is no file of textual videos"):
        sources.world("t")
    write_videos(home / "videos2.jsonl", [replace(heard, id="z")])
    with pytest.raises(RecipeError, match="no textual video with what is to be shown"):
        sources.world("t")


def test_ears_may_be_clap_s_when_texts_stand_for_sounds(home: Path) -> None:
    fakes.save_clap(home / "clap")
    told = TextualFrame(caption="a hum")
    asked = TextualQuestion(question="what ?", options=("red", "blue"), answer=0, kind="colour")
    video = TextualVideo(id="a", frames=(told,) * 8, caption="a", questions=(asked,))
    write_videos(home / "seen.jsonl", [video])
    write_videos(home / "told.jsonl", [replace(video, frames=(told,), times_s=(1.0,))])
    source = DataSource(
        corpus="textual",
        path=str(home / "seen.jsonl"),
        sounds=str(home / "told.jsonl"),
        sense="sound",
    )
    recipe = staged_recipe(home)
    stage = replace(recipe.stages["al2"], mix={"t": 1.0})
    recipe = replace(
        recipe,
        sound=replace(SHAPE, feature_dim=10),
        sound_encoder=EncoderChoice(name=str(home / "clap")),
        stages={"al2": stage},
        data={"t": source},
    )
    learner = build_senses(recipe)
    sources = Sources(recipe, learner.collator, home / "by-clap", revisions={})
    batch = stage_data(sources, stage).batch(0)
    assert batch.image is None and batch.sound is not None
    assert batch.sound.features.shape == (1, 1, 1, 10)
    assert learner.model.loss(batch).isfinite()
    ears = replace(recipe, bridges={"sound": BridgeSettings(name="mean_shift")})
    world = replace(ears, data={"t": DataSource(corpus="world", path="2", sense="sound")})
    sources = Sources(world, learner.collator, home / "means", revisions={})
    with pytest.raises(StageError, match="clap has no sound tower whose means in the world"):
        _save_means(home / "means", world, sources)


def record(*said: tuple[str, str]) -> Record:
    return Record(
        id="r",
        messages=tuple(
            Message(role=role, parts=(Part(kind="text", value=text),))  # type: ignore[arg-type]
            for role, text in said
        ),
    )


def test_records_become_turns_and_captions_get_a_request() -> None:
    turns = conversation_turns(
        record(("system", "Be brief."), ("user", "what ?"), ("assistant", "a dog")), Random(0)
    )
    assert turns[0].question == "Be brief.\nwhat ?" and turns[0].answer_text == "a dog"
    shown = Record(
        id="c",
        messages=(
            Message(role="user", parts=(Part(kind="image", value="a.jpg"),)),
            Message(role="assistant", parts=(Part(kind="text", value="a dog"),)),
        ),
    )
    assert conversation_turns(shown, Random(0))[0].question in STILL_REQUESTS
    with pytest.raises(RecipeError, match="its messages do not alternate from user to assistant"):
        conversation_turns(record(("assistant", "a"), ("user", "b")), Random(0))


def test_the_published_recipe_has_the_published_settings() -> None:
    recipe = video_llama_2_7b()
    trains = {name: stage.trains for name, stage in recipe.stages.items()}
    assert trains == {"vl1": ("image",), "vl2": ("image",), "al1": ("sound",), "al2": ("sound",)}
    for name, batch in (("vl1", 256), ("vl2", 32), ("al1", 256), ("al2", 32)):
        train = recipe.stages[name].train
        assert train.batch_size * train.accumulate == batch
        assert (train.clip_norm, train.betas, train.weight_decay) == (None, (0.9, 0.999), 0.05)
    assert recipe.halves_frozen("cuda")
    assert recipe.stages["vl1"].mix == {"webvid": 100.0, "cc595k": 24.0}
    assert {source.pixels for source in recipe.data.values()} == {"wrapped"}
    assert recipe.data["webvid-bound"].features == "features/webvid-imagebind-image"
    for make in SENSES_RECIPES.values():
        made = make()
        assert read_as(SensesRecipe, json.loads(json.dumps(made.to_json()))) == made
    assert set(tiny_data("clips")) == {
        *("seen", "heard", "both"),
        *("both-heard", "both-needed", "both-count", "both-order"),
    }
