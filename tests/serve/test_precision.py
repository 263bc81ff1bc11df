"""Runs whose decoder is held in 16 bits say the same, and say that it is."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from transformers import PreTrainedModel

from tests.elsewhere import elsewhere
from tests.models.image_mllm.tiny_image_llms import save_image_llm
from tests.serve.runs import make_run, save_decoder, video
from tests.serve.test_senses_reader import make_senses_run, wave, write
from textreel.cli.app import run as run_command
from textreel.models.adapters import LoraSettings
from textreel.models.decoder import load_decoder, logits
from textreel.models.precision import Precision
from textreel.models.track_lm import TrackLM
from textreel.serve.captions import STYLES
from textreel.serve.senses_captions import caption_run
from textreel.serve.session import Question, Session, load

CHOICE = ("red", "green circle", "blue square")
NOTE = "decoder in bfloat16"
Maker = Callable[[Path], Path]


def store_in_bfloat16(decoder: Path) -> None:
    load_decoder(str(decoder), dtype=torch.bfloat16).save_pretrained(decoder)


def track_run(home: Path, *, adapter: str = "gated") -> Path:
    """A run whose adapter has learned something, on a decoder that is stored in bfloat16."""
    run = make_run(home)
    store_in_bfloat16(home / "decoder")
    make_run(home)
    model = TrackLM.from_pretrained(run)
    config = replace(model.config, adapter=adapter, lora=LoraSettings(rank=2))
    model = TrackLM(load_decoder(str(home / "decoder")), config)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "gates" in name or "lora_B" in name:
                parameter.uniform_(0.1, 0.3, generator=generator)
    model.save_pretrained(run)
    return run


def senses_run(home: Path) -> Path:
    save_decoder(home / "decoder")
    store_in_bfloat16(home / "decoder")
    return make_senses_run(home, "run")


def shares(session: Session, path: Path) -> list[tuple[str, tuple[float, ...], str]]:
    """Ask for choices in every way there is."""
    question = Question(video=path, question="which colour ?", options=CHOICE)
    talk = session.chat(path, remember=True)
    answers = [
        session.ask(path, question.question, options=CHOICE),
        *session.ask_many([question]),
        talk.ask("which colour ?", options=CHOICE),
    ]
    return [(one.text, one.probabilities, one.note) for one in answers]


def assert_alike(here: Session, there: Session, path: Path) -> None:
    for (text, odds, note), (other, others, told) in zip(
        shares(here, path), shares(there, path), strict=True
    ):
        assert text == other
        assert odds == pytest.approx(others, abs=0.06) and odds != others
        assert NOTE not in note and NOTE in told.split("; ")


def assert_halved(session: Session) -> None:
    """The decoder's own weights are in bfloat16, and no others."""
    for name, parameter in session.reader.model.named_parameters():  # type: ignore[attr-defined]
        own = name.startswith("decoder.") and "lora_" not in name
        assert parameter.dtype == (torch.bfloat16 if own else torch.float32), name


@pytest.mark.parametrize("adapter", ["none", "gated", "lora"])
def test_a_run_in_bfloat16_on_a_processor(adapter: str, tmp_path: Path) -> None:
    run = track_run(tmp_path, adapter=adapter)
    here, there = load(run), load(run, precision="bf16")
    assert here.reader.model.decoder.dtype == torch.float32  # type: ignore[attr-defined]
    assert_halved(there)
    path = video(tmp_path / "clip.mp4", seed=1)
    assert_alike(here, there, path)
    assert there.ask(path, "what is it ?", max_new_tokens=3).text


def test_eyes_and_ears_in_bfloat16_on_a_processor(tmp_path: Path) -> None:
    run = senses_run(tmp_path)
    here, there = load(run), load(run, precision="bf16")
    assert here.reader.model.decoder.dtype == torch.float32  # type: ignore[attr-defined]
    assert_halved(there)
    assert_alike(here, there, write(tmp_path / "clip.mp4", frames=6, sound=wave(3)))


@pytest.mark.parametrize("make", [track_run, senses_run])
def test_a_run_is_held_as_stored_on_another_device(
    make: Maker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = make(tmp_path)
    path = write(tmp_path / "clip.mp4", frames=6, sound=wave(3))
    here = load(run)
    asked = here.ask(path, "which colour ?", options=CHOICE)
    with elsewhere(monkeypatch) as place:
        there = load(run, device=place)
        assert_halved(there)
        told = there.ask(path, "which colour ?", options=CHOICE)
    assert told.text == asked.text
    assert told.probabilities == pytest.approx(asked.probabilities, abs=0.06)
    assert told.probabilities != asked.probabilities
    assert NOTE in told.note and NOTE not in asked.note


def test_answers_in_other_precisions_are_not_mixed_in_one_file(tmp_path: Path) -> None:
    run = track_run(tmp_path)
    auto, whole, half = (load(run, precision=p).fingerprint for p in get_args(Precision))
    assert auto == whole != half


def test_an_image_llm_is_held_in_what_is_named(tmp_path: Path) -> None:
    folder = save_image_llm(tmp_path / "idefics3", "idefics3")
    path = video(tmp_path / "clip.mp4", seed=1, num_frames=2)
    held, names = {}, set()
    for precision in ("auto", "bf16"):
        session = load(folder, precision=precision)
        names.add(session.fingerprint)
        held[precision] = session.reader.model.model.dtype  # type: ignore[attr-defined]
        assert len(session.ask(path, "which colour ?", options=CHOICE).probabilities) == 3
    assert held == {"auto": torch.float32, "bf16": torch.bfloat16} and len(names) == 2


@pytest.mark.parametrize("make", [track_run, senses_run])
def test_captions_are_written_in_it_too(
    make: Maker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run, path = make(tmp_path), write(tmp_path / "clip.mp4", frames=4)
    held = []

    def note(decoder: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
        held.append(hidden.dtype)
        return logits(decoder, hidden)

    style = replace(STYLES["summary"], max_new_tokens=2)
    monkeypatch.setattr("textreel.models.decoder.logits", note)
    for precision in ("auto", "bf16"):
        caption_run(run, path, style=style, precision=precision)
    assert held[0] == torch.float32 and held[-1] == torch.bfloat16


def test_the_command_line_names_a_precision(tmp_path: Path, capsys) -> None:
    run, path = track_run(tmp_path), video(tmp_path / "clip.mp4", seed=1)
    ask = ["ask", str(run), str(path), "which colour ?", "--option", "red", "--option", "blue"]
    assert run_command([*ask, "--precision", "bf16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["note"].split("; ")[-1] == NOTE
    assert run_command([*ask, "--precision", "fp8"]) == 2
    told = capsys.readouterr().err
    assert "'fp8' is not one of 'auto', 'fp32', 'bf16'" in told
