import io
import logging

import pytest

from textreel.cli.progress import Display


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_a_line_every_ten_seconds_and_the_last() -> None:
    stream, now = io.StringIO(), [0.0]
    with Display(stream=stream, clock=lambda: now[0]) as display:
        for step in range(1, 31):
            now[0] += 1.0
            display.update("train", step, 30, f"accuracy .{step}")
    assert stream.getvalue().splitlines() == [
        "textreel: train 1/30 accuracy .1",
        "textreel: train 11/30 accuracy .11",
        "textreel: train 21/30 accuracy .21",
        "textreel: train 30/30 accuracy .30",
    ]


def test_each_phase_has_its_own_lines() -> None:
    stream = io.StringIO()
    with Display(stream=stream) as display:
        display.update("write", 1, 5)
        display.update("encode", 1, 5)
    assert stream.getvalue() == "textreel: write 1/5\ntextreel: encode 1/5\n"


def test_quiet_says_nothing(monkeypatch) -> None:
    monkeypatch.setattr(logging.getLogger("textreel"), "level", logging.ERROR)
    stream = io.StringIO()
    with Display(stream=stream) as display:
        display.update("write", 5, 5)
    assert stream.getvalue() == ""


def test_a_terminal_gets_bars_and_keeps_the_last_note(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    with Display(stream=stream) as display:
        display.update("train", 1, 4, "accuracy .25")
        display.update("train", 4, 4)
    assert "4/4" in stream.getvalue()
    assert "accuracy .25" in stream.getvalue().split("4/4")[-1]


def test_an_error_inside_passes_and_the_bars_stop() -> None:
    with pytest.raises(ValueError, match="inside"), Display(stream=Terminal()) as display:
        display.update("train", 1, 4)
        raise ValueError("inside")
