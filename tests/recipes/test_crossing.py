"""One memory file: validation while training, evaluation and answers all cross over it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.models.encoder_fakes import save_clip
from tests.recipes.toy import toy_recipe
from textreel.data.errors import FingerprintError, FormatError
from textreel.data.textual_jsonl import write_video_folder, write_videos
from textreel.data.textual_video import TextualVideo
from textreel.evaluate.choices import macro
from textreel.features.fuse import FuseMode
from textreel.features.memory import load_memory, save_memory
from textreel.features.memory_of import memory_of_videos
from textreel.models.bridges import Identity, Memory
from textreel.models.errors import ModelConfigError
from textreel.recipes.answering import answer_exam
from textreel.recipes.clips import world_pictures, world_questions, world_scenes
from textreel.recipes.crossing import bridge_of, keep_memory, make_crossing
from textreel.recipes.looking import Examiner
from textreel.recipes.prepare import build_learner, open_encoder
from textreel.recipes.recipe import AlignRecipe, RecipeError, Validation
from textreel.recipes.recipe_values import with_settings
from textreel.recipes.study import Look, Study
from textreel.recipes.training import load_samples, run_recipe
from textreel.recipes.validating import validation_of, watcher
from textreel.serve.bridging import make_bridge, memory_bridge, save_sound_means
from textreel.serve.errors import RunError
from textreel.serve.run_memory import use_memory
from textreel.serve.session import load
from textreel.synth.world.textual import draw_textual_videos
from textreel.train.result import TrainResult


def memory_file(
    path: Path, *, size: int, encoder: str = "embedded:tiny/towers", mode: FuseMode = "caption"
) -> Path:
    found = open_encoder(toy_recipe(encoder=encoder))
    videos = draw_textual_videos(4, 3, part="memory")
    made = memory_of_videos(videos, found, size=size, mode=mode)
    save_memory(
        path, made.vectors, encoder=made.encoder, revision=made.revision, make_up=made.make_up
    )
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return memory_file(tmp_path_factory.mktemp("memory") / "memory.safetensors", size=12)


def quick(file: Path | str, **changes: object) -> AlignRecipe:
    shown = Validation(data="world:1")
    recipe = toy_recipe(memory=str(file), validation=shown, head_start=None, **changes)
    train = replace(recipe.train, steps=1, warmup=0, accumulate=1, batch_size=2)
    return replace(recipe, data="world:2", train=train, memory_temperature=0.02)


@pytest.fixture(scope="module")
def trained(file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainResult]:
    run = tmp_path_factory.mktemp("crossing") / "run"
    return run, run_recipe(quick(file), run)


def test_validation_crosses_over_the_file_that_answers_cross_over(file, trained) -> None:
    run, result = trained
    assert [one["step"] for one in result.evaluations] == [0, 1]
    assert (run / "memory.safetensors").read_bytes() == file.read_bytes()
    told = json.loads((run / "run.json").read_text())["bridge"]
    assert (told["name"], told["temperature"], told["top_k"]) == ("memory", 0.02, None)
    session = load(run)
    reader = session.reader
    reader.cross("image")
    assert isinstance(reader.model.bridge, Memory) and reader.model.bridge.temperature == 0.02
    assert torch.equal(reader.model.bridge.memory, load_memory(file).vectors.float())
    asked = validation_of(quick(file), reader.encoder)
    rows = answer_exam(reader.model, reader.collator, asked.items, asked.features)
    assert macro(rows).value == pytest.approx(result.evaluations[-1]["validation"])
    question, seen = asked.items[0].question, asked.features[asked.items[0].video_id]
    answer = session.ask(seen, question.question, options=question.options)
    assert answer.bridge == "memory"
    assert answer.probabilities == pytest.approx(rows[0].probabilities, abs=1e-5)
    reader.model.bridge = Identity()
    bare = answer_exam(reader.model, reader.collator, asked.items, asked.features)
    assert [row.probabilities for row in bare] != [row.probabilities for row in rows]


def test_the_run_answers_over_it(trained, tmp_path) -> None:
    scene = world_scenes(replace(toy_recipe(), data="world:1"))
    pictures = world_pictures(scene, load(trained[0]).reader.encoder, tmp_path / "s", num_frames=4)
    answer = load(trained[0]).ask(pictures[0], "what colour ?", options=("red", "blue"))
    assert answer.bridge == "memory"


def test_a_study_looks_at_the_run_over_it(file, trained, tmp_path) -> None:
    recipe = quick(file)
    examiner = Examiner(
        Study(name="s", recipe=recipe, table="gap"), open_encoder(recipe), store=tmp_path / "drawn"
    )
    bridge = examiner._bridge(recipe, Look(name="own"))
    assert isinstance(bridge, Memory) and torch.equal(
        bridge.memory, load_memory(file).vectors.float()
    )


def test_a_centred_memory_crosses_about_the_means(file, trained, tmp_path) -> None:
    recipe = replace(quick(file), memory_temperature=0.1, memory_centred=True)
    encoder = open_encoder(recipe)
    keep_memory(recipe, encoder, tmp_path)
    bridge = make_crossing(recipe, encoder, tmp_path)
    assert isinstance(bridge, Memory) and bridge.temperature == 0.1
    assert torch.equal(bridge.picture_mean, encoder.statistics.image_mean)
    torch.testing.assert_close(bridge.text_mean, load_memory(file).vectors.float().mean(0))
    study = Study(name="s", recipe=recipe, table="gap")
    looked = Examiner(study, encoder, store=tmp_path)._bridge(recipe, Look(name="own"))
    assert torch.equal(looked.picture_mean, bridge.picture_mean)
    with pytest.raises(RunError, match="no mean picture was given for a memory with centred=True"):
        memory_bridge(load_memory(file), bridge_of(recipe))


def test_a_centred_memory_of_sounds_takes_the_runs_own_mean(file, tmp_path) -> None:
    recipe = replace(quick(file), memory_temperature=0.1, memory_centred=True)
    encoder = open_encoder(recipe)
    keep_memory(recipe, encoder, tmp_path)
    mean = torch.full((encoder.dim,), 0.01)
    save_sound_means(tmp_path, sound=mean, text=-mean)
    bridge = make_bridge(bridge_of(recipe), encoder=encoder, run=tmp_path, sense="sound")
    assert torch.equal(bridge.picture_mean, mean)


def test_a_second_call_leaves_the_file_as_it_is(file, trained) -> None:
    run, result = trained
    before = (run / "memory.safetensors").stat()
    assert run_recipe(quick(file), run) == result
    after = (run / "memory.safetensors").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_another_memory_is_refused_in_the_same_folder(file, trained, tmp_path) -> None:
    run, _ = trained
    other = memory_file(tmp_path / "other.safetensors", size=9)
    with pytest.raises(RecipeError, match=r"is another memory than memory=.*the run began") as told:
        run_recipe(quick(other), run)
    assert "another folder" in told.value.hint
    use_memory(run, other)  # said by the user: answers go over it, and training does not go on
    with pytest.raises(RecipeError, match="is another memory than"):
        run_recipe(quick(file), run)
    use_memory(run, file, temperature=0.02)


def test_rows_of_another_make_up_than_the_texts_are_doubtful(file, tmp_path, caplog) -> None:
    encoder = open_encoder(toy_recipe())
    keep_memory(quick(file), encoder, tmp_path / "same")
    assert not caplog.messages
    other = memory_file(tmp_path / "o.safetensors", size=9, mode="caption+objects")
    keep_memory(quick(other), encoder, tmp_path / "other")
    assert "but the recipe learns from frames (caption): they lie elsewhere" in caplog.text


def test_a_memory_that_does_not_fit_is_refused_before_anything_is_written(tmp_path) -> None:
    save_clip(tmp_path / "clip")
    foreign = memory_file(tmp_path / "m.safetensors", size=5, encoder=str(tmp_path / "clip"))
    run = tmp_path / "run"
    with pytest.raises(FingerprintError, match=r"is a memory of clip .* revision sha256:"):
        run_recipe(quick(foreign), run)
    with pytest.raises(RecipeError, match=r"memory='.*gone': no such file") as told:
        run_recipe(quick(tmp_path / "gone"), run)
    assert "textreel memory build" in told.value.hint
    (tmp_path / "text.safetensors").write_text("no memory")
    with pytest.raises(FormatError, match="is no memory file of textreel"):
        run_recipe(quick(tmp_path / "text.safetensors"), run)
    assert not run.exists()


def test_a_top_k_beyond_the_memory_is_refused_before_training(file, tmp_path) -> None:
    with pytest.raises(ModelConfigError, match=r"top_k=99 must lie in 1\.\.12"):
        run_recipe(replace(quick(file), memory_top_k=99), tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_settings_of_a_memory_that_have_no_effect_are_refused() -> None:
    recipe = toy_recipe()
    for setting in ("memory_temperature=0.1", "memory_top_k=4"):
        with pytest.raises(RecipeError, match="have no effect without a memory"):
            with_settings(recipe, [setting])
    with pytest.raises(RecipeError, match="a baseline learns from features as they are"):
        with_settings(recipe, ["head_start=null", "kind=baseline", "memory=m"])
    with pytest.raises(RecipeError, match="memory and centred: a run crosses by one bridge"):
        with_settings(recipe, ["memory=m", "centred=true"])
    for setting in ("memory=m", "validation.data=world:3"):
        with pytest.raises(RecipeError, match="wide_gap is for studies"):
            with_settings(recipe, [setting, "wide_gap=true"])
    with pytest.raises(RecipeError, match=r"validation\.features='s' has no effect on"):
        with_settings(recipe, ["validation.features=s", "validation.data=world:3"])


def test_stored_clips_are_validated_over_the_bridge_and_text_frames_without(file, tmp_path) -> None:
    recipe = replace(toy_recipe(), data="world:2", num_frames=4)
    encoder = open_encoder(recipe)
    scenes = world_scenes(recipe)
    world_pictures(scenes, encoder, tmp_path / "store", num_frames=8)
    write_videos(tmp_path / "asked.jsonl", world_questions(scenes, 0))
    data = str(tmp_path / "asked.jsonl")
    shown = Validation(data=data, features=str(tmp_path / "store"))
    seen = validation_of(replace(recipe, validation=shown), encoder)
    read = validation_of(replace(recipe, validation=Validation(data=data)), encoder)
    assert seen.crosses and not read.crosses
    assert {len(f.values) for f in (*seen.features.values(), *read.features.values())} == {4}
    assert [item.id for item in seen.items] == [item.id for item in read.items]
    learner = build_learner(recipe, encoder)
    bridge = Memory(load_memory(file).vectors.float())
    for asked, crossed in ((seen, bridge), (read, Identity)):
        assert 0 <= watcher(learner, asked, bridge)()["validation"] <= 1
        assert learner.model.bridge is crossed or type(learner.model.bridge) is crossed


def test_text_frames_of_a_centred_recipe_are_centred(tmp_path) -> None:
    write_videos(tmp_path / "asked.jsonl", draw_textual_videos(2, 0))
    recipe = toy_recipe(validation=Validation(data=str(tmp_path / "asked.jsonl")))
    encoder = open_encoder(recipe)
    plain = validation_of(recipe, encoder).features
    moved = validation_of(replace(recipe, centred=True), encoder).features
    for name, features in plain.items():
        wanted = features.values.float() - encoder.statistics.text_mean
        wanted = torch.nn.functional.normalize(wanted, dim=-1)
        assert torch.allclose(moved[name].values.float(), wanted, atol=2e-3)


def test_a_file_without_questions_validates_nothing(tmp_path) -> None:
    video = next(draw_textual_videos(1, 0))
    write_videos(tmp_path / "mute.jsonl", [replace(video, questions=())])
    recipe = toy_recipe(validation=Validation(data=str(tmp_path / "mute.jsonl")))
    with pytest.raises(RecipeError, match="1 videos without a single question"):
        validation_of(recipe, open_encoder(recipe))
    recipe = toy_recipe(validation=Validation(data=str(tmp_path / "gone.jsonl")))
    with pytest.raises(RecipeError, match=r"validation\.data='.*gone\.jsonl': no such file"):
        validation_of(recipe, open_encoder(recipe))


def test_videos_with_more_frames_than_are_read_train_on_those_that_are(tmp_path) -> None:
    recipe = replace(toy_recipe(), data="world:3", num_frames=3)
    encoder = open_encoder(recipe)
    videos, features = load_samples(recipe, encoder, tmp_path / "store")
    for video, read in zip(videos, features, strict=True):
        captions = [frame.caption for frame in video.frames]
        again = encoder.encode_texts(captions)
        assert len(captions) == 3
        assert torch.allclose(read.values[:, 0].float(), again, atol=2e-3)
        assert video.times_s == tuple(read.times_s.tolist())


@pytest.mark.slow
def test_written_data_and_data_of_the_grammar_end_with_the_same_weights(
    trained, file, tmp_path
) -> None:
    videos = list[TextualVideo](draw_textual_videos(2, 0))
    write_video_folder(tmp_path / "tideos" / "videos", videos)
    written = replace(quick(file), data=str(tmp_path / "tideos"))
    assert run_recipe(written, tmp_path / "run") == trained[1]
