"""Means of numbers in groups, against numbers that were worked out by hand."""

import math

import pytest

from textreel.data.clustered import clustered_mean


def test_one_number_a_group_is_the_ordinary_error() -> None:
    assert clustered_mean([1, 0, 0, 1, 1], groups="abcde") == (
        pytest.approx(0.6),
        pytest.approx((0.6 * 0.4 / 4) ** 0.5),
        5,
    )


def test_groups_that_stand_or_fall_together_count_once_each() -> None:
    # residuals: 2 * .5 / 4 and 2 * -.5 / 4; 2 / 1 * (1/16 + 1/16) = 1/4
    assert clustered_mean([1, 1, 0, 0], groups=[7, 7, 8, 8]) == (0.5, 0.5, 2)
    # each group holds one of either: nothing is left
    assert clustered_mean([1, 0, 1, 0], groups=[7, 7, 8, 8]) == (0.5, 0.0, 2)


def test_types_count_alike_whatever_their_numbers() -> None:
    mean, stderr, groups = clustered_mean(
        [1, 0, 0, 1], groups=["a", "b", "c", "d"], types=["x", "x", "x", "y"]
    )
    assert mean == pytest.approx((1 / 3 + 1) / 2) and groups == 4
    residuals = [(2 / 3) / 6, (-1 / 3) / 6, (-1 / 3) / 6, 0]
    assert stderr == pytest.approx((4 / 3 * sum(u * u for u in residuals)) ** 0.5)


def test_a_single_group_has_no_known_error() -> None:
    mean, stderr, groups = clustered_mean([1, 0], groups=["a", "a"])
    assert (mean, groups) == (0.5, 1) and math.isnan(stderr)
