import json
from pathlib import Path

import pytest

from textreel.data.errors import FormatError, LockedError, TakenError
from textreel.data.locks import run_lock
from textreel.data.textual_jsonl import read_videos
from textreel.media.decode import read_clip
from textreel.media.sampling import SamplingSpec
from textreel.synth.world.files import WorldError, write_world
from textreel.synth.world.render import draw_clip
from textreel.synth.world.scene import draw_scenes

SHORT = {"seed": 3, "seconds": 4.0}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("worlds") / "world"
    made = write_world(out, count=2, **SHORT)
    assert (made.count, made.kept, made.out) == (2, 0, out)
    assert made.num_questions == sum(len(v.questions) for v in read_videos(made.videos)) > 4
    return out


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_world_is_videos_facts_and_words(world: Path) -> None:
    first = next(draw_scenes(3, part="test", seconds=4.0))
    header, *facts = lines(world / "scenes.jsonl")
    assert header["kind"] == "world-scenes"
    assert [header[key] for key in ("seed", "part", "seconds", "count")] == [3, "test", 4.0, 2]
    assert facts[0]["id"] == first.id
    assert facts[0]["objects"][0]["colour"] == first.objects[0].colour
    videos = list(read_videos(world / "videos.jsonl"))
    names = sorted(path.name for path in world.iterdir())
    wanted = [f"{video.id}.mp4" for video in videos]
    assert names == sorted([*wanted, "questions.jsonl", "scenes.jsonl", "videos.jsonl"])
    assert [fact["video"] for fact in facts] == wanted
    assert [len(video.frames) for video in videos] == [8, 8]


def test_questions_are_lines_with_their_answers(world: Path) -> None:
    asked = lines(world / "questions.jsonl")
    wanted = [(v.id, q) for v in read_videos(world / "videos.jsonl") for q in v.questions]
    assert len({line["id"] for line in asked}) == len(asked) == len(wanted) > 4
    for line, (id, question) in zip(asked, wanted, strict=True):
        assert (line["video"], line["question"]) == (f"{id}.mp4", question.question)
        assert line["options"][line["answer"]] == question.options[question.answer]
        assert (line["type"], line["id"]) == (question.kind, f"{id}-{question.kind}")


def test_the_mp4_shows_the_scene(world: Path) -> None:
    first = next(draw_scenes(3, part="test", seconds=4.0))
    drawn = draw_clip(first)
    read = read_clip(world / f"{first.id}.mp4", SamplingSpec(num_frames=4), sound="mono")
    assert read.duration_s == pytest.approx(4.0, abs=0.1)
    assert read.sound_status == ("used" if first.sounds else "absent")
    for time_s, frame in zip(read.frame_times_s, read.frames, strict=True):
        shown = drawn.frames[round(time_s * 4)].astype(float)
        assert abs(frame - shown).mean() < 6


def test_what_is_there_is_kept_and_what_is_missing_is_made(world: Path) -> None:
    before = {path.name: path.read_bytes() for path in world.iterdir()}
    lost = next(world.glob("*.mp4"))
    lost.unlink()
    (world / "videos.jsonl").unlink()
    (world / "questions.jsonl").unlink()
    told: list[tuple[int, int]] = []
    made = write_world(world, count=2, **SHORT, show=lambda *step: told.append(step))
    assert made.kept == 1
    assert told == [(0, 2), (1, 2), (2, 2)]
    assert {path.name: path.read_bytes() for path in world.iterdir()} == before


def test_more_scenes_are_added_to_those_there(world: Path) -> None:
    before = lines(world / "videos.jsonl")
    made = write_world(world, count=3, **SHORT)
    assert (made.count, made.kept) == (3, 2)
    assert lines(world / "videos.jsonl")[: len(before)] == before
    for settings in ({"count": 2, **SHORT}, {"count": 3, **SHORT, "seed": 4}):
        with pytest.raises(TakenError, match="holds 3 other scenes") as caught:
            write_world(world, **settings)
        assert "seed 3, part test, seconds 4" in str(caught.value)
        assert "another folder" in caught.value.hint


def test_long_scenes_have_a_frame_a_second_and_long_questions(tmp_path: Path) -> None:
    made = write_world(tmp_path / "long", count=3, seed=1, seconds=12.0)
    videos = list(read_videos(made.videos))
    assert [len(video.frames) for video in videos] == [12, 12, 12]
    questions = [question for video in videos for question in video.questions]
    assert {question.kind for question in questions} <= {"moment", "distant", "whole"}
    assert made.num_questions == len(questions) > 0


def test_questions_of_all_types_are_written(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("textreel.synth.world.files.write_clip", lambda path, clip: None)
    monkeypatch.setattr("textreel.synth.world.files.draw_clip", lambda scene: None)
    made = write_world(tmp_path / "many", count=80, seed=1, part="training")
    kinds = {q.kind for video in read_videos(made.videos) for q in video.questions}
    assert {"colour", "order", "final", "count", "heard", "seen_and_heard"} < kinds


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        ({"count": 0}, "0 scenes asked for", "at least 1"),
        ({"seconds": 3.5}, "no scene lasts 3.5 seconds", "choose 4 to 600 seconds"),
        ({"seconds": 601}, "no scene lasts 601 seconds", "choose 4 to 600 seconds"),
        ({"part": "all"}, "the world has no part 'all'", "test, validation, memory, training"),
    ],
)
def test_bad_values_name_the_way_out(tmp_path: Path, change: dict, message: str, hint: str) -> None:
    with pytest.raises(WorldError, match=message) as caught:
        write_world(tmp_path / "new", **{"count": 1, **SHORT, **change})
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2
    assert not (tmp_path / "new").exists()


def test_a_file_in_the_way_and_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(TakenError, match="is a file, not a folder"):
        write_world(tmp_path / "file", count=1, **SHORT)
    (tmp_path / "scenes.jsonl").write_text("my own notes\n")
    with pytest.raises(FormatError, match="is no world-scenes file"):
        write_world(tmp_path, count=1, **SHORT)
    assert (tmp_path / "scenes.jsonl").read_text() == "my own notes\n"


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "world"
    with run_lock(out), pytest.raises(LockedError, match="is being written by"):
        write_world(out, count=1, **SHORT)
