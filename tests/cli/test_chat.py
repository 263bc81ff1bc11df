"""`textreel chat` through a pipe and as on a terminal; `ask` and `predict` say the same."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.models.image_mllm.tiny_image_llms import save_image_llm
from tests.serve.runs import make_run, video
from textreel.cli.app import run
from textreel.cli.chat import Talk, _lines
from textreel.serve.session import Session, load

QUESTION = "which colour is the circle ?"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    make_run(home, knows="circles")
    video(home / "one.mp4", seed=1, sound=True)
    video(home / "two.mp4", seed=2)
    (home / "story.txt").write_text("a red circle\nthe circle moves\n")
    return home


@pytest.fixture(scope="module")
def loaded(home: Path) -> Session:
    return load(home / "run")


@pytest.fixture
def chat(loaded: Session, home: Path, monkeypatch) -> Callable[..., int]:
    """`textreel chat run ...` with `said` on its standard input, in the videos' folder."""
    monkeypatch.setattr("textreel.serve.session.load", lambda run, **_: loaded)
    monkeypatch.chdir(home)

    def start(said: str, *arguments: str) -> int:
        monkeypatch.setattr(sys, "stdin", io.StringIO(said))
        return run(["chat", "run", *arguments])

    return start


def test_a_pipe_gets_one_answer_a_line_and_nothing_else(chat, loaded, home, capsys) -> None:
    said = f"{QUESTION}\n\nwhat moves ?\n"
    assert chat(said, "one.mp4", "--max-new-tokens", "4") == 0
    heard = capsys.readouterr()
    assert heard.out.splitlines() == [
        loaded.ask(home / "one.mp4", question, max_new_tokens=4).text or "(no words)"
        for question in (QUESTION, "what moves ?")
    ]
    assert "textreel: one.mp4: 4 frames, at 0.50 1.50 2.50 3.50 s" in heard.err
    assert "textreel: sound unused; 4 of 64 tokens" in heard.err
    assert heard.err.count("knows only circles") == 1


def test_ask_chat_and_predict_say_the_same(chat, home: Path, capsys) -> None:
    assert chat(QUESTION, "one.mp4", "--max-new-tokens", "5", "--json") == 0
    talked = json.loads(capsys.readouterr().out)
    assert run(["ask", "run", "one.mp4", QUESTION, "--max-new-tokens", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == talked
    Path("in.jsonl").write_text(json.dumps({"video": "one.mp4", "question": QUESTION}) + "\n")
    assert run(["predict", "run", "in.jsonl", "out.jsonl", "--max-new-tokens", "5"]) == 0
    heard = capsys.readouterr()
    assert heard.out.startswith("1 lines -> out.jsonl (0 from an earlier run)")
    assert "textreel: predict 1/1" in heard.err
    predicted = json.loads(Path("out.jsonl").read_text())["prediction"]
    assert predicted.items() <= talked.items()


def test_everything_that_can_be_said(chat, home: Path, capsys) -> None:
    said = [
        "/video one.mp4",
        "/options red | green",
        QUESTION,
        "/frames sheet.png",
        "/save talk.json",
        "/reset",
        "/save after.json",
        "/help",
        "/video story.txt",
        "what moves ?",
        "/quit",
        "this is not read",
    ]
    assert chat("\n".join(said), "--max-new-tokens", "3") == 0
    heard = capsys.readouterr()
    first, _ = heard.out.splitlines()
    assert first.split("  ")[0] in {"red", "green"}
    assert "%" in first
    assert Path("sheet.png").read_bytes().startswith(b"\x89PNG")
    assert "4 frames -> sheet.png" in heard.err
    assert len(json.loads(Path("talk.json").read_text())["messages"]) == 2
    assert len(json.loads(Path("after.json").read_text())["messages"]) == 1
    assert "/options A | B" in heard.err
    assert "story.txt: 2 frames" in heard.err


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("what ?", "there is no video to talk about"),
        ("/dance", "/dance is not known here"),
        ("/video", "something is missing: /video FILE"),
        ("/video gone.mp4", "gone.mp4"),
        (
            "/video story.txt\n/frames",
            "story.txt has no frames to show: it is a story, or was heard",
        ),
        ("/video one.mp4\n/options red\nwhich ?", "1 option given"),
    ],
)
def test_through_a_pipe_a_mistake_ends_it(said: str, message: str, chat, capsys) -> None:
    assert chat(f"{said}\n/video one.mp4\nwhat ?\n") in {1, 2}
    heard = capsys.readouterr()
    assert heard.out == ""
    assert message in heard.err


