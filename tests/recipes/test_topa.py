import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.recipes.toy import toy_recipe
from textreel.data.textual_jsonl import write_videos
from textreel.models.track_lm import TrackLM
from textreel.recipes.alignment import TaskMix, draw_prompts
from textreel.recipes.clips import CLIPS_SEED, world_questions, world_scenes
from textreel.recipes.demo_files import MOVED_APART, save_recipe_run
from textreel.recipes.prepare import build_learner, centred, open_encoder, read_data
from textreel.recipes.recipe import RecipeError
from textreel.recipes.recipe_values import with_settings
from textreel.recipes.starting import start_from
from textreel.recipes.topa import PUBLISHED_RUNS, RECIPES, topa_tiny, tuned
from textreel.recipes.training import load_samples, random_subset, run_recipe
from textreel.serve.run_files import BridgeSettings, load_settings
from textreel.serve.session import load
from textreel.train.errors import TrainConfigError


@pytest.mark.parametrize(
    ("name", "batch", "lr", "steps", "warmup"),
    [
        ("topa_llama2_7b", 288, 5.625e-3, 50_069, 2_503),
        ("topa_llama2_13b", 128, 4e-3, 112_656, 5_633),
        ("topa_llama3_8b", 448, 8.75e-3, 32_188, 1_609),
        ("topa_llama2_7b_finetune", 320, 1.25e-2, 533, 107),
        ("topa_llama2_13b_finetune", 384, 7.5e-3, 444, 89),
        ("topa_llama3_8b_baseline", 320, 2.5e-2, 1067, 213),
        ("topa_llama2_13b_baseline", 192, 7.5e-3, 1778, 711),
        ("topa_llama2_7b_baseline", 320, 1.25e-2, 1067, 213),
        ("topa_llama3_8b_finetune", 320, 1.25e-2, 533, 107),
    ],
)
def test_the_published_schedules(name: str, batch: int, lr: float, steps: int, warmup: int) -> None:
    train = RECIPES[name]().train
    assert train.batch_size * train.accumulate == batch
    assert (train.lr, train.steps, train.warmup) == (lr, steps, warmup)
    assert (train.betas, train.weight_decay, train.clip_norm) == ((0.9, 0.95), 0.1, None)


@pytest.mark.parametrize("name", [*PUBLISHED_RUNS, "topa_modern", "topa_tiny"])
def test_three_kinds_of_every_recipe(name: str) -> None:
    recipes = [RECIPES[name + suffix]() for suffix in ("", "_finetune", "_baseline")]
    assert [recipe.kind for recipe in recipes] == ["align", "finetune", "baseline"]
    assert [recipe.name.removeprefix(name) for recipe in recipes] == ["", "_finetune", "_baseline"]
    align, finetune, baseline = recipes
    assert (align.start, baseline.start) == ("", "")
    assert finetune.start == ("tiny" if name == "topa_tiny" else f"runs/{name}")
    assert finetune.connector == baseline.connector == align.connector
    assert align.mix.balanced == (name != "topa_tiny")


def test_the_modern_tuning_keeps_the_published_rate_for_its_batch() -> None:
    for kind, epochs in (("finetune", 5), ("baseline", 10)):
        train = RECIPES[f"topa_modern_{kind}"]().train
        assert train.steps == round(epochs * 34_132 / 64)
        assert train.lr == pytest.approx(1e-2 * train.batch_size * train.accumulate / 256)


def test_one_task_is_drawn_at_each_visit() -> None:
    from random import Random

    video = read_data(toy_recipe())[0]
    mix = TaskMix(choices_share=0.5, summary_share=0.5, visits=400)
    prompts = draw_prompts(video, mix, Random(0))
    assert {len(turns) for turns in prompts} == {1}
    tasks = [turns[0].task for turns in prompts]
    assert 160 < tasks.count("choice") < 240 and tasks.count("summary") > 60
    with pytest.raises(TrainConfigError, match="visits=0 must be at least 1"):
        TaskMix(visits=0)
    with pytest.raises(TrainConfigError, match="most_questions=2 must be None"):
        TaskMix(visits=1, most_questions=2)


def test_a_fraction_is_random_seeded_and_part_of_a_larger_one() -> None:
    tenth = random_subset(200, fraction=0.1, seed=3)
    assert len(tenth) == 20 and tenth != list(range(20))
    assert tenth == random_subset(200, fraction=0.1, seed=3)
    assert tenth != random_subset(200, fraction=0.1, seed=4)
    assert set(tenth) < set(random_subset(200, fraction=0.5, seed=3))
    assert random_subset(5, fraction=1.0, seed=0) == [0, 1, 2, 3, 4]
    with pytest.raises(RecipeError, match="of 3 videos leaves none"):
        random_subset(3, fraction=0.1, seed=0)


