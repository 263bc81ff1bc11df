import json
from dataclasses import replace
from pathlib import Path

import pytest

from textreel.cli.app import run
from textreel.recipes.recipe import AlignRecipe
from textreel.recipes.topa import topa_tiny
from textreel.train.result import TrainResult

RESULT = TrainResult(
    steps=3,
    loss=1.25,
    evaluations=(),
    weights_sha256="ab",
    precision="fp32",
    attention="sdpa",
    threads=1,
    checkpoint="checkpoints/step-00000003",
    resumed_at=None,
    seconds=0.5,
)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[AlignRecipe, Path, bool]]:
    calls = []

    def run_recipe(recipe: AlignRecipe, out: Path, *, show, inexact, device) -> TrainResult:
        assert device == "cpu"
        show("align", 3, 3, "loss 1.250")
        calls.append((recipe, out, inexact))
        return RESULT

    monkeypatch.setattr("textreel.recipes.training.run_recipe", run_recipe)
    return calls


def test_a_recipe_is_trained_with_its_settings(trained, capsys) -> None:
    settings = ["--set", "train.steps=30", "--set", "seed=5"]
    assert run(["train", "topa_tiny", "--out", "there", *settings, "--inexact"]) == 0
    [(recipe, out, inexact)] = trained
    assert (recipe.train.steps, recipe.seed) == (30, 5)
    assert recipe.decoder == topa_tiny().decoder
    assert (out, inexact) == (Path("there"), True)
    said = capsys.readouterr()
    assert said.out == "topa_tiny: loss 1.250 after 3 steps -> there\n"
    assert said.err == "textreel: align 3/3 loss 1.250\n"


def test_validation_is_said_with_what_it_began_at(trained, monkeypatch, capsys) -> None:
    asked = ({"step": 0, "validation": 0.25}, {"step": 3, "validation": 0.5})
    monkeypatch.setattr(f"{__name__}.RESULT", replace(RESULT, evaluations=asked))
    assert run(["train", "topa_tiny", "--out", "there"]) == 0
    said = "loss 1.250 after 3 steps, validation accuracy 0.500 (0.250 before the first) -> there"
    assert said in capsys.readouterr().out


def test_json_is_one_object(trained, capsys) -> None:
    assert run(["train", "topa_tiny", "--out", "there", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["steps"], said["loss"], said["resumed_at"]) == (3, 1.25, None)
    assert trained[0][0] == topa_tiny()


def test_a_runs_recipe_is_repeated(trained, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps({**topa_tiny().to_json(), "seed": 8}))
    assert run(["-q", "train", str(path), "--out", "there"]) == 0
    assert trained[0][0].seed == 8


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (
            ["nope"],
            "there is no recipe 'nope'",
            "one of topa_tiny, topa_tiny_finetune, topa_tiny_baseline, topa_modern",
        ),
        (
            ["topa_tiny", "--set", "train.step=5"],
            "--set train.step=5: there is no field 'step'",
            "did you mean 'steps'?",
        ),
        (
            ["topa_tiny", "--set", "template=x"],
            "recipe: unknown template 'x'",
            "one of topa, topa-llama3, topa-star, topa-dialogue, topa-open, topa-open-nextqa, tiny",
        ),
    ],
)
def test_what_cannot_be_run_exits_2_with_the_way_out(
    arguments: list[str], message: str, hint: str, trained, capsys
) -> None:
    assert run(["train", *arguments, "--out", "there"]) == 2
    assert trained == []
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert first == f"textreel: {message}"
    assert second.strip().startswith(hint)


def test_data_that_are_not_there_exit_2(tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    arguments = ["topa_tiny", "--set", "data=gone.json", "--out", str(out)]
    assert run(["-q", "train", *arguments]) == 2
    assert "data='gone.json': no such file" in capsys.readouterr().err
    assert not out.exists()


def test_a_run_needs_a_place(capsys) -> None:
    assert run(["train", "topa_tiny"]) == 2
    assert capsys.readouterr().err.startswith("textreel: Missing option '--out'.\n")


def test_a_recipe_of_an_image_llm_and_what_was_measured_last(monkeypatch, capsys) -> None:
    calls = []

    def run_frame_recipe(recipe, out: Path, *, show, inexact, device) -> TrainResult:
        assert device == "cpu"
        calls.append((recipe, out, inexact))
        return replace(RESULT, evaluations=({"step": 0, "x": 1.0}, {"step": 3, "page_words": 0.5}))

    monkeypatch.setattr("textreel.recipes.frame_training.run_frame_recipe", run_frame_recipe)
    settings = ["--set", "train.steps=30", "--set", 'tuning.lora={"rank": 4}']
    assert run(["train", "t2vid_idefics3", "--out", "there", *settings]) == 0
    [(recipe, out, inexact)] = calls
    assert (recipe.train.steps, recipe.tuning.lora.rank, out) == (30, 4, Path("there"))
    assert not inexact
    said = capsys.readouterr().out
    assert said == "t2vid_idefics3: loss 1.250 after 3 steps, page_words 0.500 -> there\n"


def test_studies_of_image_llms_need_a_base_and_take_no_inexact(capsys) -> None:
    assert run(["train", "t2vid_tiny", "--out", "there", "--inexact"]) == 2
    assert "--inexact, --stage and --device have no effect on a study" in capsys.readouterr().err
    assert run(["train", "t2vid_tiny", "--out", "there"]) == 2
    told = capsys.readouterr().err
    assert "base='BASE' is no trained image-LLM" in told and "t2vid_tiny_base" in told
    assert run(["train", "t2vid_tini", "--out", "there"]) == 2
    assert "t2vid_idefics3" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["topa_tiny", "t2vid_tiny_base", "video_llama_tiny"])
def test_every_kind_of_recipe_trains_where_it_is_told(name: str, monkeypatch, capsys) -> None:
    told = []

    def run_it(recipe, out, *, device: str, **_: object):
        told.append((recipe.name, device))
        return {"eyes": RESULT} if name == "video_llama_tiny" else RESULT

    for place in ("training.run_recipe", "frame_training.run_frame_recipe"):
        monkeypatch.setattr(f"textreel.recipes.{place}", run_it)
    monkeypatch.setattr("textreel.recipes.senses_training.run_senses", run_it)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert run(["train", name, "--out", "there", "--device", "cuda"]) == 0
    assert told == [(name, "cuda")]
    assert run(["train", name, "--out", "there", "--device", "cuda:1"]) == 2
    assert "--device cuda:1 is not on this machine" in capsys.readouterr().err
