"""Files of questions: order, resuming, what is wrong with a line or with its video."""

import json
from pathlib import Path

import pytest

from textreel.data.errors import FingerprintError, TooManyBadError
from textreel.serve.errors import LineError, SameFileError
from textreel.serve.predict import PredictSettings, part_of, predict
from textreel.serve.question_lines import read_question_lines, right_option
from textreel.serve.session import Session

QUESTION = "which colour is the circle ?"
OPTIONS = ["red", "green"]


def lines_of(count: int) -> list[dict]:
    videos = ["one.mp4", "two.mp4", "short.mp4"]
    rows = [{"id": f"q{i}", "video": videos[i % 3], "question": QUESTION} for i in range(count)]
    for row in rows[::2]:
        row["options"] = OPTIONS
    rows[0]["label"] = 1
    return rows


def write(path: Path, rows: list) -> Path:
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


SETTINGS = PredictSettings(max_new_tokens=3)


def test_answers_are_those_of_ask_in_the_order_of_the_lines(session: Session, home: Path) -> None:
    source = write(home / "in.jsonl", rows := lines_of(5))
    report = predict(session, source, home / "out.jsonl", SETTINGS)
    assert (report.lines, report.answered, report.reused, report.bad) == (5, 5, 0, {})
    found = read(home / "out.jsonl")
    for row, line in zip(found, rows, strict=True):
        said = row.pop("prediction")
        assert row == line
        answer = session.ask(
            home / row["video"], QUESTION, options=row.get("options"), max_new_tokens=3
        )
        assert said["text"] == answer.text
        assert said["probabilities"] == list(answer.probabilities)
        assert said["sound_status"] == answer.sound_status
        assert "frames" not in said
    before = (home / "out.jsonl").read_bytes()
    again = predict(session, source, home / "out.jsonl", SETTINGS)
    assert (again.answered, again.reused) == (0, 5)
    assert (home / "out.jsonl").read_bytes() == before