def test_a_fraction_keeps_the_steps_or_the_epochs() -> None:
    recipe = replace(topa_tiny(), data_fraction=0.1)
    assert recipe.schedule.steps == 120
    shorter = replace(recipe, equal="epochs").schedule
    assert (shorter.steps, shorter.warmup) == (12, 1)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (["data_fraction=0"], "must lie in"),
        (["kind=finetune"], "a finetune begins with an aligned run"),
        (["start=tiny"], "a finetune begins with an aligned run"),
        (["features=somewhere"], "a store of picture features is for the clips of a file"),
        (["data=clips.jsonl", "kind=baseline"], "a store of picture features is for the clips"),
        (["data=videos.jsonl", "seconds=60"], "have an effect on the world's videos only"),
        (["kind=baseline"], "real clips come without lines about their objects"),
        (
            ["kind=baseline", "head_start=null", "captions.share=0.5"],
            "real clips come without captions of their frames",
        ),
    ],
)
def test_settings_of_the_data_that_contradict_are_refused(settings: list[str], text: str) -> None:
    with pytest.raises(RecipeError, match=text):
        with_settings(topa_tiny(), settings)


def clip_recipe(**changes: object):
    recipe = tuned(toy_recipe(), kind="baseline", name="toy_clips")
    train = replace(toy_recipe().train, steps=2, warmup=0)
    return replace(recipe, data="world:3", train=train, num_frames=2, **changes)


def test_clips_are_other_scenes_than_the_textual_videos() -> None:
    recipe = clip_recipe()
    scenes = {scene.id for scene in world_scenes(recipe)}
    assert len(scenes) == 3 and CLIPS_SEED > 0
    assert not scenes & {video.id for video in read_data(replace(toy_recipe(), data="world:50"))}


@pytest.mark.slow
def test_a_baseline_and_a_finetune_train_on_pictures(tmp_path: Path) -> None:
    baseline = clip_recipe()
    encoder = open_encoder(baseline)
    videos, features = load_samples(baseline, encoder, tmp_path / "store")
    assert [f.modality for f in features] == ["image"] * 3
    assert [v.id for v in videos] == [s.id for s in world_scenes(baseline)]
    raw = build_learner(baseline, encoder).model
    result = run_recipe(baseline, tmp_path / "baseline")
    assert result.steps == 2
    assert load_settings(tmp_path / "baseline").bridge.name == "none"
    finetune = replace(baseline, kind="finetune", start=str(tmp_path / "baseline"))
    run_recipe(finetune, tmp_path / "finetune")
    started = build_learner(finetune, encoder).model
    start_from(tmp_path / "baseline", started)
    name = "connector.project.weight"
    trained = TrackLM.from_pretrained(tmp_path / "baseline").state_dict()[name]
    assert torch.equal(started.state_dict()[name], trained)
    assert not torch.equal(raw.state_dict()[name], trained)
    stored = json.loads((tmp_path / "finetune" / "recipe.json").read_text(encoding="utf-8"))
    assert stored["kind"] == "finetune" and stored["start"].endswith("baseline")
    other = replace(finetune, connector=replace(finetune.connector, max_frames=9))
    with pytest.raises(RecipeError, match="its connector is"):
        start_from(tmp_path / "baseline", build_learner(other, encoder).model)


def test_clips_of_a_file_come_with_a_store(tmp_path: Path) -> None:
    world = clip_recipe()
    encoder = open_encoder(world)
    load_samples(world, encoder, tmp_path / "store")
    questions = world_questions(world_scenes(world), world.seed)
    write_videos(tmp_path / "clips.jsonl", questions)
    recipe = replace(
        world, data=str(tmp_path / "clips.jsonl"), features=str(tmp_path / "store"), num_frames=1
    )
    videos, features = load_samples(recipe, encoder, tmp_path / "unused")
    assert videos == questions and [len(f.values) for f in features] == [1, 1, 1]
    assert not (tmp_path / "unused").exists()


@pytest.mark.slow
def test_a_centred_run_crosses_by_centring(tmp_path: Path) -> None:
    recipe = replace(toy_recipe(), centred=True, data="world:6")
    encoder = open_encoder(recipe)
    _, plain = load_samples(replace(recipe, centred=False), encoder, tmp_path / "store")
    _, moved = load_samples(recipe, encoder, tmp_path / "store")
    assert encoder.statistics is not None
    wanted = plain[0].values.float() - encoder.statistics.text_mean
    wanted = torch.nn.functional.normalize(wanted, dim=-1)
    torch.testing.assert_close(moved[0].values.float(), wanted, atol=2e-3, rtol=0)
    run_recipe(recipe, tmp_path / "run")
    session = load(tmp_path / "run")
    assert session.reader.settings.bridge.name == "centre"
    names = {modality: bridge.name for modality, bridge in session.reader._bridges.items()}
    assert names == {"image": "centre", "sound": "centre", "text": "centre"}


def test_centring_needs_the_towers_means(tmp_path: Path) -> None:
    class Encoder:
        name, statistics = "towers", None

    with pytest.raises(RecipeError, match="centred: the encoder towers has no stored means"):
        centred([], Encoder())


def test_a_run_of_a_wide_gap_says_that_files_mean_nothing_to_it(tmp_path: Path) -> None:
    recipe = replace(toy_recipe(), wide_gap=True)
    model = build_learner(recipe, open_encoder(recipe)).model
    save_recipe_run(tmp_path, model, recipe, bridge=BridgeSettings(name="none"), memory=None)
    assert load_settings(tmp_path).knows == MOVED_APART
