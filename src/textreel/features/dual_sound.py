"""The sound tower of a dual encoder that has one, over short clips spread across a sound.

    mono sound  --K clips of two seconds, the first at 0, the last ending with it-->  mels
                --those that are too quiet left out-->  encode_mels  -->  (N, F)

A clip that is some 18 dB below the loudest one holds nothing but hiss, which such a tower was never
shown: what it would say of it means nothing. At least the loudest clip is kept.
"""

import json

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textreel.features.errors import TowerError
from textreel.features.towers import SoundTower
from textreel.media.clip import Clip
from textreel.media.errors import NoStreamError, TooShortError
from textreel.media.mel import MelSpec, log_mel
from textreel.media.sampling import SamplingSpec
from textreel.media.sound import SoundMode
from textreel.media.sound_clips import SoundClipSpec, clip_bounds
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
        window = {"start_s": spec.start_s, "end_s": spec.end_s}
        return json.dumps({"dual_sound": own, **window}, sort_keys=True)

    def prepare(self, clip: Clip, *, start_s: float) -> tuple[Prepared, list[float]]:
        """Cut and draw the sound of one clip."""
        if clip.sound is None or clip.sound_rate_hz is None:
            raise NoStreamError(
                clip.source, f"has no sound for {self.name} (its sound: {clip.sound_status})"
            )
        sound = clip.sound[0, round(start_s * clip.sound_rate_hz) :]
        if len(sound) < self._mel.frame:
            length_ms = 1000 * len(sound) / self.sound_rate_hz
            raise TooShortError(
                clip.source, f"its sound of {length_ms:.1f} ms is too short for {self.name}"
            )
        cut, times_s = loud_clips(sound, self._clips, rate_hz=self.sound_rate_hz)
        mels = torch.from_numpy(np.stack([log_mel(one, self._mel) for one in cut]))
        return {"mels": mels}, [start_s + time_s for time_s in times_s]

    def encode(self, prepared: Prepared) -> Tensor:
        """Return unit-norm float32 (N, F)."""
        return self._encoder.encode_mels(prepared["mels"])


def loud_clips(
    sound: NDArray[np.float32], spec: SoundClipSpec, *, rate_hz: int
) -> tuple[list[NDArray[np.float32]], list[float]]:
    """Cut a sound into clips, those that are too quiet left out.

    Args:
        sound: float32 (N,).
        spec: how many, and where.
        rate_hz: samples per second.

    Returns:
        The clips, all of one length, and the time of the middle of each, in seconds.
    """
    duration_s = len(sound) / rate_hz
    bounds = [(int(a * rate_hz), int(b * rate_hz)) for a, b in clip_bounds(duration_s, spec)]
    length = min(min(end, len(sound)) - start for start, end in bounds)
    cut = [sound[start : start + length] for start, _ in bounds]
    peaks = [float(np.abs(one).max()) for one in cut]
    kept = [i for i, peak in enumerate(peaks) if peak >= QUIET * max(peaks)]
    return [cut[i] for i in kept], [(bounds[i][0] + length / 2) / rate_hz for i in kept]
