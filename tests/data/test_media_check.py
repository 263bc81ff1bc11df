from pathlib import Path

import numpy as np
from PIL import Image

from tests.media import traps
from textreel.data.frame_files import save_frames
from textreel.data.media_check import check_media
from textreel.data.media_files import find_media
from textreel.data.quarantine import Quarantine
from textreel.media.decode import read_clip
from textreel.media.pool import ReaderPool
from textreel.media.sampling import SamplingSpec


def test_every_file_has_a_row_and_bad_ones_a_reason(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for trap in (traps.plain, traps.cut, traps.without_index, traps.empty, traps.wave, traps.text):
        trap(videos)
    quarantine = Quarantine(tmp_path / "quarantine.jsonl", max_bad=None)
    said: list[tuple[str, int, int, str]] = []
    with ReaderPool(1) as pool:
        found = check_media(
            find_media([videos]).files,
            pool,
            spec=SamplingSpec(num_frames=2),
            quarantine=quarantine,
            show=lambda *told: said.append(told),
        )
    rows = {Path(row.path).name: row for row in found.rows}
    assert list(rows) == sorted(rows) and len(rows) == 6
    kinds = {name: row.kind for name, row in rows.items() if row.kind}
    assert kinds == {
        "empty.mp4": "EmptyFileError",
        "no_index.mp4": "TruncatedError",
        "text.mp4": "NotMediaError",
    }
    assert (found.files, found.good, found.bad, found.noted) == (6, 3, 3, 1)
    assert found.bad_by_kind == {"EmptyFileError": 1, "NotMediaError": 1, "TruncatedError": 1}
    assert found.sound == {"absent": 1, "used": 2}
    assert (rows["plain.mp4"].frames, rows["sound.wav"].frames) == (2, 0)
    assert "although its header says" in rows["cut.mkv"].notes[0]
    assert {bad.code for bad in quarantine} == set(found.bad_by_kind)
    assert [told[:3] for told in said] == [("files", i, 6) for i in range(1, 7)]
    assert said[-1][3].endswith("files/s, 3 bad")
    assert found.files_per_s > 0


def test_frames_become_files_named_by_number_and_time(tmp_path: Path) -> None:
    clip = read_clip(traps.plain(tmp_path), SamplingSpec(num_frames=2))
    written = save_frames(clip, tmp_path / "frames")
    assert [path.name for path in written] == ["00000-0.400s.png", "00001-1.400s.png"]
    assert sorted((tmp_path / "frames").iterdir()) == written
    for path, frame in zip(written, clip.frames, strict=True):
        assert np.array_equal(np.asarray(Image.open(path)).transpose(2, 0, 1), frame)
