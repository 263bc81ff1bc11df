"""Answers beside the right options: what counts, what is wrong, and how sure the share is."""

import json
import math
from pathlib import Path

from textreel.recipes.grading import Grade, choice_rows, grade

OPTIONS = ["red", "green", "blue"]


def line(video: str, answer: object, chosen: int | None, **more: object) -> dict:
    said = {"text": "", "chosen": chosen, "probabilities": []}
    asked = {"video": video, "question": "which ?", "options": OPTIONS, "answer": answer}
    return asked | {"prediction": said} | more


LINES = [
    line("a.mp4", 0, 0, type="colour"),
    line("a.mp4", "green", 1, type="colour"),
    line("b.mp4", "c", 1, type="colour"),
    line("b.mp4", 2, 2, type="place"),
    {k: v for k, v in line("gone.mp4", 1, None, type="place").items() if k != "prediction"}
    | {"error": {"type": "MissingFileError"}},
    {"video": "a.mp4", "question": "what ?", "answer": "a cat", "prediction": {"text": "a dog"}},
    line("a.mp4", None, 1),
    {"id": "line 8", "error": {"type": "LineError"}},
    line("a.mp4", 9, 1) | {"error": {"type": "LineError"}},
]


def write(path: Path, lines: list[dict]) -> Path:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in lines)
    path.write_text(text, encoding="utf-8")
    return path


def graded(path: Path, lines: list[dict]) -> Grade:
    found = grade(write(path, lines), system="it")
    assert found is not None
    return found


def test_shares_by_type_with_unparsed_ones_counted_wrong(tmp_path: Path) -> None:
    found = graded(tmp_path / "out.jsonl", LINES)
    scores = found.scores
    assert (found.ungraded, scores.unparsed, scores.system) == (4, 1, "it")
    assert (scores.overall.value, scores.overall.n, scores.overall.clusters) == (3 / 5, 5, 3)
    assert {kind: (s.value, s.n) for kind, s in scores.by_kind.items()} == {
        "colour": (2 / 3, 3),
        "place": (1 / 2, 2),
    }
    # residuals of the three videos: a 2 * .4, b .4 - .6, gone -.6, over five questions
    wanted = math.sqrt(3 / 2 * (0.8**2 + 0.2**2 + 0.6**2)) / 5
    assert math.isclose(scores.overall.stderr, wanted)
    assert found.to_json()["by_type"]["place"]["accuracy"] == 0.5
    assert found.to_json()["ungraded"] == 4


def test_lines_without_a_type_and_equal_lines(tmp_path: Path) -> None:
    twice = [line("a.mp4", 0, 0), line("a.mp4", 0, 0)]
    found = graded(tmp_path / "out.jsonl", twice)
    assert found.scores.overall.n == 2
    assert list(found.scores.by_kind) == ["untyped"]
    assert found.to_json()["stderr"] is None


def test_a_file_without_right_answers_has_no_grade(tmp_path: Path) -> None:
    assert grade(write(tmp_path / "out.jsonl", LINES[5:]), system="it") is None
    assert list(choice_rows([])) == []


def test_a_line_separator_within_an_answer_ends_no_line(tmp_path: Path) -> None:
    odd = line("a.mp4", 0, 0, note="one\u2028two\u0085three")
    assert graded(tmp_path / "out.jsonl", [odd]).scores.overall.value == 1.0


def test_a_refused_line_of_one_option_is_not_graded(tmp_path: Path) -> None:
    one = {"video": "a.mp4", "question": "which ?", "options": ["x"], "answer": "x"}
    refused = one | {"error": {"type": "OptionsError"}}
    found = graded(tmp_path / "out.jsonl", [line("a.mp4", 0, 0), refused])
    assert (found.scores.overall.n, found.ungraded) == (1, 1)
