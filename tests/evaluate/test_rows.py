"""Rows: what they refuse, and their file."""

from pathlib import Path

import pytest

from textreel.data.errors import FormatError
from textreel.evaluate.errors import EvaluationError, RowFormatError
from textreel.evaluate.rows import ChoiceRow, read_rows, write_rows


def make(**changes: object) -> ChoiceRow:
    values: dict[str, object] = {
        "question_id": "q",
        "video_id": "v",
        "kind": "colour",
        "answer": 1,
        "chosen": 0,
        "num_options": 2,
    }
    return ChoiceRow(**(values | changes))  # type: ignore[arg-type]


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [
        make(probabilities=(0.25, 0.75), prompt="which\ncolour ?", raw="rot — é\u2028"),
        make(question_id="r", chosen=None),
    ]
    assert write_rows(tmp_path / "rows.jsonl", rows) == 2
    assert read_rows(tmp_path / "rows.jsonl") == rows
    assert [p.name for p in tmp_path.iterdir()] == ["rows.jsonl"]


def test_no_rows_are_an_empty_file_with_a_header(tmp_path: Path) -> None:
    assert write_rows(tmp_path / "rows.jsonl", []) == 0
    assert read_rows(tmp_path / "rows.jsonl") == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_options": 1, "answer": 0}, "question 'q': 1 options, need at least 2"),
        ({"answer": 2}, r"answer=2 is not one of 2 options \(0 to 1\)"),
        ({"chosen": -1}, "chosen=-1 is not one of 2 options"),
        ({"probabilities": (1.0,)}, "1 probabilities for 2 options"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: not JSON"),
        ("torn {\n", "line 1: not JSON"),
        ('{"kind": "choice-rows", "format": 1}\n{"torn', "line 2: not JSON"),
        ('{"kind": "choice-rows", "format": 1}\n{"kind": "x"}', "missing or unknown fields: ans"),
        ('{"kind": "choice-rows", "format": 1}\n[1]', "missing or unknown fields: no object"),
    ],
)
def test_a_file_that_holds_no_rows_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(RowFormatError, match=message):
        read_rows(path)


@pytest.mark.parametrize("header", ["[1]", '{"format": 1, "kind": "x"}', '{"format": 99}'])
def test_another_kind_of_file_is_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(header)
    with pytest.raises(FormatError, match=r"rows\.jsonl"):
        read_rows(path)


def test_a_row_changed_by_hand_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [make()])
    path.write_text(path.read_text().replace('"answer": 1', '"answer": 5'))
    with pytest.raises(RowFormatError, match="line 2: question 'q': answer=5 is not one of 2"):
        read_rows(path)