def test_on_a_terminal_a_mistake_is_told_and_the_talk_goes_on(loaded, home, capsys) -> None:
    talk = Talk(loaded, remember=None, max_new_tokens=2, as_json=False)
    assert talk.hear("/dance", forgiving=True)
    assert "/dance is not known here" in capsys.readouterr().err
    assert talk.hear(f"/video {home / 'one.mp4'}", forgiving=True)
    assert talk.hear(QUESTION, forgiving=True)
    assert capsys.readouterr().out.strip()
    assert not talk.hear("/quit", forgiving=True)


def test_ctrl_c_breaks_an_answer_off_and_not_the_talk(loaded, home, capsys, monkeypatch) -> None:
    talk = Talk(loaded, remember=None, max_new_tokens=2, as_json=False)
    talk.begin(home / "one.mp4")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(talk, "_ask", stop)
    assert talk.hear("what ?", forgiving=True)
    assert "(broken off)" in capsys.readouterr().err
    with pytest.raises(KeyboardInterrupt):
        talk.hear("what ?", forgiving=False)


def test_a_terminal_is_read_line_by_line(monkeypatch, capsys) -> None:
    typed = iter([" what ? ", "", "/quit"])

    def read(prompt: str) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)
    assert list(_lines(terminal=True)) == ["what ?", "/quit"]


def test_an_image_llm_is_taken_where_a_run_is(home: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(home)
    model = str(save_image_llm(home / "vlm"))
    place = [model, "one.mp4"]
    asked = ["what is it ?", "--max-new-tokens", "4", "--json"]
    assert run(["ask", *place, *asked, "--num-frames", "3"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (len(answer["frame_times_s"]), answer["encoder"]) == (3, "vlm")
    monkeypatch.setattr(sys, "stdin", io.StringIO("what is it ?\nand then ?\n"))
    assert run(["chat", *place, "--num-frames", "3", "--max-new-tokens", "4", "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == answer
    assert second["question"] == "and then ?"
    config = json.loads(Path("vlm/config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 128
    Path("vlm/config.json").write_text(json.dumps(config))
    assert run(["ask", *place, "what ?", "--tiles"]) == 2
    [told, hint] = capsys.readouterr().err.splitlines()
    assert "one.mp4: 8 frames make 160 image tokens, but" in told
    assert "--num-frames 3" in hint


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("decoder", "a model of kind 'llama', which has no eyes"),
        (".", "is not a finished run: it lacks config.json"),
        ("nowhere", "there is no run nowhere"),
    ],
)
def test_what_is_no_model_is_one_message(model: str, message: str, home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    for command in (["ask", model, "one.mp4", "what ?"], ["chat", model, "one.mp4"]):
        assert run(command) == 2
        first, hint = capsys.readouterr().err.splitlines()
        assert message in first
        assert "image-LLM" in hint


def test_an_empty_line_among_questions_is_one_message(home: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(home)
    Path("holes.jsonl").write_text('{"video": "one.mp4", "question": "what ?"}\n\n')
    Path("more.jsonl").write_text('\n{"video": "one.mp4", "question": "what ?"}\n')
    assert run(["predict", "run", "more.jsonl", "out2.jsonl"]) == 3
    [message, hint] = capsys.readouterr().err.splitlines()
    assert "more.jsonl, line 1 is empty" in message
    assert "--max-bad" in hint
    assert run(["predict", "run", "none.jsonl", "out2.jsonl"]) == 2
    assert "there is no file of questions none.jsonl" in capsys.readouterr().err
