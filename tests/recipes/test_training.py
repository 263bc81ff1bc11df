import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.recipes.toy import toy_recipe
from textreel.features.errors import FeatureMismatchError
from textreel.media.write import write_clip
from textreel.recipes.topa import KNOWS
from textreel.recipes.training import find_recipe, run_recipe
from textreel.serve.session import load
from textreel.synth.world.render import draw_clip
from textreel.synth.world.scene import draw_scenes
from textreel.train.errors import RunChangedError


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "one.mp4"
    write_clip(path, draw_clip(next(iter(draw_scenes(0, part="test")))))
    return path


def test_the_run_answers_about_an_mp4(toy_run: Path, mp4: Path) -> None:
    session = load(toy_run)
    answer = session.ask(mp4, "what colour is the circle ?", options=("red", "blue"))
    assert answer.options == ("red", "blue")
    assert sum(answer.probabilities) == pytest.approx(1)
    assert answer.frame_times_s == pytest.approx([i + 0.5 for i in range(8)], abs=0.2)
    assert answer.bridge == "none"
    assert answer.note == f"knows only {KNOWS}"
    assert answer.sound_status == "unused"


def test_the_run_holds_the_recipe_that_repeats_it(toy_run: Path) -> None:
    assert find_recipe(str(toy_run / "recipe.json")) == toy_recipe()


@pytest.mark.slow
def test_a_second_call_trains_nothing_and_ends_the_same(toy_run: Path) -> None:
    log = (toy_run / "log.jsonl").read_bytes()
    told: list[tuple[str, int, int, str]] = []
    result = run_recipe(toy_recipe(), toy_run, show=lambda *step: told.append(step))
    assert result.resumed_at == result.steps == 4
    assert (toy_run / "log.jsonl").read_bytes() == log
    assert told[:4] == [
        ("read", 0, 1, ""),
        ("read", 1, 1, "6 textual videos"),
        ("encode", 0, 1, ""),
        ("encode", 1, 1, "48 text frames"),
    ]
    assert {phase for phase, *_ in told[4:]} <= {"align"}


@pytest.mark.slow
def test_another_folder_ends_with_the_same_weights(toy_run: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int, str]] = []
    result = run_recipe(toy_recipe(), tmp_path / "run", show=lambda *step: told.append(step))
    assert result == run_recipe(toy_recipe(), toy_run)
    *_, (phase, done, total, note) = told
    assert (phase, done, total) == ("align", 4, 4)
    assert note.startswith("loss ")


def test_a_changed_recipe_is_refused(toy_run: Path) -> None:
    recipe = toy_recipe()
    before = json.loads((toy_run / "recipe.json").read_text())
    longer = replace(recipe, train=replace(recipe.train, steps=6))
    with pytest.raises(RunChangedError, match="was started with steps=4, this is steps=6"):
        run_recipe(longer, toy_run)
    other = replace(recipe, mix=replace(recipe.mix, choices_share=0.0))
    with pytest.raises(RunChangedError, match="was started with another data"):
        run_recipe(other, toy_run)
    smaller = replace(recipe, lora=replace(recipe.lora, rank=4))
    with pytest.raises(RunChangedError, match="was started with another model"):
        run_recipe(smaller, toy_run)
    with pytest.raises(FeatureMismatchError):
        run_recipe(replace(recipe, data="world:7"), toy_run)
    assert json.loads((toy_run / "recipe.json").read_text()) == before
