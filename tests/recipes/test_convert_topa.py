"""`textreel convert topa` on a checkpoint made here; the numbers are compared in tests/parity."""

import argparse
import json
import pickle

import pytest
import torch

from tests.models.tiny_decoders import make_decoder
from textreel.cli.app import run
from textreel.models.checkpoint import read_config
from textreel.models.errors import BridgeError, CheckpointError
from textreel.recipes.convert_topa import TopaSource, convert_topa
from textreel.recipes.recipe import RecipeError
from textreel.serve.run_files import load_settings


@pytest.fixture(scope="module")
def llm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llm")
    make_decoder(layers=3).save_pretrained(folder)
    return folder


def write_checkpoint(path, *, width: int = 32, llama3: bool = True):
    tensors = {
        "adapter_query.weight": torch.randn(6, width),
        "visual_proj.weight": torch.randn(width, 8),
        "temporal_emb.weight": torch.randn(5, width),
    }
    for i in range(3):
        for gate in ("gate1", "gate2"):
            tensors[f"layers.{i}.attention.{gate}"] = torch.randn(1, 4, 1, 1)
    options = argparse.Namespace(adapter_len=3, llama3=llama3)
    torch.save({"model": tensors, "args": options, "epoch": 1}, path)
    return path


def write_memory(path, rows):
    path.write_bytes(pickle.dumps(rows))
    return path


def test_a_converted_run_is_whole(llm, tmp_path, capsys) -> None:
    memory = write_memory(tmp_path / "memory.pkl", torch.eye(8).half())
    checkpoint = write_checkpoint(tmp_path / "c.pth")
    out = tmp_path / "run"
    words = ["--checkpoint", checkpoint, "--llm", llm, "--out", out, "--memory", memory]
    words += ["--rope-theta", 777]
    assert run(["convert", "topa", *map(str, words)]) == 0
    written = capsys.readouterr()
    assert "2 layers, 5 frames, a memory of 8 rows" in written.out
    assert "first 1 layers of the decoder are skipped" in written.err
    config = read_config(out)
    assert config.published is not None and config.published.rope_theta == 777
    settings = load_settings(out)
    assert settings.template.name == "topa-llama3" and settings.bridge.name == "memory"
    assert settings.sampling.num_frames == 5 and settings.sampling.policy == "topa_floor"
    assert "faults" in (out / "README.md").read_text(encoding="utf-8")


def test_a_llama3_checkpoint_is_told_of_its_theta(llm, tmp_path) -> None:
    source = TopaSource(checkpoint=write_checkpoint(tmp_path / "c.pth"), llm=str(llm))
    result = convert_topa(source, tmp_path / "run")
    assert any("--rope-theta 10000" in note for note in result.notes)
    assert any("not on this machine" in note for note in result.notes)
    assert result.memory_rows == 0 and result.trained_parameters == 6 * 32 + 32 * 8 + 5 * 32 + 16
    second = TopaSource(checkpoint=write_checkpoint(tmp_path / "2.pth", llama3=False), llm=str(llm))
    assert not any("rope" in note for note in convert_topa(second, tmp_path / "2").notes)


def test_what_does_not_fit_is_refused(llm, tmp_path, capsys) -> None:
    checkpoint = write_checkpoint(tmp_path / "c.pth")
    wide = TopaSource(checkpoint=write_checkpoint(tmp_path / "w.pth", width=16), llm=str(llm))
    with pytest.raises(CheckpointError, match="but the model takes"):
        convert_topa(wide, tmp_path / "run")
    for rows, error, text in (
        (torch.ones(4, 8), BridgeError, "are not of unit length"),
        (torch.eye(4), RecipeError, "reads vectors of width 8"),
    ):
        memory = write_memory(tmp_path / "memory.pkl", rows)
        with pytest.raises(error, match=text):
            convert_topa(
                TopaSource(checkpoint=checkpoint, llm=str(llm), memory=memory), tmp_path / "run"
            )
    words = ["--checkpoint", checkpoint, "--llm", tmp_path / "nothing", "--out", tmp_path / "r"]
    assert run(["convert", "topa", *map(str, words), "--json"]) == 5
    shown = json.loads(capsys.readouterr().out)
    assert f"there is no folder {tmp_path}/nothing" in shown["error"]["message"]
    assert not (tmp_path / "run" / "run.json").exists()
