import os
from pathlib import Path

import pytest

from textreel.data.media_files import NoMediaError, find_media
from textreel.media.errors import MissingFileError


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_files_come_in_the_order_of_their_names_and_others_are_counted(tmp_path: Path) -> None:
    fill(tmp_path, "b.mp4", "a/z.mkv", "a/b.JSON", "c", "notes.txt", "d.txt", ".DS_Store")
    fill(tmp_path, ".git/config")
    found = find_media([tmp_path])
    assert [file.name for file in found.files] == ["b.mp4", "c", "a/z.mkv"]
    assert all(file.path == tmp_path / file.name for file in found.files)
    assert found.skipped == {".txt": 2, "hidden": 2, ".json": 1}


def test_a_file_named_itself_is_taken_whatever_its_ending_and_only_once(tmp_path: Path) -> None:
    fill(tmp_path, "a.txt", "b.mp4")
    found = find_media([tmp_path / "a.txt", tmp_path, tmp_path / "b.mp4"])
    assert [file.name for file in found.files] == ["a.txt", "b.mp4"]


def test_links_are_followed_and_circles_end(tmp_path: Path) -> None:
    fill(tmp_path / "far", "x.mp4")
    fill(tmp_path / "here", "y.mp4")
    (tmp_path / "here" / "link").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "back").symlink_to(tmp_path / "here")
    assert [file.name for file in find_media([tmp_path / "here"]).files] == ["y.mp4", "link/x.mp4"]


def test_what_is_not_there_or_holds_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such file or folder"):
        find_media([tmp_path / "nowhere"])
    with pytest.raises(NoMediaError, match=r"no media files in .*\(passed over: nothing\)"):
        find_media([tmp_path])
    fill(tmp_path, "a.txt", "b.json", "c.txt")
    with pytest.raises(NoMediaError, match=r"passed over: 2 .txt, 1 .json"):
        find_media([tmp_path])


def test_a_folder_that_cannot_be_read_is_an_error_not_a_gap(tmp_path: Path, monkeypatch) -> None:
    fill(tmp_path, "a.mp4", "closed/b.mp4")

    def scandir(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", path)
        return whole(path)

    whole = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PermissionError, match="closed"):
        find_media([tmp_path])
