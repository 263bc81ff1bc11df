import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serve.runs import make_run, video
from textreel.cli.app import run
from textreel.cli.ask import describe
from textreel.models.answer import Answer
from textreel.serve.session import Session, load

QUESTION = "which colour is the circle ?"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    make_run(home, knows="circles")
    video(home / "one.mp4", seed=1)
    (home / "story.txt").write_text("a red circle\nthe circle moves\n")
    return home


@pytest.fixture(scope="module")
def session(home: Path) -> Session:
    return load(home / "run")


@pytest.fixture
def ask(session: Session, monkeypatch) -> Callable[..., int]:
    """`textreel ask` about a run that is loaded already, in the videos' folder."""
    home = Path(session.name).parent
    monkeypatch.setattr("textreel.serve.session.load", lambda run, **_: session)
    monkeypatch.chdir(home)
    return lambda *arguments: run(["ask", "run", *arguments])


def test_a_run_is_loaded_from_its_folder(home: Path, capsys) -> None:
    place = [str(home / "run"), str(home / "story.txt")]
    assert run(["ask", *place, QUESTION, "--max-new-tokens", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["encoder"] == "towers"


def test_a_choice_in_json_is_the_answer(ask, capsys) -> None:
    options = ["--option", "red", "--option", "green"]
    assert ask("one.mp4", QUESTION, *options, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["options"] == ["red", "green"]
    assert answer["text"] == answer["options"][answer["chosen"]]
    assert sum(answer["probabilities"]) == pytest.approx(1)
    assert answer["frame_times_s"] == [0.5, 1.5, 2.5, 3.5]
    assert answer["sound_status"] == "absent"
    assert answer["note"] == "knows only circles"


def test_a_story_stands_where_a_video_is_expected(ask, capsys) -> None:
    assert ask("story.txt", QUESTION, "--max-new-tokens", "2", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["frame_times_s"] == [0, 1]
    assert answer["options"] == []
    assert len(answer["text"].split()) <= 2


def test_compare_asks_both(ask, capsys) -> None:
    story, clip = "story.txt", "one.mp4"
    options = ["--option", "red", "--option", "green"]
    assert ask(story, QUESTION, *options, "--compare", clip, "--json") == 0
    both = json.loads(capsys.readouterr().out)
    assert both["story"]["frame_times_s"] == [0, 1]
    assert both["video"]["frame_times_s"] == [0.5, 1.5, 2.5, 3.5]
    assert both["agree"] == (both["story"]["text"] == both["video"]["text"])
    assert ask(story, QUESTION, *options, "--compare", clip) == 0
    said = capsys.readouterr().out
    assert said.startswith("told, in words: ")
    assert said.endswith("the same answer\n" if both["agree"] else "different answers\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.mp4", QUESTION], "no.mp4"),
        (["one.mp4", " "], "question"),
        (["one.mp4", "circle " * 10_000], "10,000 words"),
        (["one.mp4", QUESTION, "--option", "red"], "1 option"),
        (["one.mp4", QUESTION, "--option", "red", "--option", "red"], "red"),
    ],
    ids=["missing", "no-question", "long", "one-option", "duplicates"],
)
def test_bad_input_is_one_line_and_exit_2(arguments: list[str], message: str, ask, capsys) -> None:
    assert ask(*arguments) in {1, 2}
    said = capsys.readouterr()
    assert said.out == ""
    first, *hint = said.err.splitlines()
    assert first.startswith("textreel: ") and message in first
    assert len(hint) == 1


def test_an_unknown_run_names_the_way_out(capsys) -> None:
    assert run(["ask", "no-such-run", "a.mp4", QUESTION]) == 2
    assert "there is no run no-such-run" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_refused(ask, capsys) -> None:
    assert ask("one.mp4", QUESTION, "--device", "cuda:77") == 2
    said = capsys.readouterr().err
    assert said.startswith("textreel: --device cuda:77 is not on this machine\n  there are: cpu")


def test_an_answer_reads_as_lines() -> None:
    answer = Answer(
        text="red",
        frame_times_s=(0.5, 1.5),
        sound_status="unused",
        bridge="memory",
        encoder="tiny",
        chosen=0,
        options=("red", "dark blue"),
        log_likelihoods=(-0.1, -2.0),
        probabilities=(0.9, 0.1),
        note="knows only circles",
    )
    assert describe(answer).splitlines() == [
        "red",
        "  red         90.0%  ###########################",
        "  dark blue   10.0%  ###",
        "saw     2 frames, at 0.50 1.50 s",
        "sound   unused",
        "through tiny, bridge memory",
        "note    knows only circles",
    ]


def test_an_answer_about_a_sound_says_what_was_heard() -> None:
    answer = Answer(
        text="rain",
        frame_times_s=(),
        heard_times_s=(1.0, 3.0),
        sound_status="used",
        bridge="none",
        encoder="clap",
    )
    lines = describe(answer).splitlines()
    assert "saw     nothing" in lines and "heard   2 pieces, at 1.00 3.00 s" in lines


def test_an_answer_without_words_says_so() -> None:
    answer = Answer(text="", frame_times_s=(), sound_status="absent", bridge="none", encoder="tiny")
    assert describe(answer).splitlines()[0] == "(no words)"
