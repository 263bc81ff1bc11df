"""Texts and pictures that stand for sounds, head starts, and exams for eyes and ears."""

from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random

import pytest
import torch

from textreel.cli.train import describe_senses
from textreel.data.journal import read_journal
from textreel.data.senses_collate import padded_track
from textreel.media.sampling import SamplingSpec
from textreel.media.sound_clips import SoundClipSpec
from textreel.models.batch import Features
from textreel.models.branch_words import BranchToWords
from textreel.models.decoder import locate
from textreel.models.encoders import load_encoder
from textreel.recipes import senses_exam, senses_means
from textreel.recipes.find_senses import find_senses_study
from textreel.recipes.recipe import RecipeError
from textreel.recipes.senses_arms import Arm, arms
from textreel.recipes.senses_exam import SensesExam, SensesLook, answer_senses, is_steady
from textreel.recipes.senses_recipe import DataSource
from textreel.recipes.senses_study import (
    JOURNAL_FILE,
    make_report,
    rows_file,
    run_senses_study,
    tiny_study,
)
from textreel.recipes.senses_training import build_senses
from textreel.recipes.senses_words import (
    blurred_track,
    image_samples,
    mixed_frames,
    sound_samples,
    words_data,
)
from textreel.recipes.senses_world import (
    heard_in_clips,
    kinds_of,
    sound_text,
    world_data,
    world_items,
    world_scenes,
    written,
)
from textreel.recipes.video_llama import tiny_branch, tiny_data, video_llama_tiny_textonly
from textreel.serve.session import load
from textreel.synth.world.exam import draw_exam
from textreel.synth.world.questions import QUESTION_TYPES, SOUND_TYPES
from textreel.synth.world.scene import Scene, Sound, draw_scenes

CLIPS = SoundClipSpec(num_clips=8, rule="imagebind")
RECIPE = video_llama_tiny_textonly()
WITHOUT = "no positions"


@pytest.fixture(scope="module")
def encoder():
    return load_encoder(locate("embedded:tiny/towers"))


@pytest.fixture(scope="module")
def learner():
    return build_senses(RECIPE)


def of(encoder) -> dict:
    return {"image": encoder, "sound": encoder}


def scene_with(*sounds: Sound) -> Scene:
    [scene] = islice(draw_scenes(0, part="training"), 1)
    return replace(scene, sounds=sounds)


def test_a_clip_tells_of_a_sound_that_it_holds_long_enough() -> None:
    scene = scene_with(Sound("circle", 0.0, 2.0, on_screen=True))
    heard = heard_in_clips(scene, CLIPS)  # clips of 2 s begin at 0, 6/7, 12/7, ...
    assert [round(time_s, 2) for time_s, _ in heard] == [1.0, 1.86]
    text = sound_text(scene, CLIPS, Random(0))
    assert text is not None and len(text.frames) == 2
    assert all("hum" in frame.caption for frame in text.frames)
    assert sound_text(scene_with(), CLIPS, Random(0)) is None


def test_sources_show_and_ask_what_they_say(encoder, tmp_path: Path) -> None:
    source = DataSource(corpus="world", path="3", sense="both", only=("seen_and_heard",))
    scenes = world_scenes(RECIPE, source)
    assert len(scenes) == 3 and all(len(scene.objects) == 3 for scene in scenes)
    data = world_data(RECIPE, source, of(encoder), tmp_path / "both")
    items = world_items(source, data, seed=0)
    assert all(item.image is not None and item.sound is not None for item in items)
    assert {f.modality for f in (*data.image.values(), *data.sound.values())} == {"text"}
    ear = DataSource(corpus="world", path="2", sense="sound", shows="clips")
    assert kinds_of(ear) == ("heard",)
    shown = world_data(RECIPE, ear, of(encoder), tmp_path / "ear")
    assert shown.image == {} and {f.modality for f in shown.sound.values()} == {"image"}
    assert not any("hum" in f.caption for text in shown.sounds for f in text.frames)
    for item in world_items(ear, shown, seed=0):
        assert item.image is None and all(
            "heard" in t.question or "sounds" in t.question for t in item.turns if t.question
        )
    eye = DataSource(corpus="world", path="2", sense="image", shows="clips")
    seen = world_data(RECIPE, eye, of(encoder), tmp_path / "eye")
    assert seen.sound == {} and {f.modality for f in seen.image.values()} == {"image"}


def test_scenes_chosen_by_a_question_are_asked_it_and_its_answers_stay_even() -> None:
    source = DataSource(corpus="world", path="40", sense="image", only=("count",))
    scenes = world_scenes(RECIPE, source)
    asked = [written(RECIPE, source, scene).questions for scene in scenes]
    assert [len(questions) for questions in asked] == [1] * 40
    found = Counter(questions[0].open_answer for questions in asked)
    assert len(found) == 4 and max(found.values()) < 20


