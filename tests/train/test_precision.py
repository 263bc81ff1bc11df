import pytest
import torch
from torch import nn

from tests.train.training_job import LittleModel, data
from textreel.train.errors import TrainConfigError
from textreel.train.precision import (
    ComputePath,
    arithmetic,
    candidates,
    fastest,
    measure,
    take,
)

FP32 = ComputePath(precision="fp32", attention="own")
BF16 = ComputePath(precision="bf16", attention="own")
CPU = torch.device("cpu")


class Switching(nn.Linear):
    kernel = "sdpa"


def test_every_combination_is_a_candidate() -> None:
    model = Switching(2, 2)
    assert [str(path) for path in candidates(model, precision="auto", attention="auto")] == [
        "fp32/sdpa",
        "fp32/eager",
        "bf16/sdpa",
        "bf16/eager",
    ]
    bf16 = candidates(model, precision="bf16", attention="auto")
    assert [str(path) for path in bf16] == ["bf16/sdpa", "bf16/eager"]
    eager = candidates(model, precision="auto", attention="eager")
    assert [str(path) for path in eager] == ["fp32/eager", "bf16/eager"]
    assert candidates(nn.Linear(2, 2), precision="auto", attention="auto") == [FP32, BF16]


def test_a_choice_that_a_model_does_not_offer_is_refused() -> None:
    with pytest.raises(TrainConfigError, match="attention=eager, but Linear has one way only"):
        candidates(nn.Linear(2, 2), precision="fp32", attention="eager")


def test_weights_stored_in_bf16_rule_fp32_out() -> None:
    model = nn.Linear(2, 2).bfloat16()
    assert candidates(model, precision="auto", attention="auto") == [BF16]
    with pytest.raises(TrainConfigError, match=r"precision=fp32, but .* in torch.bfloat16"):
        candidates(model, precision="fp32", attention="auto")


def test_taking_a_path_switches_the_attention() -> None:
    model = Switching(2, 2)
    take(ComputePath(precision="fp32", attention="eager"), model)
    assert model.kernel == "eager"
    take(BF16, nn.Linear(2, 2))  # nothing to switch


def test_each_path_is_timed_in_turn_and_the_faster_one_taken() -> None:
    tried: list[ComputePath] = []

    def step(path: ComputePath) -> None:
        tried.append(path)
        sum(range(400_000 if path == FP32 else 4_000))

    seconds = measure(step, [FP32, BF16], device=CPU)
    assert tried == [FP32, BF16] * 4
    assert 0 <= seconds[BF16] < seconds[FP32]
    assert fastest([FP32, BF16], seconds) == BF16


def test_a_single_path_needs_no_timing() -> None:
    assert fastest([FP32], {}) == FP32


def test_a_draw_goes_to_the_first() -> None:
    assert fastest([FP32, BF16], {FP32: 1.0, BF16: 0.96}) == FP32
    assert fastest([FP32, BF16], {FP32: 1.0, BF16: 0.94}) == BF16


def test_bf16_computes_in_bf16_and_leaves_gradients_in_fp32() -> None:
    model, batch = LittleModel(dropout=0.0), data().batch(0)
    with arithmetic(FP32, CPU):
        exact = model.loss(batch)
    with arithmetic(BF16, CPU):
        assert model.mix(torch.zeros(1, 16)).dtype == torch.bfloat16
        rough = model.loss(batch)
    rough.backward()
    assert rough.item() != exact.item()
    assert rough.item() == pytest.approx(exact.item(), rel=0.02)
    assert model.head.weight.grad.dtype == torch.float32
