import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models.image_mllm.tiny_image_llms import save_image_llm
from tests.recipes.toy import toy_recipe, toy_settings
from textreel.cli.app import run
from textreel.cli.demo import IMAGE_LLM, next_commands
from textreel.media.sampling import SamplingSpec
from textreel.recipes import demo
from textreel.recipes.demo_result import DemoResult
from textreel.recipes.prepare import build_learner, open_encoder
from textreel.recipes.training import find_recipe
from textreel.serve.run_files import RunSettings, save_run
from textreel.synth.world.questions import QUESTION_TYPES


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run like the one in the package, untrained."""
    folder = tmp_path_factory.mktemp("shipped")
    recipe = toy_recipe()
    learner = build_learner(recipe, open_encoder(recipe))
    settings = RunSettings(
        encoder=recipe.encoder,
        template=learner.collator.template,
        sampling=SamplingSpec(num_frames=8),
    )
    save_run(folder, learner.model, settings)
    return folder


@pytest.fixture
def toy(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[DemoResult]]:
    """`textreel demo` in a folder of its own, a toy; what it returned is listed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "SHIPPED", str(shipped))
    monkeypatch.setattr("textreel.recipes.demo_result.DemoSettings", toy_settings)
    found: list[DemoResult] = []
    whole = demo.run_demo

    def run_demo(*args: Any, **kwargs: Any) -> DemoResult:
        found.append(whole(*args, **kwargs))
        return found[-1]

    monkeypatch.setattr(demo, "run_demo", run_demo)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield found
    torch.set_num_threads(before)


@pytest.mark.slow
def test_json_is_one_object_and_the_folder_is_whole(toy: list[DemoResult], capsys) -> None:
    assert run(["demo", "--seed", "2", "--out", "here", "--json"]) == 0
    said = capsys.readouterr()
    metrics = json.loads(said.out)
    assert metrics == json.loads(Path("here/run/metrics.json").read_text())
    assert (metrics["run"], metrics["videos"]) == ("here/run", "here/videos")
    assert find_recipe("here/run/recipe.json").seed == 2
    assert all(set(row["by_type"]) == set(QUESTION_TYPES) for row in metrics["rows"])
    assert "first look" in metrics["seconds"]
    [first] = Path("here/first").glob("*.mp4")
    assert first.with_suffix(".png").exists()
    assert "validation accuracy" in said.err
    _the_next_commands_run(toy[0], capsys)


def _the_next_commands_run(result: DemoResult, capsys) -> None:
    ask, look, recipe = (shlex.split(line) for line in next_commands(result))
    first = json.loads((result.videos / "questions.jsonl").read_text().splitlines()[0])
    assert run([*ask[1:], "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["text"] == first["options"][first["chosen"]]
    assert look[:4] == ["textreel", "ask", IMAGE_LLM, "YOUR_VIDEO.mp4"]
    model = save_image_llm(Path("image-llm"))  # of that class, tiny: nothing is downloaded here
    shutil.copy(result.videos / first["video"], "YOUR_VIDEO.mp4")
    assert run(["ask", str(model), *look[3:], "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["encoder"], len(answer["frame_times_s"])) == ("image-llm", 8)
    assert recipe[:3] == ["textreel", "train", "topa_modern"]
    assert find_recipe(recipe[2], settings=[recipe[4]]).data == "textvid.json"


@pytest.mark.slow
def test_for_people_there_are_a_first_look_a_table_and_what_is_next(
    toy: list[DemoResult], capsys
) -> None:
    assert run(["demo", "--out", "here"]) == 0
    said = capsys.readouterr()
    assert "Now the same is trained from nothing." in said.out
    [result] = toy
    lines = said.out.splitlines()
    table = [line.split() for line in lines if f"  {'chance'}" in line or line.startswith("* ")]
    assert [cells[:2] for cells in table][:1] == [["chance", "0.250"]]
    assert any(cells[:2] == ["*", result.headline] for cells in table)
    assert [line.strip() for line in lines[lines.index("Next:") + 1 :]] == next_commands(result)
    assert "training on text only; nothing is downloaded" in said.err


def test_settings_come_from_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Path, int]] = []

    class Stopped(KeyboardInterrupt):
        pass

    def run_demo(out: Path, settings: Any, **_: Any) -> None:
        asked.append((out, settings.seed))
        raise Stopped

    monkeypatch.setattr(demo, "run_demo", run_demo)
    assert run(["demo", "--seed", "7", "--out", "x"]) == 130
    assert run(["demo"]) == 130
    assert asked == [(Path("x"), 7), (Path("runs/demo"), 0)]


def test_a_seed_is_a_number(capsys) -> None:
    assert run(["demo", "--seed", "many"]) == 2
    assert "--seed" in capsys.readouterr().err
