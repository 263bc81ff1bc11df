"""`textreel plan`: sizes of trainings, on meta tensors."""

import json
from dataclasses import replace

import pytest

from textreel.cli.app import run
from textreel.models.decoder_sizes import KNOWN_DECODERS
from textreel.models.errors import DecoderNotFoundError
from textreel.recipes.plan import plan_training
from textreel.recipes.topa import PUBLISHED_RUNS, RECIPES, topa_tiny

PROJECTOR, SLOTS = 768, 10
SIZES = {
    "topa_llama2_7b": (9_742_336, 4096, 32, 32, 6_738_415_616),
    "topa_llama2_13b": (14_226_560, 5120, 40, 40, 13_015_864_320),
    "topa_llama3_8b": (9_742_336, 4096, 32, 32, 8_030_261_248),
}
"""Trained parameters, width, layers, heads, and the decoder's own parameters."""


@pytest.mark.parametrize("name", PUBLISHED_RUNS)
def test_the_published_sizes_are_printed(name: str, capsys) -> None:
    trained, width, layers, heads, frozen = SIZES[name]
    assert run(["plan", name, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["trained_parameters"] == trained
    assert plan["decoder_parameters"] == frozen
    assert plan["connector_parameters"] == (PROJECTOR + SLOTS) * width
    assert plan["adapter_parameters"] == layers * (50 * width + 2 * heads)
    assert plan["soft_tokens"] == plan["num_frames"] == SLOTS
    assert plan["weights_bytes"] == 2 * frozen + 16 * trained
    assert plan["videos"] is None


def test_a_plan_for_people_and_of_changed_settings(capsys) -> None:
    settings = ["--set", "data=world:1000", "--set", "data_fraction=0.1", "--set", "equal=epochs"]
    assert run(["plan", "topa_tiny", *settings]) == 0
    shown = capsys.readouterr().out
    lora = 5 * 16 * (4 * (160 + 160) + 3 * (160 + 432))
    connector = 256 * 4 * 160 + 8 * 160
    assert f"trained parameters  {lora + connector:,} " in shown
    assert f"(connector {connector:,}, adapter {lora:,})" in shown
    assert "video               8 frames, 32 soft tokens" in shown
    assert "updates             12 of 64 prompts, 768 prompts in all of 100 videos" in shown


def test_frozen_weights_are_halved_where_the_arithmetic_is() -> None:
    tiny = topa_tiny()
    half = replace(tiny, train=replace(tiny.train, precision="bf16"))
    plans = plan_training(tiny), plan_training(half)
    frozen = plans[0].decoder_parameters
    assert plans[0].weights_bytes - plans[1].weights_bytes == 2 * frozen
    assert half.halves_frozen("cuda") and not half.halves_frozen("cpu")
    assert not tiny.halves_frozen("cuda")


def test_a_decoder_that_is_not_here_is_said_so() -> None:
    with pytest.raises(DecoderNotFoundError, match="no config of the decoder '/nowhere"):
        plan_training(replace(topa_tiny(), decoder="/nowhere/nobody/nothing"))


def test_every_recipe_of_real_size_can_be_planned_anywhere() -> None:
    assert {recipe().decoder for recipe in RECIPES.values()} - set(KNOWN_DECODERS) == {
        "embedded:tiny/decoder"
    }
    plan = plan_training(RECIPES["topa_modern"]())
    assert plan.decoder_parameters == 4_022_468_096  # its card says 4.0 billion
    assert plan.trained_parameters == 36 * (50 * 2560 + 2 * 32) + (PROJECTOR + SLOTS) * 2560


def test_a_recipe_of_another_kind_has_no_plan(capsys) -> None:
    assert run(["plan", "t2vid_idefics3"]) == 2
    assert "t2vid_idefics3 is no alignment on textual videos" in capsys.readouterr().err
