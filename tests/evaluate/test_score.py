"""Intervals with known values, and at the ends where formulas break."""

import math

import pytest

from textreel.evaluate.score import Difference, Score


def score(value: float, stderr: float, *, clusters: int = 100) -> Score:
    return Score(
        metric="macro", value=value, stderr=stderr, n=100, clusters=clusters, fingerprint="f"
    )


def test_the_interval_is_wilsons() -> None:
    # 80 of 100: (.7112, .8666), the textbook's example.
    low, high = score(0.8, math.sqrt(0.8 * 0.2 / 100)).interval()
    assert (low, high) == (pytest.approx(0.7112, abs=1e-4), pytest.approx(0.8666, abs=1e-4))


def test_all_right_is_not_certain() -> None:
    # n / (n + z^2) with n = 100 videos.
    low, high = score(1.0, 0.0).interval()
    assert (low, high) == (pytest.approx(100 / (100 + 1.959964**2)), 1.0)
    low, high = score(0.0, 0.0).interval()
    assert (low, high) == (0.0, pytest.approx(1 - 100 / (100 + 1.959964**2)))


def test_a_single_video_tells_nothing() -> None:
    assert score(0.7, math.nan, clusters=1).interval() == (0.0, 1.0)
    assert score(0.7, math.nan).json_stderr is None
    assert score(0.7, 0.1).json_stderr == 0.1


def test_a_known_number_has_no_width() -> None:
    assert score(0.25, 0.0).interval() == (0.25, 0.25)


def difference(value: float, stderr: float) -> Difference:
    return Difference(metric="m", value=value, stderr=stderr, n=9, clusters=9, fingerprint="f")


def test_a_difference_has_a_normal_interval_within_its_range() -> None:
    assert difference(0.1, 0.1).interval() == pytest.approx((-0.095996, 0.295996), abs=1e-6)
    assert difference(0.95, 0.1).interval()[1] == 1.0
    assert difference(-0.95, 0.1).interval()[0] == -1.0
    assert difference(0.5, math.nan).interval() == (-1.0, 1.0)
