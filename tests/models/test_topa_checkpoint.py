import argparse
import pickle

import pytest
import torch

from textreel.models.errors import CheckpointError
from textreel.models.topa_checkpoint import read_topa_checkpoint


def state(layers: int = 3, run: int = 2) -> dict[str, torch.nn.Parameter]:
    tensors = {
        "adapter_query.weight": torch.arange(run * 2 * 4.0).view(run * 2, 4),
        "visual_proj.weight": torch.randn(4, 6),
        "temporal_emb.weight": torch.randn(5, 4),
    }
    for i in range(layers):
        tensors[f"layers.{i}.attention.gate1"] = torch.full((1, 2, 1, 1), float(i))
        tensors[f"layers.{i}.attention.gate2"] = torch.full((1, 2, 1, 1), -float(i))
    return {name: torch.nn.Parameter(tensor) for name, tensor in tensors.items()}


def write(path, model=None, **args):
    options = argparse.Namespace(adapter_len=2, llama3=True, **args)
    torch.save({"model": model or state(), "args": options, "epoch": 7}, path)
    return path


def test_a_checkpoint_under_our_names(tmp_path) -> None:
    found = read_topa_checkpoint(write(tmp_path / "c.pth"))
    assert (found.num_layers, found.skipped_layers, found.llama3, found.epoch) == (2, 1, True, 7)
    assert (found.length, found.max_frames, found.feature_dim, found.model_dim) == (2, 5, 6, 4)
    assert found.tensors["adapter.gates"].tolist() == [[1.0, 1.0], [2.0, 2.0]]
    assert found.tensors["adapter.video_bias"].tolist() == [[-1.0, -1.0], [-2.0, -2.0]]
    assert found.tensors["adapter.prompts"][1, 0].tolist() == [8.0, 9.0, 10.0, 11.0]


class Harmful:
    def __reduce__(self):
        return print, ("run!",)


def test_a_checkpoint_that_runs_something_is_refused(tmp_path, capsys) -> None:
    torch.save({"model": {}, "args": Harmful()}, tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match="not a checkpoint that is safe to read"):
        read_topa_checkpoint(tmp_path / "c.pth")
    assert "run!" not in capsys.readouterr().out


def test_other_files_are_refused(tmp_path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        read_topa_checkpoint(tmp_path / "none.pth")
    (tmp_path / "p.pth").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(CheckpointError, match=r"not a checkpoint that is safe|no 'model' and"):
        read_topa_checkpoint(tmp_path / "p.pth")
    torch.save({"model": {}}, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match="no 'model' and 'args' in it"):
        read_topa_checkpoint(tmp_path / "m.pth")


def test_tensors_that_do_not_fit_together_are_refused(tmp_path) -> None:
    tensors = state()
    del tensors["layers.1.attention.gate2"]
    with pytest.raises(CheckpointError, match="gates of 3 and 2 layers, tensors missing"):
        read_topa_checkpoint(write(tmp_path / "g.pth", tensors))
    with pytest.raises(CheckpointError, match=r"tensors missing \['visual_proj.weight'\]"):
        tensors = state()
        del tensors["visual_proj.weight"]
        read_topa_checkpoint(write(tmp_path / "v.pth", tensors))
    with pytest.raises(CheckpointError, match="prompt vectors, 2 a layer, do not fit 1 layers"):
        read_topa_checkpoint(write(tmp_path / "p.pth", state(layers=1, run=2)))
