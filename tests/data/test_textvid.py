import copy
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from textreel.data.errors import TextualDataError
from textreel.data.quarantine import Quarantine
from textreel.data.textual_video import TextualFrame, TextualQuestion, TextualVideo
from textreel.data.textvid import check_textvid, read_textvid, to_record, write_textvid
from textreel.data.textvid_record import caption_key

UPSTREAM: dict[str, Any] = {
    "idx": "v17",
    "frames": [
        {"caption": f"A man saws a board, step {i}.", "the man": "tall", "saw": f"old {i}"}
        for i in range(5)
    ],
    "global_video_caption": "A man builds a table.",
    "QAs": [
        {
            "question": "What does the man build?",
            "options": ["a chair", "a table", "a boat", "a door"],
            "answer": "B",
            "answer_open_ended": "He builds a table.",
        },
        {"question": "Which tool is used?", "options": ["a saw", "a pen"], "answer": "A"},
    ],
}
"""The keys that TOPA's loader reads, and no others."""


def video(id: str = "a", **changes: Any) -> TextualVideo:
    made = TextualVideo(
        id=id,
        frames=tuple(
            TextualFrame(caption=f"frame {i}, é\u2028\n", objects=(("ball", "red"), ("box", "big")))
            for i in range(5)
        ),
        caption="all of it",
        questions=(
            TextualQuestion(
                question="which?", options=("x", "y", "z"), answer=2, open_answer="the z", kind="k"
            ),
            TextualQuestion(question="what?", options=("x", "y"), answer=0, open_answer="x"),
        ),
        times_s=(0.0, 0.1, 1 / 3, 2.0, 2.0),
        source="topics.txt",
    )
    return replace(made, **changes)


def write_json(path: Path, *records: Any) -> Path:
    path.write_text(json.dumps(list(records)))
    return path


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    record = copy.deepcopy(UPSTREAM)
    change(record)
    return record


def test_an_upstream_record_is_read_whole(tmp_path: Path) -> None:
    (found,) = read_textvid(write_json(tmp_path / "t.json", UPSTREAM))
    assert found == TextualVideo(
        id="v17",
        frames=tuple(
            TextualFrame(
                caption=f"A man saws a board, step {i}.",
                objects=(("the man", "tall"), ("saw", f"old {i}")),
            )
            for i in range(5)
        ),
        caption="A man builds a table.",
        questions=(
            TextualQuestion(
                question="What does the man build?",
                options=("a chair", "a table", "a boat", "a door"),
                answer=1,
                open_answer="He builds a table.",
            ),
            TextualQuestion(
                question="Which tool is used?",
                options=("a saw", "a pen"),
                answer=0,
                open_answer="a saw",
            ),
        ),
    )
    assert check_textvid(tmp_path / "t.json") == []


def test_what_an_upstream_record_holds_is_written_as_it_was(tmp_path: Path) -> None:
    (found,) = read_textvid(write_json(tmp_path / "t.json", UPSTREAM))
    written = to_record(found)
    assert written["QAs"][1].pop("answer_open_ended") == "a saw"
    assert written == UPSTREAM
    assert [list(frame) for frame in written["frames"]] == [["caption", "the man", "saw"]] * 5


@pytest.mark.parametrize(
    ("keys", "caption"),
    [
        (["caption", "a", "b"], "caption"),
        (["a", "caption"], "caption"),
        (["a", "Frame_Caption", "b"], "Frame_Caption"),
        (["frame caption"], "frame caption"),
        (["the scene", "caption text", "b"], "the scene"),
    ],
)
def test_the_caption_is_the_key_called_so_or_the_first(keys: list[str], caption: str) -> None:
    assert caption_key(dict.fromkeys(keys, "x")) == caption


