import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from textreel.data.errors import FormatError, TakenError, TextualDataError
from textreel.data.quarantine import Quarantine
from textreel.data.textual_jsonl import faults, read_videos, write_video_folder, write_videos
from textreel.data.textual_video import TextualFrame, TextualQuestion, TextualVideo

QUESTION = TextualQuestion(question="q", options=("x", "y"), answer=1, open_answer="", kind="k")


def video(id: str = "a", **changes: Any) -> TextualVideo:
    made = TextualVideo(
        id=id,
        frames=(
            TextualFrame(caption="é\u2028\n", objects=(("ball", "1"), ("ball", "2"))),
            TextualFrame(caption="", objects=()),
        ),
        caption="all",
        questions=(QUESTION,),
        times_s=(0.1, 1 / 3),
        source="s",
    )
    return replace(made, **changes)


def test_what_is_written_is_read_back_exactly(tmp_path: Path) -> None:
    videos = [video(), video("b", questions=(), times_s=(), source="")]
    assert write_videos(tmp_path / "v.jsonl", videos) == 2
    assert list(read_videos(tmp_path / "v.jsonl")) == videos
    header, *lines = (tmp_path / "v.jsonl").read_bytes().split(b"\n")
    assert json.loads(header)["format"] == 1
    assert len(lines) == 3
    assert lines[-1] == b""


@pytest.mark.parametrize(("count", "files"), [(0, 1), (1, 1), (3, 1), (4, 2), (7, 3)])
def test_a_folder_holds_files_of_so_many_videos_in_order(
    tmp_path: Path, count: int, files: int
) -> None:
    videos = [video(f"v{i}") for i in range(count)]
    assert write_video_folder(tmp_path / "d", iter(videos), videos_per_file=3) == count
    assert len(list((tmp_path / "d").iterdir())) == files
    assert list(read_videos(tmp_path / "d")) == videos


def test_a_folder_is_not_replaced_unasked(tmp_path: Path) -> None:
    write_video_folder(tmp_path / "d", [video()])
    with pytest.raises(TakenError, match="already exists"):
        write_video_folder(tmp_path / "d", [video("b")])
    write_video_folder(tmp_path / "d", [video("c")], overwrite=True)
    assert [v.id for v in read_videos(tmp_path / "d")] == ["c"]


FAULTS = [
    ({"id": ""}, "id: is empty"),
    ({"frames": (), "times_s": ()}, "frames: is empty"),
    ({"times_s": (1.0,)}, "times_s: 1 times for 2 frames"),
    ({"times_s": (1.0, 0.5)}, "times_s: not ascending"),
    ({"times_s": (1.0, float("inf"))}, "times_s: not finite"),
    (
        {"questions": (QUESTION, replace(QUESTION, options=("x",), answer=0))},
        "questions.1.options: 1 options, not two or more, all different",
    ),
    (
        {"questions": (replace(QUESTION, options=("x", "x")),)},
        "questions.0.options: 2 options, not two or more, all different",
    ),
    (
        {"questions": (replace(QUESTION, answer=2),)},
        "questions.0.answer: 2 is not the index of one of 2 options",
    ),
    (
        {"questions": (replace(QUESTION, answer=-1),)},
        "questions.0.answer: -1 is not the index of one of 2 options",
    ),
]


@pytest.mark.parametrize(("changes", "fault"), FAULTS)
def test_a_faulty_video_is_not_written(tmp_path: Path, changes: dict[str, Any], fault: str) -> None:
    wrong = replace(video("b"), **changes)
    assert faults(wrong) == [fault]
    with pytest.raises(TextualDataError, match="cannot be written") as caught:
        write_videos(tmp_path / "v.jsonl", [video(), wrong])
    assert fault in str(caught.value)
    with pytest.raises(TextualDataError, match="cannot be written"):
        write_video_folder(tmp_path / "d", [video(), wrong], videos_per_file=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"id": "a"}, "id: is the name of an earlier video"),
        ({"caption": "\ud83d"}, "cannot be UTF-8 JSON: .*surrogates not allowed"),
        ({"times_s": (0.0, float("inf"))}, "times_s: not finite"),
    ],
)
def test_what_a_line_cannot_hold_is_not_written(
    tmp_path: Path, changes: dict[str, Any], fault: str
) -> None:
    for write in (write_videos, write_video_folder):
        with pytest.raises(TextualDataError, match=fault):
            write(tmp_path / "v.jsonl", [video(), replace(video("b"), **changes)])


def test_a_faulty_line_is_set_aside_or_named(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    write_videos(path, [video(f"v{i}") for i in range(6)])
    lines = path.read_text().split("\n")
    raw = json.loads(lines[2])
    raw["frames"][1]["caption"] = 5
    raw["caption"] = None
    lines[2] = json.dumps(raw)
    lines[3] = lines[3][:-9]
    lines[4] = lines[4].replace('"answer": 1', '"answer": 7')
    lines[5] = lines[1]
    path.write_text("\n".join(lines))
    quarantine = Quarantine()
    assert [v.id for v in read_videos(path, quarantine=quarantine)] == ["v0", "v5"]
    assert [(bad.id, bad.line) for bad in quarantine] == [
        ("line 3", 3), ("line 4", 4), ("v3", 5), ("v0", 6),
    ]  # fmt: skip
    messages = [bad.message for bad in quarantine]
    assert messages[0] == (
        "frames.1.caption: Input should be a valid string; caption: Input should be a valid string"
    )
    assert "Invalid JSON" in messages[1]
    assert "7 is not the index of one of 2 options" in messages[2]
    assert messages[3] == "id: 'v0' is the name of an earlier video"
    with pytest.raises(TextualDataError, match=r"v.jsonl line 3: frames.1.caption: Input should"):
        list(read_videos(path))


def test_ids_are_unique_over_all_files_of_a_folder(tmp_path: Path) -> None:
    write_videos(tmp_path / "1.jsonl", [video()])
    write_videos(tmp_path / "2.jsonl", [video()])
    with pytest.raises(TextualDataError, match=r"2.jsonl line 2: id: 'a' is the name of an earlie"):
        list(read_videos(tmp_path))


def test_a_path_with_nothing_to_read_is_refused_at_once(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere.jsonl"):
        with pytest.raises(TextualDataError, match=r"is no file, and no folder with .jsonl files"):
            read_videos(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is no textual-videos file of textreel"),
        ("[1]\n", "is no textual-videos file of textreel"),
        ('{"format": 1, "kind": "journal"}\n', "holds 'journal', expected 'textual-videos'"),
        ('{"format": 2, "kind": "textual-videos"}\n', "has format 2"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "v.jsonl").write_text(content)
    with pytest.raises(FormatError, match=message):
        list(read_videos(tmp_path / "v.jsonl"))
