from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModel

from textreel.models.tiny_towers import TinyTowers, TinyTowersConfig

SMALL = {
    "vocab_size": 20,
    "projection_dim": 8,
    "image_size": 16,
    "image_channels": [4, 8],
    "image_hidden": 12,
    "text_width": 8,
    "text_heads": 2,
    "max_position_embeddings": 10,
    "num_mel_bins": 6,
    "audio_channels": 5,
}


@pytest.fixture(scope="module")
def towers() -> TinyTowers:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TinyTowers(TinyTowersConfig(**SMALL)).eval()


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_the_three_towers_share_a_space(towers: TinyTowers) -> None:
    assert towers.get_image_features(drawn(3, 3, 16, 16)).shape == (3, 8)
    assert towers.get_text_features(torch.ones(4, 7, dtype=torch.int64)).shape == (4, 8)
    assert towers.get_audio_features(drawn(2, 30, 6)).shape == (2, 8)


@torch.no_grad()
def test_padding_changes_no_text(towers: TinyTowers) -> None:
    short = torch.tensor([[5, 6, 7]])
    padded = torch.tensor([[5, 6, 7, 0, 0]])
    alone = towers.get_text_features(short)
    torch.testing.assert_close(towers.get_text_features(padded, padded > 0), alone)
    assert not torch.allclose(towers.get_text_features(padded), alone)


@torch.no_grad()
def test_word_order_counts(towers: TinyTowers) -> None:
    one, other = (towers.get_text_features(torch.tensor([ids])) for ids in ([5, 6], [6, 5]))
    assert not torch.allclose(one, other, atol=1e-4)


@torch.no_grad()
def test_where_a_thing_is_survives_the_picture_tower(towers: TinyTowers) -> None:
    pictures = torch.zeros(2, 3, 16, 16)
    pictures[0, 0, 2, 2] = pictures[1, 0, 12, 12] = 3.0
    left, right = towers.get_image_features(pictures)
    assert not torch.allclose(left, right, atol=1e-4)


@torch.no_grad()
def test_it_is_saved_and_found_again_by_auto_model(towers: TinyTowers, tmp_path: Path) -> None:
    towers.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).image_channels == [4, 8]
    loaded = AutoModel.from_pretrained(tmp_path)
    assert isinstance(loaded, TinyTowers)
    for name, value in towers.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_the_shipped_sizes_take_48_pixels_and_fit_into_a_few_megabytes() -> None:
    with torch.device("meta"):
        full = TinyTowers(TinyTowersConfig())
    assert full.config.image_size == 48
    parameters = sum(p.numel() for p in full.parameters())
    assert 2_000_000 < parameters < 4_000_000
