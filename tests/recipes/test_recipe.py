import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from textreel.recipes.recipe import AlignRecipe, RecipeError, data_path, is_world, world_count
from textreel.recipes.recipe_values import read_recipe, with_settings
from textreel.recipes.t2vid import t2vid_idefics3
from textreel.recipes.topa import RECIPES, topa_tiny
from textreel.recipes.training import NAMES, find_recipe


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_the_same_after_json(name: str) -> None:
    recipe = RECIPES[name]()
    assert recipe.name == name
    assert read_recipe(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_settings_reach_any_depth() -> None:
    recipe = with_settings(
        topa_tiny(),
        [
            "seed=7",
            "train.steps=50",
            "train.clip_norm=null",
            'lora.targets=["q_proj"]',
            "data=my videos.json",
            "connector.norm=rms",
            "mix.most_questions=1",
        ],
    )
    before = topa_tiny()
    assert recipe == replace(
        before,
        seed=7,
        data="my videos.json",
        train=replace(before.train, steps=50, clip_norm=None),
        lora=replace(before.lora, targets=("q_proj",)),
        connector=replace(before.connector, norm="rms"),
        mix=replace(before.mix, most_questions=1),
    )


def test_no_settings_change_nothing() -> None:
    assert with_settings(topa_tiny(), []) == topa_tiny()


def test_a_value_may_hold_an_equals_sign() -> None:
    assert with_settings(topa_tiny(), ["knows=a=b"]).knows == "a=b"


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("train.steps", "--set train.steps: not of the form field=value", ""),
        ("train.step=5", "--set train.step=5: there is no field 'step'", "did you mean 'steps'?"),
        ("trian.steps=5", "there is no field 'trian'", "did you mean 'train'?"),
        ("seed.steps=5", "there is no field 'steps'", "it is a plain value, without fields"),
        ("mix.zzz=5", "there is no field 'zzz'", "there are: choices_share, summary_share"),
        ("train.steps=many", "recipe: train: steps: Input should be a valid integer", ""),
        ("train.steps=0", "recipe: train: TrainConfig: steps=0 must be at least 1", ""),
        ("template=nope", "recipe: unknown template 'nope'", "one of topa, "),
        ("num_frames=0", "recipe: num_frames=0 must be at least 1", ""),
        (
            "num_frames=9",
            "recipe: num_frames=9, but the connector has 8 temporal slots",
            "raise connector.max_frames, or set connector.temporal=time",
        ),
        ("mix.noise=-1", "recipe: mix: TaskMix: noise=-1.0 must be 0 or more", ""),
        (
            "train=5",
            "recipe: train: 5 is no object with fields: steps, batch_size, ",
            'such as --set \'train={"batch_size": 32}',
        ),
        ("adapter=none of these", "recipe: adapter: Input should be ", ""),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(setting: str, message: str, hint: str) -> None:
    with pytest.raises(RecipeError) as caught:
        with_settings(topa_tiny(), [setting])
    assert message in str(caught.value)
    assert caught.value.hint.startswith(hint) and bool(caught.value.hint) == bool(hint)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        (
            "tuning.lora=64",
            "recipe: tuning: lora: 64 is no object with fields: rank, alpha, dropout, targets",
            "such as --set 'tuning.lora={\"rank\": 16}'",
        ),
        (
            "tuning.lora={rank:64}",  # what a shell leaves of it without quotes
            "recipe: tuning: lora: '{rank:64}' is no object with fields: rank, alpha",
            "such as --set 'tuning.lora={\"rank\": 16}'",
        ),
        (
            "tuning.lora.rank=64",
            "--set tuning.lora.rank=64: tuning.lora is null, and has no field 'rank' yet",
            "set all of it at once: --set 'tuning.lora={\"rank\": ...}'",
        ),
        ("pages=1", "recipe: pages: 1 is no object with fields: ", "such as --set 'pages={"),
    ],
)
def test_a_plain_value_for_what_has_fields_names_them(
    setting: str, message: str, hint: str
) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)) as caught:
        with_settings(t2vid_idefics3(), [setting])
    assert caught.value.hint.startswith(hint)


def test_positions_from_seconds_know_no_slots() -> None:
    settings = ["num_frames=40", "connector.temporal=time"]
    assert with_settings(topa_tiny(), settings).num_frames == 40


def test_a_missing_field_is_named() -> None:
    values = topa_tiny().to_json()
    del values["decoder"]
    with pytest.raises(RecipeError, match="recipe: decoder: Field required"):
        read_recipe(values)


@pytest.mark.parametrize(
    ("place", "hint"), [("sed", "did you mean 'seed'?"), ("train.stepz", "did you mean 'steps'?")]
)
def test_an_unknown_field_is_refused_not_ignored(place: str, hint: str) -> None:
    values = json.loads(json.dumps(topa_tiny().to_json()))
    *parents, name = place.split(".")
    here = values
    for parent in parents:
        here = here[parent]
    here[name] = 1
    with pytest.raises(RecipeError, match=f"recipe: there is no field '{place}'") as caught:
        read_recipe(values)
    assert caught.value.hint == hint


def test_the_world_is_data_by_number() -> None:
    assert is_world("world:12") and not is_world("world.json")
    assert world_count("world:12") == 12


@pytest.mark.parametrize("data", ["world:", "world:0", "world:-3", "world:many", "world:1.5"])
def test_a_world_without_a_number_is_refused(data: str) -> None:
    with pytest.raises(RecipeError, match="after `world:` stands how many videos, such as 3000"):
        world_count(data)


def test_data_that_are_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "there.json").write_text("{}")
    assert data_path(str(tmp_path / "there.json")) == tmp_path / "there.json"
    with pytest.raises(RecipeError, match=r"gone\.json': no such file") as caught:
        data_path(str(tmp_path / "gone.json"))
    assert "world:3000" in caught.value.hint


def test_a_recipe_is_found_by_name_or_as_a_file(tmp_path: Path) -> None:
    assert find_recipe("topa_tiny", settings=["seed=3"]) == replace(topa_tiny(), seed=3)
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(replace(topa_tiny(), seed=4).to_json()))
    assert find_recipe(str(path)) == replace(topa_tiny(), seed=4)


def test_no_such_recipe_names_those_there_are() -> None:
    with pytest.raises(RecipeError, match="there is no recipe 'topa_tony'") as caught:
        find_recipe("topa_tony")
    assert caught.value.hint == f"one of {', '.join(NAMES)}, or the recipe.json of a run"
    assert {"topa_tiny", "t2vid_idefics3", "video_llama_tiny_textonly"} <= set(NAMES)


@pytest.mark.parametrize("content", [b"{half", b"\xff\xfe"])
def test_a_file_that_is_no_recipe_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"recipe\.json is not JSON: "):
        find_recipe(str(path))


def test_json_that_is_no_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text("[1, 2]")
    with pytest.raises(RecipeError, match=r"recipe\.json holds no recipe"):
        find_recipe(str(path))


def test_a_template_is_checked_without_json_too() -> None:
    with pytest.raises(RecipeError, match="unknown template 'nope'"):
        AlignRecipe(
            name="r", decoder="d", encoder="e", data="x", train=topa_tiny().train, template="nope"
        )
