"""Saved models: there and back, what is in the folder, and everything that may be wrong with it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.models.tiny_decoders import make_batch, make_decoder, make_model
from textreel.models.errors import CheckpointError, DecoderNotFoundError
from textreel.models.track_lm import TrackLM


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a decoder and, beside it, a run that stands on it."""
    make_decoder().save_pretrained(tmp_path / "decoder")
    return tmp_path


def saved(home: Path, adapter: str = "gated") -> TrackLM:
    model = make_model(adapter=adapter)
    model.config = replace(model.config, decoder=str(home / "decoder"), encoder="tiny")
    model.save_pretrained(home / "run")
    return model


def edit(path: Path, **fields) -> None:
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, **fields}))


@pytest.mark.parametrize("adapter", ["none", "gated", "lora"])
def test_there_and_back(home, adapter) -> None:
    model = saved(home, adapter)
    again = TrackLM.from_pretrained(home / "run")
    batch = make_batch()
    with torch.no_grad():
        torch.testing.assert_close(again.loss(batch), model.loss(batch), atol=0, rtol=0)
    assert Path(again.config.decoder).resolve() == home / "decoder"
    assert again.config.adapter == adapter
    assert again.config.encoder == "tiny"
    assert len(again.config.decoder_weights) == 16
    assert again.config.lora == model.config.lora


def test_the_folder_holds_the_trained_tensors_and_nothing_else(home) -> None:
    model = saved(home)
    assert sorted(p.name for p in (home / "run").iterdir()) == ["config.json", "model.safetensors"]
    found = load_file(home / "run" / "model.safetensors")
    assert found.keys() == model.trainable_state_dict().keys()
    config = json.loads((home / "run" / "config.json").read_text())
    assert config["format"] == 1
    assert config["written_by"].startswith("textreel ")
    assert config["decoder"] == "../decoder"


def test_a_saved_model_moves_with_its_decoder(home) -> None:
    saved(home)
    (home / "elsewhere").mkdir()
    for name in ("decoder", "run"):
        (home / name).rename(home / "elsewhere" / name)
    again = TrackLM.from_pretrained(home / "elsewhere" / "run")
    assert Path(again.config.decoder).resolve() == home / "elsewhere" / "decoder"
    again.save_pretrained(home / "deep" / "er")
    config = json.loads((home / "deep" / "er" / "config.json").read_text())
    assert config["decoder"] == "../../elsewhere/decoder"


def test_a_loaded_decoder_can_be_given(home) -> None:
    model = saved(home)
    decoder = make_decoder()
    again = TrackLM.from_pretrained(home / "run", decoder=decoder)
    assert again.decoder is decoder
    assert torch.equal(again.adapter.gates, model.adapter.gates)
    by_name = TrackLM.from_pretrained(home / "run", decoder=str(home / "decoder"))
    assert torch.equal(by_name.adapter.gates, model.adapter.gates)


def test_saving_again_replaces(home) -> None:
    model = saved(home)
    with torch.no_grad():
        model.adapter.gates.add_(1.0)
    model.save_pretrained(home / "run")
    assert torch.equal(TrackLM.from_pretrained(home / "run").adapter.gates, model.adapter.gates)


def test_another_decoder_is_refused(home) -> None:
    saved(home)
    make_decoder(std=0.2).save_pretrained(home / "decoder")
    with pytest.raises(CheckpointError, match=r"decoder '.*decoder' has weights \w{16}, but the"):
        TrackLM.from_pretrained(home / "run")


def test_a_missing_decoder_says_where_it_was_looked_for(home) -> None:
    saved(home)
    (home / "decoder").rename(home / "gone")
    with pytest.raises(DecoderNotFoundError, match=r"no folder \.\./decoder, and it is no") as e:
        TrackLM.from_pretrained(home / "run")
    assert e.value.exit_code == 5 and e.value.hint


def test_tensors_must_be_exactly_those_of_the_config(home) -> None:
    saved(home)
    path = home / "run" / "model.safetensors"
    tensors = load_file(path)
    gates = tensors.pop("adapter.gates")
    save_file({**tensors, "extra": torch.zeros(1)}, path)
    text = r"1 tensors missing \['adapter.gates'\], 1 left over \['extra'\]"
    with pytest.raises(CheckpointError, match=text):
        TrackLM.from_pretrained(home / "run")
    save_file({**tensors, "adapter.gates": gates[:, :2].contiguous()}, path)
    with pytest.raises(CheckpointError, match=r"adapter.gates is \(2, 2\), but the model takes"):
        TrackLM.from_pretrained(home / "run")
    path.unlink()
    with pytest.raises(CheckpointError, match=r"the file model\.safetensors is missing"):
        TrackLM.from_pretrained(home / "run")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"format": 2}, "format 2, but this version reads up to 1"),
        ({"model_type": "llama"}, "a model of kind 'llama', not 'textreel-track-lm'"),
        ({"colour": "red"}, r"fields are not those of TrackLMConfig \(.*colour"),
        ({"gated": {"size": 3}}, r"fields are not those of TrackLMConfig \(.*size"),
    ],
)
def test_a_config_that_is_not_ours_is_refused(home, fields, text) -> None:
    saved(home)
    edit(home / "run" / "config.json", **fields)
    with pytest.raises(CheckpointError, match=text):
        TrackLM.from_pretrained(home / "run")


def test_a_folder_that_is_no_run_is_refused(tmp_path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json, so this is not a saved model"):
        TrackLM.from_pretrained(tmp_path)