ROUND_TRIPS = {
    "all fields": video(),
    "no clock": video(times_s=()),
    "no questions": video(questions=()),
    "no objects": video(frames=(TextualFrame(caption="c"),) * 16, times_s=()),
    "two objects of one name": video(
        frames=(
            TextualFrame(caption="c", objects=(("ball", "1"), ("ball", "2"), ("ball (2)", "3"))),
        )
        * 5
    ),
    "an object called caption": video(
        frames=(TextualFrame(caption="c", objects=(("caption", "of a page"), ("Caption", "x"))),)
        * 5
    ),
    "26 options": video(
        questions=(
            TextualQuestion(
                question="q",
                options=tuple(str(i) for i in range(26)),
                answer=25,
                open_answer="25",
            ),
        )
    ),
}


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_what_is_written_is_read_back_exactly(tmp_path: Path, name: str) -> None:
    videos = [ROUND_TRIPS[name], video("b")]
    assert write_textvid(tmp_path / "t.json", iter(videos)) == 2
    assert list(read_textvid(tmp_path / "t.json")) == videos
    assert json.loads((tmp_path / "t.json").read_text())[1]["idx"] == "b"


def test_an_empty_open_answer_comes_back_as_the_right_option(tmp_path: Path) -> None:
    question = TextualQuestion(question="q", options=("x", "y"), answer=1)
    write_textvid(tmp_path / "t.json", [video(questions=(question,))])
    (found,) = read_textvid(tmp_path / "t.json")
    assert found.questions == (replace(question, open_answer="y"),)


def test_no_videos_are_an_empty_list(tmp_path: Path) -> None:
    assert write_textvid(tmp_path / "t.json", []) == 0
    assert (tmp_path / "t.json").read_text() == "[]\n"
    assert list(read_textvid(tmp_path / "t.json")) == []


