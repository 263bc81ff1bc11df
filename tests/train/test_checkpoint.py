import json
from pathlib import Path

import pytest
import torch

from tests.train.training_job import LittleModel, config, data
from textreel.data.errors import FormatError
from textreel.train.checkpoint import (
    Snapshot,
    capture,
    latest,
    restore,
    rng_state,
    save,
    set_rng_state,
    sweep,
)
from textreel.train.errors import CheckpointError
from textreel.train.optimizer import build_optimizer

CPU = torch.device("cpu")


def _stepped() -> tuple[LittleModel, torch.optim.AdamW]:
    model = LittleModel(dropout=0.0)
    optimizer = build_optimizer(model, config())
    model.loss(data().batch(0)).backward()
    optimizer.step()
    optimizer.zero_grad()
    return model, optimizer


def _snapshot(step: int) -> Snapshot:
    tensors = {"x": torch.tensor([1.0, float(step)])}
    return Snapshot(step=step, tensors=tensors, scalars={"sum": 0.1})


def test_trained_parts_and_optimizer_come_back_bit_for_bit(tmp_path: Path) -> None:
    model, optimizer = _stepped()
    tensors = capture(model, optimizer, rng_state(CPU))
    save(tmp_path, Snapshot(step=1, tensors=tensors, scalars={}))
    again = LittleModel(dropout=0.0)
    other = build_optimizer(again, config())
    found = latest(tmp_path)
    assert found is not None
    restore(found.tensors, again, other)
    for both in (model, optimizer), (again, other):
        both[0].loss(data().batch(1)).backward()
        both[1].step()
    assert all(
        torch.equal(one, two)
        for one, two in zip(model.parameters(), again.parameters(), strict=True)
    )


def test_frozen_weights_are_not_stored() -> None:
    model, optimizer = _stepped()
    names = capture(model, optimizer, {}).keys()
    assert "model/head.weight" in names
    assert "optimizer/head.weight/exp_avg_sq" in names
    assert not any("embed" in name for name in names)


def test_persistent_buffers_are_stored_and_restored() -> None:
    norm = torch.nn.BatchNorm1d(2)
    optimizer = build_optimizer(norm, config())
    norm(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    other = torch.nn.BatchNorm1d(2)
    restore(capture(norm, optimizer, {}), other, build_optimizer(other, config()))
    assert other.running_mean.tolist() == pytest.approx([0.2, 0.4])


def test_generators_come_back() -> None:
    with torch.random.fork_rng([]):
        state = rng_state(CPU)
        drawn = torch.rand(3)
        set_rng_state(state, CPU)
        assert torch.equal(torch.rand(3), drawn)


def test_the_newest_two_stay(tmp_path: Path) -> None:
    for step in (1, 2, 30):
        save(tmp_path, _snapshot(step))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000002", "step-00000030"]
    found = latest(tmp_path)
    assert found is not None
    assert (found.step, found.scalars) == (30, {"sum": 0.1})
    assert found.tensors["x"].tolist() == [1.0, 30.0]


def test_a_step_once_saved_is_not_written_again(tmp_path: Path) -> None:
    path = save(tmp_path, _snapshot(4))
    before = (path / "tensors.safetensors").stat().st_mtime_ns
    assert save(tmp_path, _snapshot(4)) == path
    assert (path / "tensors.safetensors").stat().st_mtime_ns == before


def test_half_written_checkpoints_are_neither_read_nor_kept(tmp_path: Path) -> None:
    save(tmp_path, _snapshot(4))
    half = tmp_path / ".step-00000005.tmp-12-ab"
    half.mkdir()
    (half / "tensors.safetensors").write_bytes(b"half")
    found = latest(tmp_path)
    assert found is not None
    assert found.step == 4
    sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000004"]


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert latest(tmp_path / "missing") is None


def test_a_damaged_checkpoint_is_named_with_the_way_out(tmp_path: Path) -> None:
    save(tmp_path, _snapshot(3))
    path = save(tmp_path, _snapshot(4))
    (path / "tensors.safetensors").write_bytes(b"\x10")
    with pytest.raises(CheckpointError, match=r"cannot read checkpoint .*step-00000004") as caught:
        latest(tmp_path)
    assert "remove step-00000004" in caught.value.hint
    assert caught.value.exit_code == 1


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, _snapshot(4)) / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(FormatError, match="has format 99"):
        latest(tmp_path)


def test_a_checkpoint_of_another_model_is_refused() -> None:
    model, optimizer = _stepped()
    tensors = capture(model, optimizer, {})
    del tensors["model/head.bias"]
    with pytest.raises(CheckpointError, match=r"differ in 1 of 6 tensors \(first: head.bias\)"):
        restore(tensors, model, optimizer)
