"""The stored means of both towers."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.models.encoder_fakes import save_clip
from textreel.models.encoder_errors import EncoderError
from textreel.models.encoder_statistics import (
    EncoderStatistics,
    load_statistics,
    save_statistics,
)
from textreel.models.encoders import load_encoder


def test_an_encoder_knows_the_means_stored_with_it(tmp_path: Path) -> None:
    folder = save_clip(tmp_path / "clip")
    assert load_encoder(folder).statistics is None
    image, text = torch.arange(10.0), torch.ones(10)
    save_statistics(folder, EncoderStatistics(image_mean=image, text_mean=text))
    stored = load_encoder(folder).statistics
    assert stored is not None
    assert torch.equal(stored.image_mean, image)
    assert torch.equal(stored.text_mean, text)
    assert stored.sound_mean is None
    assert not list(folder.glob("*.part"))


def test_the_mean_of_sounds_is_kept_too(tmp_path: Path) -> None:
    means = [torch.full((4,), float(i)) for i in range(3)]
    save_statistics(
        tmp_path,
        EncoderStatistics(image_mean=means[0], text_mean=means[1], sound_mean=means[2]),
    )
    stored = load_statistics(tmp_path, dim=4)
    assert stored is not None
    assert stored.sound_mean is not None
    assert torch.equal(stored.sound_mean, means[2])


def test_means_of_another_width_or_half_of_them_are_refused(tmp_path: Path) -> None:
    save_statistics(tmp_path, EncoderStatistics(image_mean=torch.ones(4), text_mean=torch.ones(4)))
    with pytest.raises(EncoderError, match=r"image_mean has shape \(4,\), .* have 5 numbers"):
        load_statistics(tmp_path, dim=5)
    save_file({"image_mean": torch.ones(4)}, tmp_path / "statistics.safetensors")
    with pytest.raises(EncoderError, match="lacks text_mean"):
        load_statistics(tmp_path, dim=4)
