import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from textreel.data.files import fingerprint
from textreel.data.frame_files import save_frames
from textreel.data.record import Message, Part, Record
from textreel.data.shapes import ShapeError, turns_of, write_shape
from textreel.media.clip import Clip


def text(value: str) -> Part:
    return Part(kind="text", value=value)


ANSWER = Message(role="assistant", parts=(text("Chess."),))
PAGES = Record(
    id="p1",
    messages=(
        Message(role="user", parts=(Part(kind="pages", value="long"), text("What?"))),
        ANSWER,
    ),
)
VIDEO = Record(
    id="v1",
    messages=(
        Message(role="user", parts=(Part(kind="video", value="a/cat.mp4"), text("What?"))),
        ANSWER,
    ),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pages" / "p1").mkdir(parents=True)
    for number in (1, 0):
        (tmp_path / "pages" / "p1" / f"page-0000{number}.png").touch()
    (tmp_path / "pages" / "p1" / "notes.txt").touch()
    return tmp_path / "pages"


def rows(path: Path, *, as_list: bool) -> list:
    content = path.read_text(encoding="utf-8")
    return json.loads(content) if as_list else [json.loads(line) for line in content.splitlines()]


def pictures(folder: Path) -> list[str]:
    return [str(folder / "p1" / f"page-0000{number}.png") for number in (0, 1)]


def shown(folder: Path, shape: str, *records: Record) -> list:
    out = folder.parent / f"{shape}.json"
    report = write_shape(records, out, shape=shape, pictures=[folder])
    assert report.records == len(records)
    return rows(out, as_list=shape in {"minicpm", "llava", "sharegpt"})


def test_minicpm_names_every_picture(folder: Path) -> None:
    assert shown(folder, "minicpm", PAGES) == [
        {
            "id": "p1",
            "image": dict(zip(("<image_00>", "<image_01>"), pictures(folder), strict=True)),
            "conversations": [
                {"role": "user", "content": "<image_00>\n<image_01>\nWhat?"},
                {"role": "assistant", "content": "Chess."},
            ],
        }
    ]


@pytest.mark.parametrize(("shape", "key"), [("messages", "path"), ("qwen-vl", "image")])
def test_messages_have_typed_parts(folder: Path, shape: str, key: str) -> None:
    seen = [{"type": "image", key: path} for path in pictures(folder)]
    video_key = "path" if shape == "messages" else "video"
    answer = {"role": "assistant", "content": [{"type": "text", "text": "Chess."}]}
    asked = {"type": "text", "text": "What?"}
    assert shown(folder, shape, PAGES, VIDEO) == [
        {"id": "p1", "messages": [{"role": "user", "content": [*seen, asked]}, answer]},
        {
            "id": "v1",
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "video", video_key: "a/cat.mp4"}, asked],
                },
                answer,
            ],
        },
    ]


def said(human: str) -> list[dict]:
    return [{"from": "human", "value": human}, {"from": "gpt", "value": "Chess."}]


def test_llava_and_sharegpt_mark_media_in_the_text(folder: Path) -> None:
    for_pages, for_video = said("<image>\n<image>\nWhat?"), said("<video>\nWhat?")
    assert shown(folder, "llava", PAGES, VIDEO) == [
        {"id": "p1", "conversations": for_pages, "image": pictures(folder)},
        {"id": "v1", "conversations": for_video, "video": "a/cat.mp4"},
    ]
    assert shown(folder, "sharegpt", PAGES, VIDEO) == [
        {"id": "p1", "conversations": for_pages, "images": pictures(folder)},
        {"id": "v1", "conversations": for_video, "videos": ["a/cat.mp4"]},
    ]


def test_internvl_numbers_pictures(folder: Path) -> None:
    assert shown(folder, "internvl", PAGES, VIDEO) == [
        {
            "id": "p1",
            "conversations": said("Image-1: <image>\nImage-2: <image>\nWhat?"),
            "image": pictures(folder),
        },
        {"id": "v1", "conversations": said("<video>\nWhat?"), "video": "a/cat.mp4"},
    ]


def test_a_video_with_frames_is_its_frames(folder: Path) -> None:
    (folder / "cat").mkdir()
    (folder / "cat" / "0.jpg").touch()
    assert shown(folder, "minicpm", VIDEO)[0]["image"] == {"<image_00>": str(folder / "cat/0.jpg")}


def test_frames_are_found_by_a_videos_path_before_its_name(folder: Path) -> None:
    for place in ("cat", "a/cat"):
        (folder / place).mkdir(parents=True)
        (folder / place / "0.jpg").touch()
    (row,) = shown(folder, "minicpm", VIDEO)
    assert row["image"] == {"<image_00>": str(folder / "a/cat/0.jpg")}


