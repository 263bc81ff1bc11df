"""Sounds to vectors: spectrograms are made outside, the tower runs here.

mono sounds  --log_mel, one each-->  (frames, bands)  --by length-->  encode_mels  -->  (N, F)
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textreel.features.encode import EncodeError
from textreel.models.encoders import DualEncoder

LogMel = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From mono sound (samples,) at the encoder's `sound_rate_hz` to a log-mel (frames, bands)."""


def encode_sounds(
    sounds: Sequence[NDArray[np.float32]], encoder: DualEncoder, *, log_mel: LogMel
) -> Tensor:
    """Return unit-norm float32 (N, F), one row per sound, in order.

    Args:
        sounds: mono float32 (samples,) at `encoder.sound_rate_hz`, of any lengths; those of one
            length share a batch, so nothing is padded.
        encoder: one with a sound tower.
        log_mel: makes the spectrogram that its tower was trained on.

    Raises:
        EncodeError: a sound is not mono float32, or is too short to make one mel frame.
        EncoderError: the encoder has no sound tower, or takes other spectrograms.
    """
    mels = [_mel(sound, i, log_mel) for i, sound in enumerate(sounds)]
    by_length: dict[int, list[int]] = defaultdict(list)
    for i, mel in enumerate(mels):
        by_length[len(mel)].append(i)
    vectors = torch.zeros(len(mels), encoder.dim)
    for rows in by_length.values():
        batch = torch.from_numpy(np.stack([mels[i] for i in rows]))
        vectors[torch.tensor(rows)] = encoder.encode_mels(batch)
    return vectors


def _mel(sound: NDArray[np.float32], number: int, log_mel: LogMel) -> NDArray[np.float32]:
    if sound.ndim != 1 or sound.dtype != np.float32:
        raise EncodeError(
            f"sound {number} must be mono float32 (samples,), got {sound.dtype} {sound.shape}"
        )
    mel = log_mel(sound)
    if len(mel) == 0:
        raise EncodeError(f"sound {number} of {len(sound)} samples is too short for one mel frame")
    return mel
