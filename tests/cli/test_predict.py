"""`textreel predict`: what it prints, and its grade where lines carry the right answer."""

import json
from pathlib import Path

import pytest

from tests.models.image_mllm.tiny_image_llms import save_image_llm
from tests.serve.runs import make_run, video
from textreel.cli.app import run
from textreel.cli.predict import describe_grade
from textreel.recipes.grading import grade

OPTIONS = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    make_run(home)
    save_image_llm(home / "eyes")
    video(home / "one.mp4", seed=1)
    video(home / "two.mp4", seed=2)
    return home


def questions(home: Path, answers: list[object], name: str = "in.jsonl") -> Path:
    rows = [
        {"video": f"{('one', 'two')[i % 2]}.mp4", "question": "which is it ?", "options": OPTIONS}
        | {"answer": answer, "type": "colour"}
        for i, answer in enumerate(answers)
    ]
    path = home / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("model", ["run", "eyes"])
def test_a_run_and_an_image_llm_are_graded_alike(model: str, home: Path, capsys) -> None:
    source, target = questions(home, [None, None]), home / f"{model}.jsonl"
    arguments = ["predict", str(home / model), str(source), str(target)]
    assert run([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["grade"] is None
    said = [json.loads(line)["prediction"] for line in target.read_text().splitlines()]
    right = OPTIONS[said[0]["chosen"]]
    wrong = (said[1]["chosen"] + 1) % len(OPTIONS)
    questions(home, [right, wrong])
    assert run([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["lines"], found["answered"]) == (2, 2)
    assert (found["grade"]["overall"], found["grade"]["n"], found["grade"]["videos"]) == (0.5, 2, 2)
    assert run(arguments) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1] == "accuracy 0.500 (stderr 0.500; 2 questions, 2 videos), 0 unparsed"


def test_a_grade_by_type_reads_as_lines(tmp_path: Path) -> None:
    lines = [
        {"video": f"{i % 2}", "question": "?", "options": OPTIONS, "answer": 0}
        | {"type": ("shape", "colour")[i // 2], "prediction": {"chosen": i % 2}}
        for i in range(4)
    ] + [{"video": "0", "question": "?"}]
    (tmp_path / "out.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    graded = grade(tmp_path / "out.jsonl", system="")
    assert graded is not None
    assert describe_grade(graded) == [
        "accuracy 0.500 (stderr 0.500; 4 questions, 2 videos), 0 unparsed; 1 lines carry no right "
        "answer to a choice",
        "  colour  0.500 (stderr 0.500; 2 questions, 2 videos)",
        "  shape   0.500 (stderr 0.500; 2 questions, 2 videos)",
    ]


@pytest.mark.parametrize(
    ("model", "lines", "message"),
    [
        ("nothing", '{"video": "one.mp4", "question": "?"}', "there is no run"),
        (".", '{"video": "one.mp4", "question": "?"}', "is not a finished run: it lacks config"),
        ("decoder", '{"video": "one.mp4", "question": "?"}', "which has no eyes"),
        ("eyes", '\n{"video": "one.mp4", "question": "?"}', "line 1 is empty"),
    ],
)
def test_bad_input_is_one_message_with_the_way_out(
    model: str, lines: str, message: str, home: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(home)
    Path("bad.jsonl").write_text(lines)
    code = run(["predict", model, "bad.jsonl", "bad-out.jsonl"])
    told = capsys.readouterr().err.strip()
    assert code == (3 if "empty" in message else 2)
    assert message in told
    assert "Traceback" not in told
    assert len(told.splitlines()) <= 2
    assert any(way in told for way in ("Give the", "give the", "--max-bad"))


def test_more_frames_than_the_context_holds(home: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(home)
    asked = ["ask", "eyes", "one.mp4", "what is it ?", "--num-frames", "8", "--tiles"]
    config = json.loads(Path("eyes/config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 128
    Path("eyes/config.json").write_text(json.dumps(config))
    assert run(asked) == 2
    told = capsys.readouterr().err
    assert "8 frames make 160 image tokens" in told
    assert "--num-frames 3" in told
