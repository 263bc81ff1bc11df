"""Runs and image-LLMs answer on another device than the processor, and say the same there."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.elsewhere import elsewhere
from tests.models.image_mllm.tiny_image_llms import KINDS, save_image_llm
from tests.serve.runs import add_memory, add_statistics, make_run, video
from tests.serve.test_senses_reader import make_senses_run, wave, write
from textreel.serve.captions import STYLES
from textreel.serve.run_files import BridgeSettings
from textreel.serve.senses_captions import caption_run
from textreel.serve.session import Question, Session, load

Device = Callable[[], AbstractContextManager[torch.device]]
CHOICE = ("red", "green circle")


@pytest.fixture(params=["elsewhere", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Device:
    if request.param == "cuda":
        return lambda: nullcontext(torch.device("cuda"))
    return lambda: elsewhere(monkeypatch)


def said(session: Session, path: Path) -> list[tuple[str, tuple[float, ...]]]:
    """Ask in every way there is."""
    questions = [
        Question(video=path, question="which colour ?", options=CHOICE),
        Question(video=path, question="what is the colour ?"),
    ]
    talk = session.chat(path, remember=True)
    answers = [
        session.ask(path, "which colour ?", options=CHOICE),
        session.ask(path, "what is it ?", max_new_tokens=4),
        *session.ask_many(questions, max_new_tokens=4),
        talk.ask("what is it ?", max_new_tokens=4),
        talk.ask("which colour ?", options=CHOICE),
    ]
    return [(answer.text, answer.probabilities) for answer in answers]


def assert_alike(run: Path, path: Path, device: Device) -> None:
    here = said(load(run), path)
    with device() as place:
        there = said(load(run, device=place), path)
    for (text, shares), (other, others) in zip(here, there, strict=True):
        assert text == other
        assert shares == pytest.approx(others, abs=1e-3)


@pytest.mark.parametrize(
    "bridge",
    [
        "centred memory",
        *(
            pytest.param(b, marks=pytest.mark.slow)
            for b in ("none", "memory", "mean_shift", "centre")
        ),
    ],
)
def test_a_run(device: Device, bridge: str, tmp_path: Path) -> None:
    name = bridge.removeprefix("centred ")
    settings = BridgeSettings(name=name, centred=bridge.startswith("centred"))  # type: ignore[arg-type]
    run = make_run(tmp_path, bridge=settings)
    add_statistics(run)
    if name == "memory":
        add_memory(run, ["red circle", "green square", "blue"])
    path = video(tmp_path / "clip.mp4", seed=1)
    assert_alike(run, path, device)
    style = replace(STYLES["frames"], max_new_tokens=2)
    here = caption_run(run, path, style=style)
    with device() as place:
        assert caption_run(run, path, style=style, device=place) == here


@pytest.mark.parametrize(
    "kind",
    ["idefics3", *(pytest.param(k, marks=pytest.mark.slow) for k in KINDS if k != "idefics3")],
)
def test_an_image_llm(device: Device, kind: str, tmp_path: Path) -> None:
    path = video(tmp_path / "clip.mp4", seed=1, num_frames=3)
    assert_alike(save_image_llm(tmp_path / kind, kind), path, device)


@pytest.mark.slow
def test_eyes_and_ears(device: Device, tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", frames=6, sound=wave(3))
    assert_alike(make_senses_run(tmp_path, "run"), path, device)
