from pathlib import Path

import pytest
import torch
from torch.optim import AdamW, Muon

from tests.train.training_job import LittleModel, config, data
from textreel.train.checkpoint import Snapshot, capture, latest, restore, save
from textreel.train.config import TrainConfig
from textreel.train.contracts import Progress
from textreel.train.errors import TrainConfigError
from textreel.train.loop import train
from textreel.train.optimizer import (
    MUON_MOMENTUM,
    MuonWithAdamW,
    build_optimizer,
    keep_masters,
    set_learning_rate,
)


def test_matrices_decay_and_vectors_do_not() -> None:
    model = LittleModel()
    groups = build_optimizer(model, config(weight_decay=0.3)).param_groups
    assert [g["weight_decay"] for g in groups] == [0.3, 0.0]
    assert [len(g["params"]) for g in groups] == [2, 4]
    assert all(p.ndim == 2 for p in groups[0]["params"])
    assert not any(p is model.embed.weight for g in groups for p in g["params"])


def test_one_update_is_adamw_by_hand() -> None:
    model = LittleModel(dropout=0.0)
    optimizer = build_optimizer(model, config(weight_decay=0.5))
    model.loss(data().batch(0)).backward()
    before, gradient = model.mix.weight.detach().clone(), model.mix.weight.grad.clone()
    set_learning_rate(optimizer, 0.1)
    optimizer.step()
    # first step: both moments are unbiased, so the update is g / (|g| + eps)
    wanted = before * (1 - 0.1 * 0.5) - 0.1 * gradient / (gradient.abs() + 1e-8)
    torch.testing.assert_close(model.mix.weight.detach(), wanted)


def test_nothing_to_train_is_refused() -> None:
    model = LittleModel().requires_grad_(False)
    with pytest.raises(TrainConfigError, match="nothing to train"):
        build_optimizer(model, config())


def test_trained_parts_are_kept_in_fp32() -> None:
    model = LittleModel().bfloat16()
    keep_masters(model)
    assert model.mix.weight.dtype == torch.float32
    assert model.embed.weight.dtype == torch.bfloat16


def _muon_config(**changes: object) -> TrainConfig:
    return config(**({"optimizer": "muon", "muon_lr": 0.3, "weight_decay": 0.5} | changes))


def test_muon_takes_matrices_and_adamw_the_rest() -> None:
    model = LittleModel()
    optimizer = build_optimizer(model, _muon_config())
    assert isinstance(optimizer, MuonWithAdamW)
    muon, adamw = optimizer.parts
    assert isinstance(muon, Muon) and isinstance(adamw, AdamW)
    hidden = [p for group in muon.param_groups for p in group["params"]]
    rest = [p for group in adamw.param_groups for p in group["params"]]
    assert {id(p) for p in hidden} == {id(model.mix.weight), id(model.head.weight)}
    assert {id(p) for p in rest} == {
        id(p) for p in model.parameters() if p.requires_grad and p.ndim == 1
    }
    assert optimizer.param_groups == muon.param_groups + adamw.param_groups


def test_embeddings_stay_with_adamw() -> None:
    model = LittleModel().requires_grad_(True)
    optimizer = build_optimizer(model, _muon_config())
    assert isinstance(optimizer, MuonWithAdamW)
    matrices, vectors = optimizer.parts[1].param_groups
    assert [id(p) for p in matrices["params"]] == [id(model.embed.weight)]
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.5, 0.0)


def test_without_matrices_muon_is_adamw() -> None:
    assert isinstance(build_optimizer(torch.nn.LayerNorm(3), _muon_config()), AdamW)


def test_steps_together_are_steps_apart() -> None:
    together, apart = LittleModel(dropout=0.0), LittleModel(dropout=0.0)
    both = build_optimizer(together, _muon_config())
    matrices = [apart.mix.weight, apart.head.weight]
    vectors = [p for p in apart.parameters() if p.requires_grad and p.ndim == 1]
    muon = Muon(matrices, lr=0.3, momentum=MUON_MOMENTUM, weight_decay=0.5)
    adamw = AdamW(vectors, lr=config().lr, betas=config().betas, weight_decay=0.0, fused=True)
    for step in range(3):
        for model in (together, apart):
            model.loss(data().batch(step)).backward()
        both.step()
        muon.step()
        adamw.step()
        for optimizer in (both, muon, adamw):
            optimizer.zero_grad()
        assert all(map(torch.equal, together.parameters(), apart.parameters()))


def test_each_part_has_its_own_rate() -> None:
    optimizer = build_optimizer(LittleModel(), _muon_config(lr=0.1, muon_lr=0.3))
    set_learning_rate(optimizer, 0.05)  # half of the highest
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.15, 0.05])


def test_a_muon_step_has_a_spectral_norm_of_about_its_rate() -> None:
    model = LittleModel(dropout=0.0)
    before = model.mix.weight.detach().clone()
    optimizer = build_optimizer(model, _muon_config(weight_decay=0.0))
    model.loss(data().batch(0)).backward()
    optimizer.step()
    moved = torch.linalg.svdvals(model.mix.weight.detach() - before)
    assert 0.5 * 0.3 < moved[0].item() < 1.5 * 0.3
    assert moved.median().item() > 0.5 * 0.3  # all directions alike, not one


def test_a_muon_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    model = LittleModel(dropout=0.0)
    optimizer = build_optimizer(model, _muon_config())
    model.loss(data().batch(0)).backward()
    optimizer.step()
    optimizer.zero_grad()
    save(tmp_path, Snapshot(step=1, tensors=capture(model, optimizer, {}), scalars={}))
    again = LittleModel(dropout=0.0)
    other = build_optimizer(again, _muon_config())
    found = latest(tmp_path)
    assert found is not None
    assert "optimizer/mix.weight/momentum_buffer" in found.tensors
    assert "optimizer/norm.weight/exp_avg_sq" in found.tensors
    restore(found.tensors, again, other)
    for step in (1, 2):
        for one, its in ((model, optimizer), (again, other)):
            one.loss(data().batch(step)).backward()
            its.step()
            its.zero_grad()
    assert all(map(torch.equal, model.parameters(), again.parameters()))


def test_an_interrupted_muon_run_ends_where_a_straight_one_ends(tmp_path: Path) -> None:
    def die(progress: Progress) -> None:
        if progress.step == 7:
            raise ConnectionError

    muon = _muon_config(muon_lr=0.02)
    with pytest.raises(ConnectionError):
        train(LittleModel(), data(), muon, tmp_path / "killed", progress=die)
    killed = train(LittleModel(), data(), muon, tmp_path / "killed")
    assert killed.resumed_at == 6
    straight = train(LittleModel(), data(), muon, tmp_path / "straight")
    assert killed == straight
    adamw = train(LittleModel(), data(), config(), tmp_path / "adamw")
    assert straight.weights_sha256 != adamw.weights_sha256
