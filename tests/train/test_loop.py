import itertools
import json
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.train.training_job import LittleModel, config, data
from textreel.data.errors import LockedError
from textreel.data.locks import run_lock
from textreel.models.batch import Batch
from textreel.train.config import learning_rate
from textreel.train.contracts import Progress
from textreel.train.errors import NonFiniteError, RunChangedError
from textreel.train.loop import train


class Killed(BaseException):
    """Stands for a death between two instructions."""


class Dying(LittleModel):
    """Dies in its n-th call of `loss`."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls = calls

    def loss(self, batch: Batch) -> Tensor:
        self.calls -= 1
        if self.calls < 0:
            raise Killed
        return super().loss(batch)


def _lines(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "log.jsonl").read_text().splitlines()]


def test_training_lowers_the_loss_and_leaves_the_frozen_part_alone(tmp_path: Path) -> None:
    model = LittleModel()
    frozen = model.embed.weight.clone()
    result = train(model, data(), config(steps=60, checkpoint_every=60), tmp_path)
    losses = [line["loss"] for line in _lines(tmp_path)]
    assert len(losses) == 60
    assert losses[0] == pytest.approx(math.log(31), abs=0.4)  # as good as guessing
    assert result.loss == losses[-1] < 0.6 * losses[0]
    assert torch.equal(model.embed.weight, frozen)


def test_an_update_is_what_plain_torch_does(tmp_path: Path) -> None:
    run = config(steps=4, clip_norm=0.05)
    model, plain = LittleModel(dropout=0.0), LittleModel(dropout=0.0)
    train(model, data(), run, tmp_path)
    optimizer = torch.optim.AdamW(
        [
            {"params": [plain.mix.weight, plain.head.weight]},
            {"params": [p for p in plain.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ],
        lr=run.lr,
        betas=run.betas,
        weight_decay=run.weight_decay,
    )
    for step in range(4):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, run)
        optimizer.zero_grad()
        plain.loss(data().batch(step)).backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.05)
        optimizer.step()
    for one, two in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("calls", [0, 1, 4, 8, 11])
def test_a_killed_run_ends_where_a_straight_run_ends(tmp_path: Path, calls: int) -> None:
    run = config(log_every=2, evaluate_every=4)
    accuracy = {"accuracy": 0.5}
    straight = train(LittleModel(), data(), run, tmp_path / "a", evaluate=lambda: accuracy)
    with pytest.raises(Killed):
        train(Dying(calls), data(), run, tmp_path / "b", evaluate=lambda: accuracy)
    killed = train(LittleModel(), data(), run, tmp_path / "b", evaluate=lambda: accuracy)
    assert killed == straight
    assert killed.resumed_at == (None if calls < 3 else calls // 3 * 3)
    strip = [
        [{k: v for k, v in line.items() if k in ("step", "loss", "grad_norm", "evaluation")}]
        for line in _lines(tmp_path / "a")
    ]
    assert strip == [
        [{k: v for k, v in line.items() if k in ("step", "loss", "grad_norm", "evaluation")}]
        for line in _lines(tmp_path / "b")
    ]


@pytest.mark.parametrize("call", range(1, 12, 2))
def test_a_death_while_writing_a_checkpoint_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    run = config(steps=6, checkpoint_every=2)
    straight = train(LittleModel(), data(), run, tmp_path / "a")
    flushes = itertools.count(1)

    def flush(handle: int, real: Callable[[int], None] = os.fsync) -> None:
        if next(flushes) == call:
            raise Killed
        real(handle)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "fsync", flush)
        train(LittleModel(), data(), run, tmp_path / "b")
    assert train(LittleModel(), data(), run, tmp_path / "b") == straight


def test_how_often_is_logged_saved_and_prefetched_changes_no_weight(tmp_path: Path) -> None:
    first = train(LittleModel(), data(), config(), tmp_path / "a")
    run = config(log_every=5, checkpoint_every=100, prefetch=0, evaluate_every=1)

    def evaluate() -> dict[str, float]:
        torch.rand(7)  # draws from the global generator
        return {"x": 1.0}

    second = train(LittleModel(), data(), run, tmp_path / "b", evaluate=evaluate)
    assert first.weights_sha256 == second.weights_sha256


def test_seeds_give_other_weights(tmp_path: Path) -> None:
    first = train(LittleModel(), data(), config(), tmp_path / "a")
    second = train(LittleModel(), data(), config(seed=1), tmp_path / "b")  # other dropout
    assert first.weights_sha256 != second.weights_sha256


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = train(LittleModel(), data(), config(), tmp_path, evaluate=lambda: {"x": 1.0})
    stamp = (tmp_path / "log.jsonl").stat().st_mtime_ns
    model = LittleModel()
    again = train(model, data(), config(), tmp_path, evaluate=lambda: 1 / 0)
    assert again == first
    assert again.resumed_at == 12
    assert (tmp_path / "log.jsonl").stat().st_mtime_ns == stamp


def test_accuracy_at_step_0_is_logged_before_anything_is_learnt(tmp_path: Path) -> None:
    model, start = LittleModel(), LittleModel()
    seen: list[tuple[bool, bool, bool]] = []

    def evaluate() -> dict[str, float]:
        untouched = torch.equal(model.head.weight, start.head.weight)
        seen.append((untouched, model.training, torch.is_grad_enabled()))
        return {"accuracy": 0.25}

    modes: set[bool] = set()
    result = train(
        model,
        data(),
        config(evaluate_every=5),
        tmp_path,
        evaluate=evaluate,
        progress=lambda _: modes.add(model.training),
    )
    assert _lines(tmp_path)[0] == {"step": 0, "evaluation": {"accuracy": 0.25}}
    assert [e["step"] for e in result.evaluations] == [0, 5, 10, 12]
    assert seen[0] == (True, False, False)
    assert seen[1:] == [(False, False, False)] * 3
    assert modes == {True}, "training goes on behind every evaluation"


def test_log_lines_say_how_fast_and_how_idle(tmp_path: Path) -> None:
    train(LittleModel(), data(), config(log_every=4), tmp_path)
    lines = _lines(tmp_path)
    assert [line["step"] for line in lines] == [4, 8, 12]
    for line in lines:
        assert 0 <= line["wait_share"] <= 1
        assert line["step_s"] > 0
    tokens = sum(int(data().batch(step).attention_mask.sum()) for step in range(4))
    assert lines[0]["tokens_per_s"] * 4 * lines[0]["step_s"] == pytest.approx(tokens)
    assert lines[1]["lr"] == learning_rate(7, config())


def test_progress_is_told_after_every_step_and_evaluation(tmp_path: Path) -> None:
    told: list[Progress] = []
    run = config(steps=3, warmup=0)
    train(LittleModel(), data(), run, tmp_path, evaluate=lambda: {"x": 0.5}, progress=told.append)
    assert [p.step for p in told] == [0, 1, 2, 3, 3]
    assert all(p.steps == 3 and p.evaluation == {"x": 0.5} for p in told)
    assert math.isnan(told[0].loss)
    assert told[1].loss == _lines(tmp_path)[1]["loss"]
    assert (told[4].loss, told[4].lr, told[4].step_s) == (told[3].loss, told[3].lr, told[3].step_s)


class Exploding(LittleModel):
    """The loss, or only its gradient, is infinite in call number `at`."""

    def __init__(self, at: int, *, gradient: bool) -> None:
        super().__init__()
        self.at, self.gradient = at, gradient

    def loss(self, batch: Batch) -> Tensor:
        self.at -= 1
        loss = super().loss(batch)
        if self.at < 0 and self.gradient:
            loss.register_hook(lambda gradient: gradient * math.inf)
        return loss * math.inf if self.at < 0 and not self.gradient else loss


@pytest.mark.parametrize(
    ("gradient", "what"), [(False, "the loss is inf"), (True, "the gradient's norm is (inf|nan)")]
)
def test_an_infinite_step_is_refused_by_name_and_the_state_saved(
    tmp_path: Path, gradient: bool, what: str
) -> None:
    with pytest.raises(NonFiniteError, match=what + " in step 4 on 7 samples: row-") as caught:
        train(Exploding(4, gradient=gradient), data(), config(), tmp_path / "a")
    assert caught.value.step == 4
    assert caught.value.ids == data().batch(4).ids
    assert caught.value.exit_code == 1
    healed = train(LittleModel(), data(), config(), tmp_path / "a")
    assert healed.resumed_at == 4
    assert healed == train(LittleModel(), data(), config(), tmp_path / "b")


@pytest.mark.parametrize(
    ("number", "error", "code"),
    [(signal.SIGINT, KeyboardInterrupt, None), (signal.SIGTERM, SystemExit, 143)],
)
def test_a_signal_ends_the_run_between_two_steps_with_its_state_saved(
    tmp_path: Path, number: int, error: type[BaseException], code: int | None
) -> None:
    before = signal.getsignal(number)

    def interrupt(progress: Progress) -> None:
        if progress.step == 5:
            os.kill(os.getpid(), number)

    with pytest.raises(error) as caught:
        train(LittleModel(), data(), config(), tmp_path / "a", progress=interrupt)
    assert getattr(caught.value, "code", None) == code
    assert signal.getsignal(number) is before
    after = train(LittleModel(), data(), config(), tmp_path / "a")
    assert after.resumed_at == 5
    assert after == train(LittleModel(), data(), config(), tmp_path / "b")


def test_the_caller_keeps_generator_and_threads(tmp_path: Path) -> None:
    model = LittleModel()
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    train(model, data(), config(threads=threads + 1), tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_a_trained_model_draws_no_dropout(tmp_path: Path) -> None:
    for _ in range(2):  # trained, and read when it was finished
        model = LittleModel(dropout=0.5)
        train(model, data(), config(), tmp_path)
        batch = data().batch(0)
        assert not model.training
        assert torch.equal(model.loss(batch), model.loss(batch))


def test_a_measured_choice_is_recorded_and_repeated(tmp_path: Path) -> None:
    result = train(LittleModel(), data(), config(precision="auto"), tmp_path)
    recorded = json.loads((tmp_path / "train.json").read_text())
    assert set(recorded["step_seconds"]) == {"fp32/own", "bf16/own"}
    assert recorded["machine"]["precision"] == result.precision
    assert recorded["machine"]["threads"] == 1
    again = train(LittleModel(), data(), config(precision="auto"), tmp_path)
    assert again == result


def test_a_second_run_of_the_same_job_takes_the_first_ones_choice(tmp_path: Path) -> None:
    run = config(precision="auto", steps=1, warmup=0)
    for name in ("a", "b"):
        train(LittleModel(), data(), run, tmp_path / name)
    first, second = ((tmp_path / n / "train.json").read_text() for n in ("a", "b"))
    assert first == second


def test_measuring_changes_no_weight(tmp_path: Path) -> None:
    auto = train(LittleModel(), data(), config(precision="auto"), tmp_path / "a")
    fixed = train(LittleModel(), data(), config(precision=auto.precision), tmp_path / "b")
    assert auto.weights_sha256 == fixed.weights_sha256


def test_other_settings_model_or_data_are_refused(tmp_path: Path) -> None:
    train(LittleModel(), data(), config(steps=3), tmp_path)
    with pytest.raises(RunChangedError, match="steps=3, this is steps=4"):
        train(LittleModel(), data(), config(steps=4), tmp_path)
    with pytest.raises(RunChangedError, match="another data"):
        train(LittleModel(), data(seed=1), config(steps=3), tmp_path)
    other = LittleModel()
    other.embed.weight.data += 1
    with pytest.raises(RunChangedError, match="another model"):
        train(other, data(), config(steps=3), tmp_path)


def test_other_threads_are_refused_unless_inexact(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(Dying(4), data(), config(), tmp_path)
    with pytest.raises(RunChangedError, match="threads=1, this is threads=2"):
        train(LittleModel(), data(), config(threads=2), tmp_path)
    result = train(LittleModel(), data(), config(threads=2), tmp_path, inexact=True)
    assert (result.threads, result.resumed_at) == (2, 3)


def test_a_run_that_is_being_written_is_refused(tmp_path: Path) -> None:
    with run_lock(tmp_path / "run"), pytest.raises(LockedError, match=f"process {os.getpid()}"):
        train(LittleModel(), data(), config(), tmp_path / "run")


def test_gradients_of_several_batches_make_one_update(tmp_path: Path) -> None:
    run = config(steps=3, accumulate=2, clip_norm=None)
    model, plain = LittleModel(dropout=0.0), LittleModel(dropout=0.0)
    result = train(model, data(), run, tmp_path)
    optimizer = torch.optim.AdamW(
        [
            {"params": [plain.mix.weight, plain.head.weight]},
            {"params": [p for p in plain.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ],
        lr=run.lr,
        betas=run.betas,
        weight_decay=run.weight_decay,
    )
    for step in range(3):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, run)
        losses = [plain.loss(data().batch(2 * step + i)) for i in range(2)]
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        optimizer.step()
    for one, two in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, two)
    assert result.loss == pytest.approx(sum(loss.item() for loss in losses) / 2, rel=1e-5)


def test_a_killed_run_of_several_batches_a_step_goes_on(tmp_path: Path) -> None:
    run = config(accumulate=2)
    straight = train(LittleModel(), data(), run, tmp_path / "a")
    with pytest.raises(Killed):
        train(Dying(9), data(), run, tmp_path / "b")
    assert train(LittleModel(), data(), run, tmp_path / "b") == straight
