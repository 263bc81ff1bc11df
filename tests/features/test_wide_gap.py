import pytest
import torch
from torch.nn.functional import normalize

from textreel.features.gap import measure_gap
from textreel.features.wide_gap import WideGap, WideGapError
from textreel.models.batch import Features


def pair(count: int = 400, dim: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    texts = normalize(torch.randn(count, dim, generator=generator), dim=-1)
    near = texts + 0.1 * normalize(torch.randn(count, dim, generator=generator), dim=-1)
    return texts, normalize(near, dim=-1)


def test_the_gap_becomes_that_of_real_towers() -> None:
    texts, pictures = pair()
    assert measure_gap(texts, pictures).distance < 0.05
    wide = WideGap(256)
    moved = wide.pictures(pictures, generator=torch.Generator().manual_seed(1))
    found = measure_gap(wide.texts(texts), moved)
    assert 0.8 < found.distance < 1.0
    assert 0.35 < found.paired_cosine < 0.55


def test_offsets_are_fixed_and_orthonormal_and_private_directions_are_neither_texts_nor() -> None:
    wide = WideGap(80, seed=3)
    basis = torch.cat([wide.text_offset[:, None], wide.picture_offset[:, None], wide.private], 1)
    torch.testing.assert_close(basis.T @ basis, torch.eye(66), atol=1e-5, rtol=0)
    assert torch.equal(WideGap(80, seed=3).text_offset, wide.text_offset)


def test_a_videos_pictures_are_moved_alike_each_time_and_others_otherwise() -> None:
    wide = WideGap(80)
    values = normalize(torch.randn(3, 1, 80), dim=-1)
    video = Features(
        values=values.half(),
        times_s=torch.arange(3).double(),
        modality="image",
        encoder="e",
        revision="",
    )
    first, again, other = (wide.move(id, video).values for id in ("a", "a", "b"))
    assert torch.equal(first, again) and not torch.equal(first, other)
    torch.testing.assert_close(first.float().norm(dim=-1), torch.ones(3, 1), atol=2e-3, rtol=0)


def test_too_few_dimensions_are_refused() -> None:
    with pytest.raises(WideGapError, match="features of 65 dimensions leave no room for 66"):
        WideGap(65)
