"""The modality gap on vectors whose gap is known."""

import math

import pytest
import torch

from textreel.features.gap import Gap, GapError, gap, measure_gap, paired_cosine


def test_the_gap_of_two_right_angled_modalities_is_the_square_root_of_two() -> None:
    pictures, texts = torch.tensor([[1.0, 0.0]] * 3), torch.tensor([[0.0, 4.0]] * 5)
    assert gap(pictures, texts) == pytest.approx(math.sqrt(2))
    assert gap(pictures, -pictures) == pytest.approx(2.0)
    assert gap(pictures, 9 * pictures) == 0.0


def test_pairs_can_agree_while_the_means_do_not_tell() -> None:
    pictures = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert measure_gap(pictures, pictures) == Gap(distance=0.0, paired_cosine=1.0, pairs=2)
    assert measure_gap(pictures, pictures.flip(0)) == Gap(distance=0, paired_cosine=-1, pairs=2)


def test_a_common_offset_widens_the_gap_by_what_it_should() -> None:
    angle = math.radians(60)
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[math.cos(angle), math.sin(angle)]])
    assert gap(one, other) == pytest.approx(1.0)  # chord of 60 degrees
    assert paired_cosine(one, other) == pytest.approx(0.5)


def test_half_precision_counts_as_the_same_vectors() -> None:
    vectors = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    assert gap(vectors.half(), vectors) < 1e-3
    assert paired_cosine(vectors.half(), vectors) == pytest.approx(1.0, abs=1e-5)


def test_what_has_no_gap_is_refused() -> None:
    with pytest.raises(GapError, match=r"two equal shapes, got \(2, 3\), \(1, 3\)"):
        paired_cosine(torch.ones(2, 3), torch.ones(1, 3))
    with pytest.raises(GapError, match=r"N at least 1, got \(0, 3\)"):
        gap(torch.ones(0, 3), torch.ones(1, 3))
    with pytest.raises(GapError, match="1 of 2 vectors are zero"):
        gap(torch.eye(2) * torch.tensor([1.0, 0.0]), torch.ones(1, 2))
