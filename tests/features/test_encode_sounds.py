"""Sounds of mixed lengths become vectors in their own order."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.encoder_fakes import save_clip, save_tiny_towers
from textreel.features.encode import EncodeError
from textreel.features.encode_sounds import encode_sounds
from textreel.models.encoder_errors import EncoderError
from textreel.models.encoders import DualEncoder, load_encoder

BANDS = 16


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    return load_encoder(save_tiny_towers(tmp_path_factory.mktemp("towers")))


def framed(sound: np.ndarray) -> np.ndarray:
    return sound[: len(sound) // BANDS * BANDS].reshape(-1, BANDS)


def test_sounds_of_mixed_lengths_keep_their_order(encoder: DualEncoder) -> None:
    generator = np.random.default_rng(0)
    lengths = (320, 480, 320, 160)
    sounds = [generator.standard_normal(n).astype(np.float32) for n in lengths]
    vectors = encode_sounds(sounds, encoder, log_mel=framed)
    alone = [encoder.encode_mels(torch.from_numpy(framed(sound))[None])[0] for sound in sounds]
    torch.testing.assert_close(vectors, torch.stack(alone))
    assert encode_sounds([], encoder, log_mel=framed).shape == (0, encoder.dim)


def test_sounds_that_cannot_be_heard_are_named(encoder: DualEncoder, tmp_path: Path) -> None:
    good = np.ones(160, dtype=np.float32)
    with pytest.raises(
        EncodeError, match=r"sound 1 must be mono float32 .* got float32 \(2, 160\)"
    ):
        encode_sounds([good, np.stack([good, good])], encoder, log_mel=framed)
    with pytest.raises(EncodeError, match="sound 0 of 15 samples is too short"):
        encode_sounds([good[:15]], encoder, log_mel=framed)
    with pytest.raises(EncoderError, match="has no sound tower"):
        encode_sounds([good], load_encoder(save_clip(tmp_path)), log_mel=framed)
