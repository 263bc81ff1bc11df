from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from textreel.media.mel import log_mel
from textreel.models.encoders import load_encoder
from textreel.models.tiny_towers import TinyTowers, TinyTowersConfig
from textreel.recipes.tiny_models import save_towers
from textreel.recipes.tiny_towers import (
    SOUND_TRAINING,
    TOWER_TRAINING,
    SoundData,
    StillData,
    build_towers,
    draw_window,
    group_accuracy,
    mel_spec,
    pad_ids,
    pixel_values,
)
from textreel.synth.world.sounds import SOUND_RATE_HZ
from textreel.synth.world.vocabulary import words
from textreel.train.config import TrainConfig
from textreel.train.digest import batch_digest

TINY = TrainConfig(steps=2, batch_size=16, precision="fp32", threads=1)


def weights(towers: TinyTowers) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in towers.state_dict().items()}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("towers")


@pytest.fixture(scope="module")
def trained(work: Path) -> TinyTowers:
    return build_towers(work, config=TINY, sound_config=replace(TINY, batch_size=8), seed=3)


@pytest.mark.parametrize("make", [lambda: StillData(groups=2, seed=5), lambda: SoundData(pairs=6)])
def test_a_batch_depends_on_its_step_only(make) -> None:
    data = make()
    later, first = data.batch(4), data.batch(0)
    assert batch_digest(first) == batch_digest(make().batch(0))
    assert batch_digest(later) == batch_digest(make().batch(4))
    assert not torch.equal(first.pixel_values, later.pixel_values)


def test_stills_come_in_groups_whose_first_is_the_model_of_the_others() -> None:
    data = StillData(groups=3, seed=5)
    batch = data.batch(0)
    assert len(data) == len(batch.ids) == len(batch.pixel_values) == 24
    assert batch.group_size == 8
    assert batch.pixel_values.shape == (24, 3, 48, 48)
    assert torch.equal(batch.attention_mask, batch.input_ids > 0)
    assert batch.num_tokens == int((batch.input_ids > 0).sum())
    for group in batch.facts.view(3, 8):
        assert len(set(group.tolist())) == 8


def test_a_quarter_of_the_captions_names_a_sound() -> None:
    named = {
        number
        for number, word in enumerate(words())
        if word in {"humming", "buzzing", "ringing", "clicking"}
    }
    ids = torch.cat([StillData(groups=32, seed=9).batch(s).input_ids.reshape(-1) for s in (0, 1)])
    share = sum(int((ids == number).sum()) for number in named) / 512
    assert 0.19 < share < 0.29  # a group's first still may be empty; standard error .019


def test_pixels_are_normalised_to_minus_two_and_two() -> None:
    pictures = np.zeros((1, 2, 2, 3), np.uint8)
    pictures[0, 0, 1, 2] = 255
    values = pixel_values(pictures)
    assert values.shape == (1, 3, 2, 2)
    assert values[0, 2, 0, 1] == 2.0
    assert values.sum() == -2.0 * 11 + 2.0


def test_ids_are_padded_with_zeros_on_the_right() -> None:
    assert pad_ids([[5], [7, 8, 9]]).tolist() == [[5, 0, 0], [7, 8, 9]]


def test_a_sound_window_is_two_seconds_of_the_towers_rate() -> None:
    wave = draw_window("circle", np.random.default_rng(0))
    assert wave.dtype == np.float32
    assert len(wave) == 2 * SOUND_RATE_HZ == 2 * TinyTowersConfig().sampling_rate
    assert log_mel(wave, mel_spec()).shape[1] == TinyTowersConfig().num_mel_bins


@pytest.mark.slow
def test_training_changes_every_tower_and_repeats_bit_by_bit(
    trained: TinyTowers, work: Path, tmp_path: Path
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        start = weights(TinyTowers(TinyTowersConfig(vocab_size=len(words()))))
    end = weights(trained)
    for tower in ("picture", "text", "sound"):
        assert any(not torch.equal(start[k], end[k]) for k in end if k.startswith(tower))
    sounds = replace(TINY, batch_size=8)
    for folder in (work, tmp_path):  # a finished build, and another from nothing
        again = weights(build_towers(folder, config=TINY, sound_config=sounds, seed=3))
        assert all(torch.equal(again[name], end[name]) for name in end)


def test_saved_towers_are_loaded_like_any_encoder(trained: TinyTowers, tmp_path: Path) -> None:
    save_towers(trained, tmp_path / "towers", num_stills=12)
    encoder = load_encoder(tmp_path / "towers")
    assert (encoder.dim, encoder.has_sound, encoder.sound_rate_hz) == (256, True, 16_000)
    batch = StillData(groups=1, seed=1).batch(0)
    trained.eval()
    with torch.no_grad():
        wanted = torch.nn.functional.normalize(
            trained.get_image_features(batch.pixel_values), dim=-1
        )
    pixels = ((batch.pixel_values * 0.25 + 0.5) * 255).round().to(torch.uint8)
    got = encoder.encode_frames(pixels.numpy())
    assert (got * wanted).sum(-1).min() > 0.999
    statistics = encoder.statistics
    assert statistics is not None
    assert statistics.image_mean.shape == statistics.text_mean.shape == (256,)
    assert 0 < statistics.image_mean.norm() < 1
    assert "knows only textreel's own world" in (tmp_path / "towers/README.md").read_text()


def test_towers_that_know_nothing_find_one_caption_in_eight(trained: TinyTowers) -> None:
    trained.eval()
    assert group_accuracy(trained, batches=1, groups=8) < 0.4
    assert TOWER_TRAINING.batch_size == 256
    assert SOUND_TRAINING.batch_size == 64
