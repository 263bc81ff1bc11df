"""Half blocks and contact sheets: exact colours in exact places."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from textreel.serve.blocks import contact_sheet, half_blocks


def plain(*colours: tuple[int, int, int], size: int = 8) -> np.ndarray:
    one = np.array(colours, dtype=np.uint8)[:, :, None, None]
    return np.broadcast_to(one, (len(colours), 3, size, size)).copy()


def test_upper_and_lower_half_are_two_pixels() -> None:
    frame = np.zeros((1, 3, 2, 1), dtype=np.uint8)
    frame[0, :, 0, 0], frame[0, :, 1, 0] = (1, 2, 3), (4, 5, 6)
    assert half_blocks(frame, columns=1).tolist() == [[[[1, 2, 3], [4, 5, 6]]]]


def test_a_pixel_is_the_mean_of_its_area() -> None:
    frame = np.zeros((1, 3, 4, 2), dtype=np.uint8)
    frame[0, 0] = [[0, 100], [20, 80], [7, 7], [7, 7]]
    assert half_blocks(frame, columns=1)[0, 0, :, 0].tolist() == [50, 7]


def test_frames_stand_side_by_side_and_then_below() -> None:
    sheet = half_blocks(plain((9, 0, 0), (0, 9, 0), (0, 0, 9)), columns=4, per_line=2)
    assert sheet.shape == (5, 9, 2, 3)
    assert (sheet[:2, :4] == (9, 0, 0)).all()
    assert (sheet[:2, 5:] == (0, 9, 0)).all()
    assert (sheet[3:, :4] == (0, 0, 9)).all()
    assert (sheet[2] == 0).all()
    assert (sheet[:, 4] == 0).all()
    assert (sheet[3:, 5:] == 0).all()


def test_all_frames_fit_one_line_by_default() -> None:
    assert half_blocks(plain((1, 1, 1), (2, 2, 2)), columns=2).shape == (1, 5, 2, 3)


def test_a_contact_sheet_holds_every_frame_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    contact_sheet(
        plain((255, 0, 0), (0, 255, 0), (0, 0, 255)), (0, 1, 2), path, frame_width_px=32, per_line=2
    )
    sheet = np.asarray(Image.open(path))
    assert sheet.shape == (8 + 2 * (32 + 16 + 8), 8 + 2 * (32 + 8), 3)
    assert (sheet[8:40, 8:40] == (255, 0, 0)).all()
    assert (sheet[8:40, 48:80] == (0, 255, 0)).all()
    assert (sheet[64:96, 8:40] == (0, 0, 255)).all()
    label = sheet[40:56, 8:40]
    assert len(np.unique(label.reshape(-1, 3), axis=0)) > 2, "no time is written below"
    assert [p.name for p in tmp_path.iterdir()] == ["sheet.png"]


def test_nothing_to_show_is_refused(tmp_path: Path) -> None:
    empty = np.zeros((0, 3, 4, 4), dtype=np.uint8)
    with pytest.raises(ValueError, match="with T at least 1"):
        half_blocks(empty, columns=4)
    with pytest.raises(ValueError, match="with T at least 1"):
        contact_sheet(empty, (), tmp_path / "a.png")
    with pytest.raises(ValueError, match="columns=0 must be at least 1"):
        half_blocks(plain((1, 1, 1)), columns=0)
    with pytest.raises(ValueError, match="1 frames but 2 times"):
        contact_sheet(plain((1, 1, 1)), (0.0, 1.0), tmp_path / "a.png")