def question_with(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda record: record["QAs"][0].update(changes)


def setting(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda record: record.update({key: value})


PLANTED: list[tuple[Callable[[dict[str, Any]], object], str, str, str]] = [
    (lambda r: r.pop("idx"), "idx", "missing-key", "is missing"),
    (lambda r: r.pop("frames"), "frames", "missing-key", "is missing"),
    (lambda r: r.pop("global_video_caption"), "global_video_caption", "missing-key", "is missing"),
    (lambda r: r.pop("QAs"), "QAs", "missing-key", "is missing"),
    (setting("idx", 1.5), "idx", "wrong-type", "is a number, not a text"),
    (setting("idx", True), "idx", "wrong-type", "is true or false, not a text"),
    (setting("idx", " "), "idx", "empty-text", "is empty"),
    (setting("frames", {}), "frames", "wrong-type", "is an object, not a list"),
    (setting("frames", []), "frames", "no-frames", "is empty"),
    (lambda r: r["frames"].__setitem__(2, "x"), "frames[2]", "wrong-type", "is a text, not an obj"),
    (lambda r: r["frames"].__setitem__(2, {}), "frames[2]", "wrong-type", "is an empty object"),
    (lambda r: r["frames"][3].update(saw=None), "frames[3].saw", "wrong-type", "is null, not a t"),
    (lambda r: r["frames"][3].update(saw=["x"]), "frames[3].saw", "wrong-type", "is a list, not"),
    (lambda r: r["frames"][4].update(caption=""), "frames[4].caption", "empty-text", "is empty"),
    (lambda r: r["frames"][4].update({"": "x"}), "frames[4] name of object 2", "empty-text", ""),
    (setting("global_video_caption", "\n"), "global_video_caption", "empty-text", "is empty"),
    (setting("global_video_caption", "a\ud83d"), "global_video_caption", "broken-text",
     "half a surrogate pair at character 1"),
    (setting("QAs", "x"), "QAs", "wrong-type", "is a text, not a list"),
    (setting("textreel", 1), "textreel", "wrong-type", "is a number, not an object"),
    (setting("textreel", {"source": 1}), "textreel.source", "wrong-type", "is a number"),
    (setting("textreel", {"times_s": [0, 1]}), "textreel.times_s", "times", "list of 5 numbers"),
    (setting("textreel", {"times_s": [0, 1, 2, 4, 3]}), "textreel.times_s", "times", "ascending"),
    (setting("textreel", {"times_s": [0, 1, 2, 3, float("nan")]}), "textreel.times_s", "times", ""),
    (setting("textreel", {"times_s": "0"}), "textreel.times_s", "times", "numbers, one per frame"),
    (setting("textreel", {"object_names": {"0": ["a"]}}), "textreel.object_names.0",
     "object-names", "names 1 objects, frames[0] has 2"),
    (setting("textreel", {"object_names": {"9": ["a"]}}), "textreel.object_names.9",
     "object-names", "there is no frame '9'"),
    (setting("textreel", {"object_names": {"0": "a"}}), "textreel.object_names", "wrong-type",
     "is not an object of lists of texts"),
    (lambda r: r["QAs"].__setitem__(0, 7), "QAs[0]", "wrong-type", "is a number, not an object"),
    (lambda r: r["QAs"][0].pop("question"), "QAs[0].question", "missing-key", "is missing"),
    (lambda r: r["QAs"][0].pop("options"), "QAs[0].options", "missing-key", "is missing"),
    (lambda r: r["QAs"][0].pop("answer"), "QAs[0].answer", "missing-key", "is missing"),
    (question_with(question=""), "QAs[0].question", "empty-text", "is empty"),
    (question_with(options=["a", " "], answer="A"), "QAs[0].options[1]", "empty-text", "is empty"),
    (question_with(options=["a", 2], answer="A"), "QAs[0].options[1]", "wrong-type", "is a number"),
    (question_with(options=["a"], answer="A"), "QAs[0].options", "option-count", "has 1 options"),
    (question_with(options=[], answer="A"), "QAs[0].options", "option-count", "has 0 options"),
    (question_with(options=[str(i) for i in range(27)]), "QAs[0].options", "option-count",
     "has 27 options, there are 26 letters"),
    (question_with(options=["a", "b", " A"]), "QAs[0].options[2]", "duplicate-option",
     "says the same as options[0]: ' A'"),
    (question_with(answer="E"), "QAs[0].answer", "answer", "is E, but the 4 options end with D"),
    (question_with(answer="a table"), "QAs[0].answer", "answer", "is 'a table', not one letter"),
    (question_with(answer=1), "QAs[0].answer", "wrong-type", "is a number, not a text"),
    (question_with(answer_open_ended=3), "QAs[0].answer_open_ended", "wrong-type", "is a number"),
    (question_with(kind=3), "QAs[0].kind", "wrong-type", "is a number, not a text"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "place", "code", "message"), PLANTED)
def test_a_planted_fault_is_found_at_its_place_and_costs_no_more_than_it_must(
    tmp_path: Path,
    change: Callable[[dict[str, Any]], object],
    place: str,
    code: str,
    message: str,
) -> None:
    path = write_json(tmp_path / "t.json", {**UPSTREAM, "idx": "v0"}, changed(change))
    (problem,) = check_textvid(path)
    assert (problem.record, problem.field, problem.code, problem.level) == (1, place, code, "error")
    assert message in problem.message
    assert problem.remedy
    quarantine = Quarantine()
    found = list(read_textvid(path, quarantine=quarantine))
    (bad,) = quarantine
    assert (bad.code, bad.source, bad.line) == (code, str(path), 1)
    if problem.question:
        assert bad.id == f"{problem.id} QAs[0]"
        assert [len(v.questions) for v in found] == [2, 1]
    else:
        assert bad.id == (problem.id.strip() or "record 1")
        assert [v.id for v in found] == ["v0"]
    with pytest.raises(TextualDataError, match=r"t.json record 1") as caught:
        list(read_textvid(path))
    assert "quarantine" in caught.value.hint


WARNINGS: list[tuple[Callable[[dict[str, Any]], object], str, str]] = [
    (lambda r: r["frames"].pop(), "frames", "frame-count"),
    (lambda r: r["frames"].extend(r["frames"] * 3), "frames", "frame-count"),
    (setting("QAs", []), "QAs", "no-questions"),
    (setting("topic", "wood"), "topic", "unknown-key"),
    (question_with(why="so"), "QAs[0].why", "unknown-key"),
    (setting("textreel", {"x": 1}), "textreel.x", "unknown-key"),
    (question_with(options=list("uvwxyz")), "QAs[0].options", "option-count"),
    (question_with(options=["(A) x", "(B) y"]), "QAs[0].options", "lettered-options"),
    (question_with(options=["A. x", "B: y"]), "QAs[0].options", "lettered-options"),
]


@pytest.mark.parametrize(("change", "place", "code"), WARNINGS)
def test_what_is_only_unusual_is_a_warning_and_is_read(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[dict[str, Any]], object],
    place: str,
    code: str,
) -> None:
    path = write_json(tmp_path / "t.json", changed(change))
    (problem,) = check_textvid(path)
    assert (problem.field, problem.code, problem.level) == (place, code, "warning")
    with caplog.at_level(logging.INFO):
        assert len(list(read_textvid(path))) == 1
    assert caplog.messages == [f"{path}: read with warnings: 1 {code}"]


@pytest.mark.parametrize("answer", ["B", "b", "(B)", "B.", " b: "])
def test_an_answer_letter_may_be_dressed(tmp_path: Path, answer: str) -> None:
    path = write_json(tmp_path / "t.json", changed(question_with(answer=answer)))
    assert next(read_textvid(path)).questions[0].answer == 1


def test_a_number_is_a_name_too(tmp_path: Path) -> None:
    path = write_json(tmp_path / "t.json", changed(setting("idx", 17)))
    assert next(read_textvid(path)).id == "17"


def test_all_faults_of_a_file_are_reported_together(tmp_path: Path) -> None:
    bad = changed(lambda r: (r.pop("QAs"), r["frames"][1].update(saw=""), r.update(idx="w")))
    twice = changed(question_with(answer="Z", options=["a", "a"]))
    path = write_json(tmp_path / "t.json", UPSTREAM, bad, 5, twice)
    assert [(p.record, p.id, p.field, p.code) for p in check_textvid(path)] == [
        (1, "w", "frames[1].saw", "empty-text"),
        (1, "w", "QAs", "missing-key"),
        (2, "", "", "wrong-type"),
        (3, "v17", "QAs[0].options[1]", "duplicate-option"),
        (3, "v17", "QAs[0].answer", "answer"),
        (3, "v17", "idx", "duplicate-id"),
    ]
    quarantine = Quarantine()
    assert [v.id for v in read_textvid(path, quarantine=quarantine)] == ["v17"]
    assert [bad.id for bad in quarantine] == ["w", "record 2", "v17"]
    assert next(iter(quarantine)).message == "frames[1].saw is empty; QAs is missing"


def test_a_key_that_stands_twice_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps([UPSTREAM]).replace('"the man": "tall"', '"saw": "new"', 1))
    (problem,) = check_textvid(path)
    assert (problem.field, problem.code) == ("frames[0]", "repeated-key")
    assert "'saw' more than once" in problem.message


