"""The sound tower of a dual encoder that has one, over short clips spread across a sound.

    mono sound  --K clips of two seconds, the first at 0, the last ending with it-->  mels
                --those that are too quiet left out-->  encode_mels  -->  (N, F)

A clip that is some 18 dB below the loudest one holds nothing but hiss, which such a tower was never
shown: what it would say of it means nothing. At least the loudest clip is kept.
"""

import json
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textreel.features.errors import TowerError
from textreel.features.towers import SoundTower, heard_part
from textreel.media.cutting import Cutting
from textreel.media.mel import MelSpec, log_mel
from textreel.media.sampling import SamplingSpec
from textreel.media.sound import SoundMode
from textreel.media.sound_clips import SoundClipSpec
from textreel.media.sound_pieces import Piece
from textreel.models.encoders import DualEncoder
from textreel.models.tower_runner import Prepared

QUIET = 0.125
"""A clip whose peak is below this share of the sound's is left out."""


class DualSoundTower(SoundTower):
    """The sound tower of a dual encoder.

    Args:
        encoder: one with a sound tower.
        clips: how many clips, and where they start.

    Raises:
        TowerError: it has none.
    """

    sound: SoundMode = "mono"

    def __init__(self, encoder: DualEncoder, *, clips: SoundClipSpec | None = None) -> None:
        rate_hz, bands = encoder.sound_rate_hz, encoder.num_mel_bins
        if rate_hz is None or bands is None:
            raise TowerError(f"{encoder.name} has no sound tower, so it cannot hear")
        self.name, self.revision, self.sound_rate_hz = encoder.name, encoder.revision, rate_hz
        self._encoder = encoder
        self._clips = clips or SoundClipSpec(rule="imagebind")
        self._mel = MelSpec(rate_hz=rate_hz, num_mels=bands)

    @property
    def dim(self) -> int:
        """Width F of a vector."""
        return self._encoder.dim

    def rule(self, spec: SamplingSpec) -> str:
        """Return how many clips, where, how quiet is too quiet, and of which part of the file."""
        own = {"num_clips": self._clips.num_clips, "rule": self._clips.rule, "quiet": QUIET}
        return json.dumps({"dual_sound": own, **heard_part(spec)}, sort_keys=True)

    @property
    def cutting(self) -> Cutting:
        """One channel of K clips."""
        return Cutting(mode=self.sound, rate_hz=self.sound_rate_hz, rule=self._clips)

    def prepare_pieces(
        self, pieces: Sequence[Piece], *, source: str, start_s: float
    ) -> tuple[Prepared, list[float]]:
        """Draw the clips of one sound that are loud enough."""
        self.check_length(pieces, self._mel.frame, source=source)
        cut, times_s = loud_clips(pieces, rate_hz=self.sound_rate_hz)
        mels = torch.from_numpy(np.stack([log_mel(one, self._mel) for one in cut]))
        return {"mels": mels}, [start_s + time_s for time_s in times_s]

    def encode(self, prepared: Prepared) -> Tensor:
        """Return unit-norm float32 (N, F)."""
        return self._encoder.encode_mels(prepared["mels"])


def loud_clips(
    pieces: Sequence[Piece], *, rate_hz: int
) -> tuple[list[NDArray[np.float32]], list[float]]:
    """Return the clips of a sound, (n,), those that are too quiet left out.

    Args:
        pieces: the sound's clips, of which the first channel counts.
        rate_hz: samples per second.

    Returns:
        The clips, all of one length, and the time of the middle of each, in seconds.
    """
    length = min(piece.samples.shape[1] for piece in pieces)
    cut = [piece.samples[0, :length] for piece in pieces]
    peaks = [float(np.abs(one).max()) for one in cut]
    kept = [i for i, peak in enumerate(peaks) if peak >= QUIET * max(peaks)]
    return [cut[i] for i in kept], [(pieces[i].start + length / 2) / rate_hz for i in kept]
