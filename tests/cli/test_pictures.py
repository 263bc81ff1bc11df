import io
import re

import numpy as np
import pytest

from textreel.cli.pictures import show_frames


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def colours(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)


def frames(count: int) -> np.ndarray:
    frame = np.zeros((3, 36, 36), np.uint8)
    frame[0, :18], frame[2, 18:] = 200, 100  # red above blue
    return np.stack([frame] * count)


def test_a_frame_is_red_above_blue(colours) -> None:
    stream = Terminal()
    assert show_frames(frames(1), stream=stream)
    rows = stream.getvalue().splitlines()
    assert len(rows) == 9
    assert {re.sub("[^▀]", "", row) for row in rows} == {"▀" * 18}
    assert "38;2;200;0;0;48;2;200;0;0" in rows[0]
    assert "38;2;0;0;100;48;2;0;0;100" in rows[-1]


def test_lines_hold_as_many_frames_as_there_is_room(colours) -> None:
    stream = Terminal()
    assert show_frames(frames(5), stream=stream)
    rows = stream.getvalue().splitlines()
    assert len(rows) == 9 + 1 + 9  # three frames, a gap, two frames
    assert all(row.count("▀") == 3 * 19 - 1 for row in rows)


def test_a_file_gets_nothing(colours) -> None:
    stream = io.StringIO()
    assert not show_frames(frames(1), stream=stream)
    assert stream.getvalue() == ""


def test_no_color_gets_nothing(colours, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert not show_frames(frames(1), stream=Terminal())
