"""A run under way names the settings that have changed, and says how to go on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.models.image_mllm.tiny_image_llms import save_image_llm
from tests.recipes.test_frame_training import asked, recipe, write_records
from textreel.data.record import Part
from textreel.models.adapters import LoraSettings
from textreel.models.errors import ModelConfigError
from textreel.models.image_mllm.tuning import Tuning
from textreel.recipes.frame_recipe import FrameRecipe
from textreel.recipes.frame_resume import check_recipe, keep_recipe
from textreel.recipes.frame_training import find_frame_recipe, run_frame_recipe
from textreel.recipes.recipe import RecipeError


def test_a_run_under_way_keeps_its_recipe_and_goes_on_by_it(tmp_path: Path) -> None:
    wanted: FrameRecipe = recipe(tmp_path, tuning=Tuning(lora=LoraSettings(rank=2)))
    check_recipe(wanted, tmp_path / "run")
    (tmp_path / "run").mkdir()
    keep_recipe(wanted, tmp_path / "run")
    path = tmp_path / "run" / "recipe.json"
    assert find_frame_recipe(str(path)) == wanted
    moved = replace(wanted, media="elsewhere", data="mix", max_bad=9, max_long=None)
    check_recipe(moved, tmp_path / "run")
    keep_recipe(moved, tmp_path / "run")
    assert json.loads(path.read_text())["max_bad"] == 0


def test_settings_that_have_changed_are_named(tmp_path: Path) -> None:
    wanted: FrameRecipe = recipe(tmp_path, tuning=Tuning(lora=LoraSettings(rank=2)))
    keep_recipe(wanted, tmp_path)
    other = replace(wanted, loss="all text", tuning=Tuning(lora=LoraSettings(rank=8)))
    with pytest.raises(RecipeError) as error:
        check_recipe(other, tmp_path)
    assert str(error.value) == (
        f'{tmp_path} was started with loss="answers", this is loss="all text"; '
        "tuning.lora.rank=2, this is tuning.lora.rank=8"
    )
    assert f"textreel train {tmp_path / 'recipe.json'} --out" in error.value.hint


def test_a_folder_of_another_recipe_or_of_none_is_refused(tmp_path: Path) -> None:
    wanted: FrameRecipe = recipe(tmp_path)
    path = tmp_path / "recipe.json"
    path.write_text('{"name": "topa_tiny", "decoder": "x"}')
    with pytest.raises(RecipeError, match=r"the run of a recipe of another kind \(topa_tiny\)"):
        check_recipe(wanted, tmp_path)
    path.write_text("[1]")
    with pytest.raises(RecipeError, match=r"recipe\.json holds no recipe"):
        check_recipe(wanted, tmp_path)
    path.write_text('{"a": ')
    with pytest.raises(RecipeError, match=r"recipe\.json is not JSON: "):
        check_recipe(wanted, tmp_path)


def test_a_training_that_never_began_binds_nobody(tmp_path: Path) -> None:
    out, home = tmp_path / "run", tmp_path
    save_image_llm(home / "llm")
    page = Part(kind="pages", value="The answer is here.")
    write_records(home / "records.jsonl", [asked("p", page, "1")])
    wrong = recipe(home, frame_tokens=16)
    with pytest.raises(ModelConfigError, match="frame_tokens=16 has no effect"):
        run_frame_recipe(wrong, out)
    wanted = recipe(home)

    def killed(what: str, done: int, of: int, note: str) -> None:
        if what == "train":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_frame_recipe(wanted, out, show=killed)
    with pytest.raises(RecipeError, match="was started with num_frames=3, this is num_frames=2"):
        run_frame_recipe(replace(wanted, num_frames=2), out)
