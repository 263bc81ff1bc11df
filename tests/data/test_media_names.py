"""A name without the ending of a video is that of the one file that adds it."""

from pathlib import Path

import pytest

from textreel.data.media_names import named_file
from textreel.media.errors import MissingFileError


def test_a_name_may_leave_out_the_ending(tmp_path: Path) -> None:
    for name in ("v_a.b.mp4", "v_c.mkv", "whole", "whole.mp4", "v_d.txt"):
        (tmp_path / name).touch()
    assert named_file(tmp_path, "v_a.b") == tmp_path / "v_a.b.mp4"
    assert named_file(tmp_path, "v_c") == tmp_path / "v_c.mkv"
    assert named_file(tmp_path, "v_c.mkv") == tmp_path / "v_c.mkv"
    assert named_file(tmp_path, "whole") == tmp_path / "whole"
    assert named_file(Path("elsewhere"), str(tmp_path / "v_c")) == tmp_path / "v_c.mkv"


def test_what_has_no_file_or_two_is_refused(tmp_path: Path) -> None:
    for name in ("two.mp4", "two.webm", "v_d.txt"):
        (tmp_path / name).touch()
    with pytest.raises(MissingFileError, match=r"2 files have that name: two\.mp4, two\.webm"):
        named_file(tmp_path, "two")
    with pytest.raises(MissingFileError, match="no such file, nor one that adds a video's ending"):
        named_file(tmp_path, "v_d")
    with pytest.raises(MissingFileError, match=r"gone\.mp4: no such file$"):
        named_file(tmp_path, "gone.mp4")
    for folder, name in ((tmp_path, "/"), (Path(), "")):
        with pytest.raises(MissingFileError, match="names no file"):
            named_file(folder, name)
    (tmp_path / "two.mp4").unlink()
    (tmp_path / "two").mkdir()
    assert named_file(tmp_path, "two") == tmp_path / "two.webm"  # its frames may lie beside it
    (tmp_path / "frames").mkdir()
    with pytest.raises(MissingFileError, match="frames: a folder, no file, nor one that adds"):
        named_file(tmp_path, "frames")
    with pytest.raises(MissingFileError, match="two: no such file"):
        named_file(tmp_path / "nowhere", "two")