def test_a_sampling_rule_is_for_stored_features() -> None:
    with pytest.raises(RecipeError, match="sampling has no effect on a source of world: it is for"):
        DataSource(corpus="world", path="2", sampling=SamplingSpec(num_frames=4))


def test_captions_may_stand_beside_their_objects_before_fusion(encoder, tmp_path: Path) -> None:
    assert RECIPE.image is not None
    shape = replace(RECIPE.image, vectors_per_step=3, fewer=True)
    recipe = replace(RECIPE, image=shape)
    source = DataSource(corpus="world", path="2", sense="image")
    data = world_data(recipe, source, of(encoder), tmp_path)
    fused = world_data(RECIPE, source, of(encoder), tmp_path / "fused")
    video = data.videos[0]
    found = data.image[video.id]
    assert found.values.shape == (8, 3, 256)
    counts = found.values.ne(0).any(-1).sum(1).tolist()
    assert counts == [min(3, 1 + len(frame.objects)) for frame in video.frames]
    torch.testing.assert_close(
        found.values[:, 0], fused.image[video.id].values[:, 0], atol=2e-3, rtol=0
    )
    lines = [text for _, text in video.frames[0].objects][:2]
    wanted = encoder.encode_texts(lines).half()
    torch.testing.assert_close(found.values[0, 1 : 1 + len(lines)], wanted, atol=2e-3, rtol=0)
    track = blurred_track(padded_track([found]), 0.01, torch.Generator().manual_seed(0))
    assert track.features.ne(0).any(-1).sum(-1)[0].tolist() == counts
    full = replace(RECIPE, image=replace(shape, fewer=False))
    with pytest.raises(RecipeError, match=r"up to 2 objects beside it, and image\.fewer"):
        world_data(full, source, of(encoder), tmp_path / "full")


def test_a_head_start_says_objects_in_columns_and_sounds_in_order(
    encoder, learner, tmp_path: Path
) -> None:
    source = DataSource(corpus="world", path="6", sense="both")
    data = world_data(RECIPE, source, of(encoder), tmp_path)
    seen, heard = image_samples(data, queries=40), sound_samples(data, queries=8)
    assert len(seen) == len(heard) == 6 and len(seen[0].lines) == 40 and len(heard[0].lines) == 8
    assert all(line == "." for line in seen[0].lines[4::5])
    assert heard[0].lines[-1] == "nothing" or len(data.sound[heard[0].id].values) == 8
    with pytest.raises(RecipeError, match="a head start of 12 queries for 8 frames"):
        image_samples(data, queries=12)
    mixed = mixed_frames(seen, seed=1)
    assert sorted(line for s in mixed for line in s.lines) == sorted(
        line for s in seen for line in s.lines
    )
    told = {
        tuple(f.tolist()): s.lines[5 * i : 5 * i + 5]
        for s in seen
        for i, f in enumerate(s.features.values[:, 0])
    }
    one = mixed[0]
    assert all(
        told[tuple(f.tolist())] == one.lines[5 * i : 5 * i + 5]
        for i, f in enumerate(one.features.values[:, 0])
    ), "a frame keeps its lines"
    table = learner.model.decoder.get_input_embeddings().weight.detach().float()
    batches, spread = words_data(
        heard, learner.collator.tokenizer, table, noise=0.01, batch_size=4, seed=0
    )
    batch = batches.batch(0)
    assert batch.num_tokens == len(batch.ids) * 8 and torch.equal(
        batch.words, batches.batch(0).words
    )
    branch = learner.model.branch("sound")
    model = BranchToWords(branch, spread=spread)
    soft = branch(batch.track.features, mask=batch.track.mask, times_s=batch.track.times_s)
    wanted = (soft - batch.words).square().mean() / spread
    torch.testing.assert_close(model.loss(batch.to("cpu")), wanted)
    assert blurred_track(batch.track, 0.0, torch.Generator()) is batch.track


@pytest.fixture(scope="module")
def exam(encoder) -> SensesExam:
    drawn = draw_exam(
        3, part="test", num_scenes=3, per_kind=1, kinds=(*QUESTION_TYPES, *SOUND_TYPES)
    )
    return SensesExam(drawn, clips=CLIPS, eye=encoder, ear=encoder)


