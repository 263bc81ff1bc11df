"""Stories: lines become frames, and what holds none is refused."""

from pathlib import Path

import pytest

from textreel.serve.errors import StoryError
from textreel.serve.story import is_story, parse_story, read_story


def test_every_line_with_words_is_a_frame_one_second_apart(tmp_path: Path) -> None:
    path = tmp_path / "a story.TXT"
    path.write_text("\ufeffa red  circle\r\n\r\n  it grows \n\n", encoding="utf-8")
    story = read_story(path)
    assert [frame.caption for frame in story.frames] == ["a red circle", "it grows"]
    assert story.times_s == (0.0, 1.0)
    assert story.source == "a story.TXT"


def test_only_txt_is_a_story() -> None:
    assert is_story("dir/x.txt")
    assert is_story(Path("X.TXT"))
    assert not is_story("x.txt.mp4")
    assert not is_story("txt")


def test_a_story_without_words_is_refused() -> None:
    with pytest.raises(StoryError, match="empty tells nothing: no line of 2 holds words"):
        parse_story(" \n\t\n", name="empty")


def test_a_missing_story_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoryError, match=r"there is no story .*gone\.txt"):
        read_story(tmp_path / "gone.txt")


def test_a_video_named_txt_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "video.txt"
    path.write_bytes(b"abc\xff\xfe")
    with pytest.raises(StoryError, match=r"video\.txt is not UTF-8 text \(byte 3\)"):
        read_story(path)
    path.write_bytes(b"\0\0\0\x20ftypisom")
    with pytest.raises(StoryError, match=r"video\.txt is not text: it holds NUL bytes"):
        read_story(path)