def test_a_broken_off_run_repeats_no_finished_line(
    session: Session, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = write(home / "long.jsonl", lines_of(6)), home / "long-out.jsonl"
    asked = []
    plain = session.ask

    def ask(video, question, **kwargs):
        asked.append(video)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return plain(video, question, **kwargs)

    monkeypatch.setattr(session, "ask", ask)
    with pytest.raises(KeyboardInterrupt):
        predict(session, source, target, SETTINGS)
    assert not target.exists()
    report = predict(session, source, target, SETTINGS)
    assert (report.reused, report.answered) == (3, 3)
    assert len(asked) == 7
    monkeypatch.setattr(session, "ask", plain)
    straight = predict(session, source, home / "straight.jsonl", SETTINGS)
    assert straight.answered == 6
    assert (home / "straight.jsonl").read_bytes() == target.read_bytes()


def test_parts_together_are_the_whole(session: Session, home: Path) -> None:
    source = write(home / "parts.jsonl", lines_of(5))
    predict(session, source, home / "whole.jsonl", SETTINGS)
    rows = []
    for index in range(2):
        settings = PredictSettings(max_new_tokens=3, shard=(index, 2))
        report = predict(session, source, home / "part.jsonl", settings)
        assert report.output == home / f"part-0000{index}-of-00002.jsonl"
        rows += read(report.output)
    whole = read(home / "whole.jsonl")
    assert sorted(rows, key=lambda row: row["id"]) == whole
    assert part_of(Path("out.jsonl"), (0, 1)) == Path("out.jsonl")


def test_a_line_is_answered_again_when_it_or_its_video_changed(session, home: Path) -> None:
    rows = lines_of(2)
    (home / "moving.mp4").write_bytes((home / "one.mp4").read_bytes())
    rows[1]["video"] = "moving.mp4"
    source, target = write(home / "change.jsonl", rows), home / "change-out.jsonl"
    predict(session, source, target, SETTINGS)
    rows[0]["question"] = "what moves ?"
    assert predict(session, write(source, rows), target, SETTINGS).answered == 1
    (home / "moving.mp4").write_bytes((home / "two.mp4").read_bytes())
    assert predict(session, source, target, SETTINGS).answered == 1


def test_a_new_line_among_the_others_is_answered_alone(session: Session, home: Path) -> None:
    rows = lines_of(3)
    source, target = write(home / "grown.jsonl", rows), home / "grown-out.jsonl"
    predict(session, source, target, SETTINGS)
    rows.insert(1, {"id": "new", "video": "two.mp4", "question": "what moves ?"})
    report = predict(session, write(source, rows), target, SETTINGS)
    assert (report.reused, report.answered) == (3, 1)
    assert [row["id"] for row in read(target)] == ["q0", "new", "q1", "q2"]


def test_bad_videos_are_counted_and_keep_their_place(session: Session, home: Path) -> None:
    rows = lines_of(4)
    rows[2]["video"] = "gone.mp4"
    source, target = write(home / "bad.jsonl", rows), home / "bad-out.jsonl"
    with pytest.raises(TooManyBadError, match=r"1 of 4 samples are bad, 0 allowed: 1 MissingFile"):
        predict(session, source, target, SETTINGS)
    found = read(target)
    assert [row["id"] for row in found] == ["q0", "q1", "q2", "q3"]
    assert found[2]["error"]["type"] == "MissingFileError"
    assert "gone.mp4" in found[2]["error"]["message"]
    report = predict(session, source, target, PredictSettings(max_new_tokens=3, max_bad="25%"))
    assert report.bad == {"MissingFileError": 1}
    assert Path(report.quarantine).is_file()
    (home / "gone.mp4").write_bytes((home / "one.mp4").read_bytes())
    mended = predict(session, source, target, SETTINGS)
    assert (mended.answered, mended.bad, mended.quarantine) == (1, {}, "")
    (home / "gone.mp4").unlink()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", r"line 2 is empty"),
        ("{", r"line 2 is not JSON"),
        ("[1]", r"line 2 holds list, not an object"),
        ('{"video": "one.mp4"}', r"line 2: 'question' must be a text, and not empty"),
        ('{"video": 3, "question": "a"}', r"line 2: 'video' must be a text, and not empty"),
        (
            '{"video": "one.mp4", "question": "a", "options": "red"}',
            "'options' must be a list of texts",
        ),
        (
            '{"id": "q0", "video": "one.mp4", "question": "a"}',
            "line 2: the id 'q0' is that of line 1",
        ),
        (
            '{"video": "one.mp4", "question": "a", "error": 1}',
            "line 2 has a field 'error', which answers are written to",
        ),
        (
            '{"video": "one.mp4", "question": "a", "options": ["x", "y"], "answer": 2}',
            "line 2: the answer 2 is none of its 2 options",
        ),
    ],
)
def test_a_line_that_asks_nothing_is_told_before_anything_is_opened(
    line: str, message: str, session: Session, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ask", lambda *_, **__: pytest.fail("nothing may be asked"))
    source = write(home / "odd.jsonl", [lines_of(1)[0], line, lines_of(2)[1]])
    with pytest.raises(TooManyBadError, match=message) as error:
        predict(session, source, home / "odd-out.jsonl", SETTINGS)
    assert error.value.exit_code == 3


@pytest.mark.parametrize(
    ("answer", "index"),
    [(1, 1), ("Green ", 1), ("b", 0), ("C", 2), ("(d)", 3), (None, None)],
)
def test_the_right_answer_is_a_text_a_letter_or_an_index(answer: object, index: int | None) -> None:
    fields = {"options": ["B", "green", "x", "y"], "answer": answer}
    assert right_option(fields, where="line 1") == index
    assert right_option({"answer": answer}, where="a question in free words") is None


@pytest.mark.parametrize("answer", [-1, 2, True, 0.0, "z", "", ["x"]])
def test_an_answer_that_is_no_option_is_refused(answer: object) -> None:
    with pytest.raises(LineError, match=r"the answer .* is none of its 2 options") as caught:
        right_option({"options": ["x", "y"], "answer": answer}, where="line 7")
    assert "its index from 0" in caught.value.hint


def test_bad_lines_that_are_allowed_keep_their_place(session: Session, home: Path) -> None:
    same = json.dumps(lines_of(1)[0])
    source = write(home / "holes.jsonl", [same, "", lines_of(2)[1], same])
    report = predict(
        session,
        source,
        home / "holes-out.jsonl",
        PredictSettings(max_new_tokens=2, max_bad=2),
    )
    found = read(report.output)
    assert [row["id"] for row in found] == ["q0", "line 2", "q1", "q0"]
    assert found[1]["error"]["type"] == "LineError"
    assert "the id 'q0' is that of line 1" in found[3]["error"]["message"]
    assert report.bad == {"LineError": 2}


def test_files_that_hold_no_questions(tmp_path: Path) -> None:
    with pytest.raises(LineError, match="there is no file of questions"):
        read_question_lines(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text(" \n")
    with pytest.raises(LineError, match="asks nothing: it has no line"):
        read_question_lines(tmp_path / "empty.jsonl")
    (tmp_path / "odd.jsonl").write_bytes(b"abc\xff")
    with pytest.raises(LineError, match=r"is not UTF-8 text \(byte 3\)"):
        read_question_lines(tmp_path / "odd.jsonl")


def test_answers_of_other_settings_or_over_the_questions(session: Session, home: Path) -> None:
    source = write(home / "other.jsonl", lines_of(1))
    with pytest.raises(SameFileError, match="the answers would overwrite the questions"):
        predict(session, source, source, SETTINGS)
    predict(session, source, home / "other-out.jsonl", SETTINGS)
    with pytest.raises(FingerprintError, match="belongs to a job with other settings"):
        predict(session, source, home / "other-out.jsonl", PredictSettings(max_new_tokens=4))
