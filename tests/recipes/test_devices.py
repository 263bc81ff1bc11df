"""Recipes train on another device than the processor, and learn the same there."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.elsewhere import elsewhere
from tests.recipes.senses_job import make_data, staged_recipe
from textreel.models.adapters import LoraSettings
from textreel.models.image_mllm.tuning import Tuning
from textreel.recipes.frame_recipe import WorldSamples
from textreel.recipes.frame_training import run_frame_recipe
from textreel.recipes.recipe import AlignRecipe
from textreel.recipes.senses_recipe import SensesRecipe
from textreel.recipes.senses_training import build_senses, run_senses
from textreel.recipes.t2vid_tiny import EYES, t2vid_tiny_base
from textreel.recipes.training import find_recipe, run_recipe
from textreel.recipes.video_llama import tiny_data, video_llama_tiny_textonly
from textreel.train.config import TrainConfig

Device = Callable[[], AbstractContextManager[torch.device]]
FEW = {"steps": 1, "warmup": 0, "batch_size": 2, "accumulate": 1, "log_every": 1, "restarts": ()}
FEW |= {"precision": "fp32", "threads": 1, "prefetch": 0}


@pytest.fixture(params=["elsewhere", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Device:
    if request.param == "cuda":
        return lambda: nullcontext(torch.device("cuda"))
    return lambda: elsewhere(monkeypatch)


def few(config: TrainConfig) -> TrainConfig:
    return replace(config, **FEW)


def assert_alike(one: Path, other: Path) -> None:
    here, there = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert here.keys() == there.keys()
    for name, values in here.items():
        torch.testing.assert_close(there[name].float(), values.float(), rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("adapter", "optimizer"),
    [("gated", "adamw"), pytest.param("lora", "muon", marks=pytest.mark.slow)],
)
def test_an_alignment(device: Device, adapter: str, optimizer: str, tmp_path: Path) -> None:
    settings = [f"adapter={adapter}", "data=world:4", "validation.data=world:1"]
    recipe = find_recipe("topa_tiny", settings=settings)
    train = replace(few(recipe.train), optimizer=optimizer, attention="eager")
    recipe = replace(recipe, train=train)
    store = tmp_path / "features"  # encoded in other batches they have other last bits
    here = run_recipe(recipe, tmp_path / "here", store=store)
    with device() as place:
        there = run_recipe(recipe, tmp_path / "there", store=store, device=place)
    assert there.evaluations[0] == here.evaluations[0]
    assert there.loss == pytest.approx(here.loss, rel=1e-5)
    assert_alike(tmp_path / "here", tmp_path / "there")


@pytest.mark.slow
def test_a_decoder_that_is_held_in_bfloat16(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = find_recipe("topa_tiny", settings=["data=world:6", "validation.data=world:1"])
    train = replace(few(recipe.train), precision="bf16")
    recipe = replace(recipe, train=train, adapter="gated")
    whole = run_recipe(recipe, tmp_path / "whole")
    monkeypatch.setattr(AlignRecipe, "halves_frozen", lambda *_: True)
    half = run_recipe(recipe, tmp_path / "half")
    assert half.precision == "bf16"
    assert half.loss == pytest.approx(whole.loss, rel=0.1)
    assert_alike(tmp_path / "whole", tmp_path / "half")


@pytest.mark.slow
def test_an_image_llm_with_lessons_for_its_eyes(device: Device, tmp_path: Path) -> None:
    lessons = replace(EYES, train=few(EYES.train), settling=few(EYES.settling))
    recipe = replace(
        t2vid_tiny_base(),
        eyes=lessons,
        tuning=Tuning(lora=LoraSettings(rank=2)),
        world=WorldSamples(stills=4, pages=4, checked_pages=2),
        train=few(t2vid_tiny_base().train),
    )
    here = run_frame_recipe(recipe, tmp_path / "here")
    with device() as place:
        there = run_frame_recipe(recipe, tmp_path / "there", device=place)
    assert there.loss == pytest.approx(here.loss, rel=1e-3)
    assert_alike(tmp_path / "here", tmp_path / "there")


@pytest.mark.slow
def test_eyes_and_ears(device: Device, tmp_path: Path) -> None:
    recipe = video_llama_tiny_textonly()
    recipe = replace(
        recipe,
        data=tiny_data("text", videos=8),
        stages={n: replace(s, train=few(s.train)) for n, s in recipe.stages.items()},
    )
    features = tmp_path / "features"
    here = run_senses(recipe, tmp_path / "here", features=features)
    with device() as place:
        there = run_senses(recipe, tmp_path / "there", features=features, device=place)
    assert list(there) == list(here)
    for name, result in here.items():
        assert there[name].loss == pytest.approx(result.loss, rel=1e-2), name
    assert_alike(tmp_path / "here", tmp_path / "there")


def in_bfloat16(recipe: SensesRecipe) -> SensesRecipe:
    stages = {
        name: replace(stage, train=replace(stage.train, precision="bf16"))
        for name, stage in recipe.stages.items()
    }
    return replace(recipe, stages=stages)


def test_staged_recipes_halve_what_runs_in_bfloat16_alone(tmp_path: Path) -> None:
    staged, tiny = staged_recipe(tmp_path), video_llama_tiny_textonly()
    assert tiny.stages["eyes"].train.precision == "fp32"  # a head start, which runs no decoder
    assert tiny.halves_frozen("cuda") and not tiny.halves_frozen("cpu")
    assert in_bfloat16(staged).halves_frozen("cuda") and not staged.halves_frozen("cuda")
    stages = in_bfloat16(staged).stages | {"al2": staged.stages["al2"]}
    assert not replace(staged, stages=stages).halves_frozen("cuda")
    words = {name: tiny.stages[name] for name in ("eyes", "ears")}
    assert not replace(tiny, stages=words).halves_frozen("cuda")


def test_a_staged_decoder_that_is_held_in_bfloat16(device: Device, tmp_path: Path) -> None:
    make_data(tmp_path)
    recipe = in_bfloat16(staged_recipe(tmp_path, steps=1, lora=LoraSettings(rank=2)))
    adapter = replace(recipe.stages["vl2"], trains=("adapter",))
    recipe = replace(recipe, stages={"vl1": recipe.stages["vl1"], "adapter": adapter})
    here = run_senses(recipe, tmp_path / "here")
    with device() as place:
        there = run_senses(recipe, tmp_path / "there", device=place)
        model = build_senses(recipe, tmp_path / "there", device=place).model
        model.load_learned(tmp_path / "there")
    learned = model.learned()
    for name, parameter in model.named_parameters():
        own = name.startswith("decoder.") and name not in learned
        assert parameter.dtype == (torch.bfloat16 if own else torch.float32), name
    for name, result in here.items():
        assert there[name].loss == pytest.approx(result.loss, rel=0.02), name
    assert_alike(tmp_path / "here", tmp_path / "there")
    kept = load_file(tmp_path / "there" / "model.safetensors")
    assert {values.dtype for values in kept.values()} == {torch.float32}
