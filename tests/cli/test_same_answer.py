"""One question, four ways: Python, `ask`, `chat` and `predict` give the same on world videos.

Of runs, of image-LLMs as they are, and of an image-LLM that was trained here.
"""

import io
import json
import sys
from pathlib import Path

import pytest

from tests.models.image_mllm.tiny_image_llms import save_image_llm
from textreel.cli.app import run
from textreel.serve.session import load

OPEN, CHOICE = "what happens first ?", "what colour is the circle ?"
OPTIONS = ["red", "blue", "pink"]


def trained(folder: Path) -> Path:
    """Train the world's tiny image-LLM for a few steps, by the command."""
    settings = {"train.steps": 3, "train.warmup": 1, "train.batch_size": 4, "world.stills": 8}
    settings |= {"world.pages": 8, "world.checked_pages": 2, "eyes.train.steps": 22}
    settings |= {"eyes.settling.steps": 22}
    changes = [word for n, v in settings.items() for word in ("--set", f"{n}={v}")]
    assert run(["train", "t2vid_tiny_base", "--out", str(folder), *changes]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["run", "idefics3", "qwen2_5_vl", "trained"])
def test_four_ways_to_one_answer(kind: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["synth", "world", "--n", "2", "--seed", "3", "--out", "."]) == 0
    videos = sorted(Path().glob("*.mp4"))
    assert len(videos) == 2
    name = "tiny"
    if kind == "trained":
        name = str(trained(tmp_path / "run"))
    elif kind != "run":
        name = str(save_image_llm(tmp_path / "vlm", kind))
    capsys.readouterr()
    rows, model = [], load(name)
    for video in videos:
        rows += [{"video": str(video), "question": OPEN}]
        rows += [{"video": str(video), "question": CHOICE, "options": OPTIONS}]
    wanted = [
        model.ask(row["video"], row["question"], options=row.get("options"), max_new_tokens=6)
        for row in rows
    ]
    assert len({answer.text for answer in wanted}) > 1
    short = ["--max-new-tokens", "6", "--json"]
    for row, answer in zip(rows, wanted, strict=True):
        options = [word for option in row.get("options", ()) for word in ("--option", option)]
        assert run(["ask", name, row["video"], row["question"], *options, *short]) == 0
        asked = json.loads(capsys.readouterr().out)
        assert asked["text"] == answer.text
        assert asked["probabilities"] == list(answer.probabilities)
    for video in videos:
        said = f"{OPEN}\n/options {' | '.join(OPTIONS)}\n{CHOICE}\n"
        monkeypatch.setattr(sys, "stdin", io.StringIO(said))
        assert run(["chat", name, str(video), "--forget", *short]) == 0
        talked = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        mine = [
            answer for row, answer in zip(rows, wanted, strict=True) if row["video"] == str(video)
        ]
        assert [answer["text"] for answer in talked] == [answer.text for answer in mine]
        assert talked[1]["probabilities"] == list(mine[1].probabilities)
    Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(["predict", name, "in.jsonl", "out.jsonl", "--max-new-tokens", "6"]) == 0
    found = [json.loads(line)["prediction"] for line in Path("out.jsonl").read_text().splitlines()]
    assert [said["text"] for said in found] == [answer.text for answer in wanted]
    assert found[3]["probabilities"] == list(wanted[3].probabilities)
    assert run(["predict", name, "questions.jsonl", "graded.jsonl", "--json"]) == 0
    grade = json.loads(capsys.readouterr().out.splitlines()[-1])["grade"]
    graded = [json.loads(line) for line in Path("graded.jsonl").read_text().splitlines()]
    right = [line["prediction"]["chosen"] == line["answer"] for line in graded]
    assert (grade["overall"], grade["n"]) == (sum(right) / len(right), len(right))
    assert (grade["videos"], grade["unparsed"]) == (2, 0)