def test_looks_show_what_they_say(exam: SensesExam, learner, monkeypatch) -> None:
    few = partial(senses_means.sound_means, num_scenes=3)
    monkeypatch.setattr(senses_exam, "sound_means", few)
    assert len(exam.items) == 10
    both = exam.look(learner, SensesLook(name="both"))
    assert [row.question_id for row in both] == [item.id for item in exam.items]
    blind = answer_senses(learner, exam.items, {}, {})
    assert len(blind) == 10 and blind[0].probabilities != both[0].probabilities
    ear = SensesLook(name="ear", eye="no", kinds=("heard",))
    heard = exam.look(learner, ear)
    assert {row.kind for row in heard} == {"heard"}
    for other in (
        replace(ear, sound_scale=20.0),
        replace(ear, ear="pictured"),
        replace(ear, ear="no"),
        replace(ear, moved=True),
    ):
        assert exam.look(learner, other)[0].probabilities != heard[0].probabilities
    steady = exam.look(learner, SensesLook(name="steady", steady=True))
    shown = {scene.id for scene in exam.exam.scenes if is_steady(scene)}
    assert {row.video_id for row in steady} == shown and len(shown) < len(exam.exam.scenes)
    assert exam.look(learner, SensesLook(name="none", kinds=("colour",), steady=True)) == []
    last = exam._image(SensesLook(name="last", eye="last"))
    features = next(iter(last.values()))
    assert isinstance(features, Features)
    assert torch.equal(features.values[0], features.values[-1])
    mean_frame = next(iter(exam._image(SensesLook(name="mean", eye="mean")).values()))
    assert torch.equal(mean_frame.values[0], mean_frame.values[3])


def test_a_study_names_its_arms_and_compares_the_same_questions(exam, learner) -> None:
    study = tiny_study()
    assert [arm.name for arm in arms(study.recipe)][:2] == ["text only", "clips"]
    index, timeless = (arms(study.recipe, only=(name,))[0].recipe for name in ("index", WITHOUT))
    assert timeless.image is not None and timeless.image.positions == "none"
    assert (index.stages["eyes"].mixed, timeless.stages["eyes"].mixed) == (True, False)
    assert all(s.train.steps == 2 * index.stages[n].train.steps for n, s in timeless.stages.items())
    with pytest.raises(RecipeError, match="the study has no arm 'x'"):
        arms(study.recipe, only=("x",))
    rows = exam.look(learner, SensesLook(name="both"))
    other = [replace(row, chosen=(row.answer + 1) % 4) for row in rows if row.kind == "heard"]
    report = make_report(
        study,
        {
            ("text only", "both, moved"): rows,
            ("text only", "eye"): rows,
            ("text only", "ear"): [*other, *(row for row in rows if row.kind == "seen_and_heard")],
            ("text only", "ear x20"): [replace(row, chosen=row.answer) for row in other],
        },
        questions=len(exam.items),
        trained_cpu_s={"text only": 59.6},
    )
    found = {c.what: c.value for c in report.comparisons}
    assert found.pop("text only, ear x20 - text only, ear: heard") == 1.0
    assert set(found.values()) == {0.0}, "on the questions that both were asked"
    told = describe_senses(report)
    assert "text only | both, moved" in told and "macro: +0.000 +- 0.000" in told
    assert "text only: trained in 60 CPU-s" in told
    one = [row for row in rows if row.video_id == rows[0].video_id]
    looks = {("text only", "both, moved"): one, ("text only", "eye"): one}
    alone = make_report(study, looks, questions=len(one))
    assert {error for row in alone.rows for error in row.errors.values()} == {None}
    assert {c.half_width for c in alone.comparisons} <= {None}
    assert "(" not in describe_senses(alone).splitlines()[1]
    assert find_senses_study("other") is None
    found = find_senses_study("video_llama_tiny_study", settings=["per_kind=5"])
    assert found is not None and found.per_kind == 5


@pytest.mark.slow
def test_a_study_s_run_answers_and_a_finished_one_is_only_read(tmp_path: Path) -> None:
    stages = {
        name: replace(stage, train=replace(stage.train, steps=2, warmup=0, accumulate=1))
        for name, stage in RECIPE.stages.items()
    }
    recipe = replace(RECIPE, stages=stages, data=tiny_data("text", videos=8))
    study = replace(
        tiny_study(),
        recipe=recipe,
        num_scenes=4,
        per_kind=2,
        only=("text only", WITHOUT, "seconds"),
    )
    report = run_senses_study(study, tmp_path)
    assert {row.arm for row in report.rows} == {"text only", WITHOUT, "seconds"}
    assert repr(run_senses_study(study, tmp_path)) == repr(report), "an error of one video is nan"
    keys = [entry.key for entry in read_journal(tmp_path / JOURNAL_FILE, kind="senses-study")]
    assert len(keys) == len(set(keys)) and len(report.trained_cpu_s) == 3
    assert rows_file(tmp_path, "text only", "both").is_file()
    story = tmp_path / "story.txt"
    story.write_text("a red circle , black ground\na red circle , black ground\n")
    answer = load(tmp_path / "text-only").ask(story, "what colour ?", options=["red", "blue"])
    assert "knows only" in answer.note
    assert isinstance(arms(recipe)[0], Arm) and tiny_branch(queries=5).queries == 5
