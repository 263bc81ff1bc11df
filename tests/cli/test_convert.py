"""`textreel convert topa`, and what the run can then do: answer, and say what it sees."""

import argparse
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from tests.serve.runs import video
from textreel.cli.app import run
from textreel.models.decoder import locate
from textreel.models.track_lm import TrackLM
from textreel.recipes.convert_topa import ENCODER

WIDTH, LAYERS, HEADS, FEATURES = 160, 5, 5, 256
"""Of the decoder and the towers in the package."""
SKIPPED, FRAMES, LENGTH = 2, 6, 3
SECONDS = [0.0, 1.0, 2.0, 3.0]
"""One frame a second, as published; the two that are missing are zeros."""


def write_checkpoint(path: Path) -> Path:
    """Write a checkpoint of the published code's kind for the package's own decoder."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return scale * torch.randn(*shape, generator=generator)

    tensors = {
        "adapter_query.weight": draw((LAYERS - SKIPPED) * LENGTH, WIDTH),
        "visual_proj.weight": draw(WIDTH, FEATURES, scale=0.1),
        "temporal_emb.weight": draw(FRAMES, WIDTH, scale=0.1),
    }
    for i in range(LAYERS):
        for gate in ("gate1", "gate2"):
            tensors[f"layers.{i}.attention.{gate}"] = draw(1, HEADS, 1, 1)
    options = argparse.Namespace(adapter_len=LENGTH, llama3=False)
    torch.save({"model": tensors, "args": options, "epoch": 19}, path)
    return path


def test_a_decoder_beside_the_caller_is_found_from_anywhere(tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "llm").symlink_to(locate("embedded:tiny/decoder"))
    write_checkpoint(tmp_path / "c.pth")
    monkeypatch.chdir(tmp_path)
    arguments = ["--checkpoint", "c.pth", "--llm", "llm", "--out", "run", "--json"]
    assert run(["convert", "topa", *arguments]) == 0
    capsys.readouterr()
    monkeypatch.chdir("/")
    assert TrackLM.from_pretrained(tmp_path / "run").config.encoder == ENCODER


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("converted")
    rows = normalize(torch.randn(20, FEATURES, generator=torch.Generator().manual_seed(1)), dim=-1)
    (home / "memory.pkl").write_bytes(pickle.dumps(rows))
    arguments = ["--checkpoint", write_checkpoint(home / "checkpoint_19.pth")]
    arguments += ["--llm", locate("embedded:tiny/decoder"), "--encoder", "embedded:tiny/towers"]
    arguments += ["--memory", home / "memory.pkl", "--out", home / "run"]
    assert run(["convert", "topa", *map(str, arguments)]) == 0
    config = json.loads((home / "run" / "config.json").read_text(encoding="utf-8"))
    assert config["encoder_revision"].startswith("sha256:")
    video(home / "one.mp4", seed=1)
    return home


@pytest.fixture
def say(home: Path, capsys) -> Callable[..., dict]:
    def command(name: str, *words: str) -> dict:
        capsys.readouterr()
        assert run([name, str(home / "run"), str(home / "one.mp4"), *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return command


def test_a_converted_run_answers_through_its_memory(say) -> None:
    options = ["--option", "red", "--option", "green", "--option", "blue"]
    answer = say("ask", "what colour is the circle ?", *options)
    assert answer["options"] == ["red", "green", "blue"]
    assert answer["text"] == answer["options"][answer["chosen"]]
    assert sum(answer["probabilities"]) == pytest.approx(1)
    assert answer["bridge"].startswith("memory")
    assert answer["frame_times_s"] == SECONDS


def test_a_converted_run_says_what_it_sees_with_every_prompt(say) -> None:
    for style in ("summary", "dense", "msrvtt", "vatex"):
        held = ["--style", style, "--begin", "a red circle", "--ban", "moves", "--cut-after", "."]
        (found,) = say("caption", *held, "--max-new-tokens", "8")["captions"]
        assert found["style"] == style
        assert found["bridge"] == ("none" if style == "vatex" else "memory")
        assert found["text"].startswith("a red circle")
        assert "moves" not in found["text"].split() and "." not in found["text"]
    each = say("caption", "--style", "frames", "--max-new-tokens", "2")["captions"]
    assert [one["start_s"] for one in each] == SECONDS