def test_a_problem_says_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps([UPSTREAM, changed(setting("idx", ""))], indent=1))
    (problem,) = check_textvid(path)
    assert str(problem) == f"record 1, line {problem.line}, idx: is empty"
    assert path.read_text().splitlines()[problem.line - 1].strip() == "{"


def test_a_file_that_breaks_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = write_json(tmp_path / "t.json", UPSTREAM, UPSTREAM)
    path.write_text(path.read_text()[:-100])
    (problem,) = check_textvid(path)
    assert (problem.record, problem.line, problem.code) == (1, 1, "not-json")
    assert "ends in the middle" in problem.message
    found = []
    with pytest.raises(TextualDataError, match="the file ends in the middle"):
        for video in read_textvid(path):
            found.append(video.id)
    assert found == ["v17"]


def test_a_missing_file_is_named_at_once(tmp_path: Path) -> None:
    for use in (read_textvid, check_textvid):
        with pytest.raises(TextualDataError, match=r"nowhere.json is no file"):
            use(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (video("b", frames=()), "'b' .number 1. cannot be written to .*: frames is empty"),
        (video("a"), "idx 'a' is the name of an earlier record"),
        (video("b", times_s=(1.0,)), "textreel.times_s is not an ascending list of 5 numbers"),
        (video("b", caption="\ud83d"), "global_video_caption holds half a surrogate"),
        (
            video("b", questions=(TextualQuestion(question="q", options=("x", "y"), answer=-2),)),
            r"QAs\[0\].answer is '-2', not one letter",
        ),
        (
            video("b", questions=(TextualQuestion(question="q", options=("x", "y"), answer=2),)),
            r"QAs\[0\].answer is C, but the 2 options end with B",
        ),
    ],
)
def test_what_could_not_be_read_back_is_not_written(
    tmp_path: Path, wrong: TextualVideo, message: str
) -> None:
    path = tmp_path / "t.json"
    with pytest.raises(TextualDataError, match=message):
        write_textvid(path, [video("a"), wrong])
    assert not path.exists()