def test_the_hint_says_how_frames_are_called_and_made(folder: Path) -> None:
    def of(path: str) -> Record:
        part = Part(kind="video", value=path)
        return Record(id="v", messages=(Message(role="user", parts=(part, text("What?"))), ANSWER))

    for path, place in (
        ("a/my cat.mp4", "a/my cat"),
        ("6H_11.1_19.6", "6H_11.1_19.6"),
        (str(folder / "b" / "dog.mp4"), "dog"),
    ):
        with pytest.raises(ShapeError, match="holds pictures only") as told:
            shown(folder, "minicpm", of(path))
        (command,) = re.findall("`textreel media show VIDEO (.*)`", told.value.hint)
        *_, option, made = shlex.split(command)
        assert (option, made) == ("--save-frames", f"DIR/{place}")
        frames = np.zeros((2, 3, 8, 8), np.uint8)
        clip = Clip(frames=frames, frame_times_s=np.array([0.5, 1.5]), duration_s=2.0, source=path)
        written = save_frames(clip, folder / made.removeprefix("DIR/"))
        (row,) = shown(folder, "minicpm", of(path))
        assert list(row["image"].values()) == list(map(str, written))


def test_frames_stand_in_the_order_of_their_numbers(folder: Path) -> None:
    (folder / "cat").mkdir()
    for number in (10, 9, 1):
        (folder / "cat" / f"frame_{number}.JPG").touch()
    (row,) = shown(folder, "llava", VIDEO)
    assert row["image"] == [str(folder / "cat" / f"frame_{number}.JPG") for number in (1, 9, 10)]


def test_pages_of_another_text_are_refused(folder: Path) -> None:
    made_with = folder / "p1" / "made_with.json"
    made_with.write_text(json.dumps({"text": fingerprint("long")}))
    assert len(shown(folder, "llava", PAGES)[0]["image"]) == 2
    made_with.write_text(json.dumps({"text": fingerprint("other")}))
    with pytest.raises(ShapeError, match=r"record p1: the pages in .* are of another text"):
        shown(folder, "llava", PAGES)


def test_no_records_are_an_empty_list(folder: Path) -> None:
    assert shown(folder, "llava") == []


def test_what_has_no_form_is_refused_by_name(folder: Path) -> None:
    out = folder.parent / "out.json"

    def refuse(record: Record, message: str, *, shape: str = "messages") -> None:
        with pytest.raises(ShapeError, match=message):
            write_shape([record], out, shape=shape, pictures=[folder])
        assert not out.exists()

    refuse(
        VIDEO,
        r"record v1: it shows the video a/cat.mp4; MiniCPM's map holds pictures only",
        shape="minicpm",
    )
    system = Record(id="sys", messages=(Message(role="system", parts=(text("Be brief."),)), ANSWER))
    refuse(system, "record sys: it has a message of the system; MiniCPM's map", shape="minicpm")
    refuse(PAGES, r"shape 'x' is none of minicpm", shape="x")
    marked = Message(role="user", parts=(Part(kind="text", value="What is <image> for?"),))
    for shape in ("minicpm", "llava", "sharegpt", "internvl"):
        refuse(Record(id="m", messages=(marked,)), r"record m: a text holds <image>", shape=shape)
    numbered = Message(role="user", parts=(Part(kind="text", value="What is <image_3> for?"),))
    record = Record(id="m", messages=(numbered,))
    refuse(record, r"record m: a text holds <image_3>", shape="minicpm")
    for shape in ("llava", "sharegpt", "internvl"):  # there it stands for nothing
        assert write_shape([record], folder / shape, shape=shape).records == 1
    with pytest.raises(ShapeError, match="there is no folder none of pictures"):
        write_shape([VIDEO], out, shape="llava", pictures=[Path("none")])
    other = Record(id="p2", messages=PAGES.messages)
    refuse(other, "record p2 has pages, and there are no pictures of them in")
    timed = Part(kind="video", value="c.mp4", start_s=1.0)
    refuse(Record(id="t", messages=(Message(role="user", parts=(timed,)),)), "looks at seconds 1.0")
    sound = Part(kind="audio", value="c.wav")
    refuse(
        Record(id="s", messages=(Message(role="user", parts=(sound,)),)), "a part of kind 'audio'"
    )
    two = Message(role="user", parts=(*VIDEO.messages[0].parts, *PAGES.messages[0].parts))
    refuse(Record(id="p1", messages=(two,)), "shows 1 videos and 2 pictures", shape="internvl")


def test_turns_keep_the_order_of_parts(folder: Path) -> None:
    image = Part(kind="image", value="x.png")
    record = Record(id="i", messages=(Message(role="user", parts=(text("See"), image)),))
    (turn,) = turns_of(record)
    assert turn.pieces[0] == "See"
    assert turn.pieces[1].path == "x.png"
