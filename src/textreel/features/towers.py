"""What a store's features are made with: one tower of an encoder, and how a clip is given to it.

    frames, or a sound  --prepare-->  inputs (N, ...)  --encode-->  (N, F) or (N, P, F)

    PictureTower        frames         one vector each, or one per patch, or BLIP-2's 32
    ImageBindTower      sound          K clips of two seconds, spread evenly
    WindowTower         sound          windows as long as the encoder hears (CLAP: 10 s), touching

A file without a usable sound is a `MediaError`, like any other file that cannot be read.
"""

import hashlib
import json
import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textreel.features.errors import TowerError
from textreel.media.clip import Clip
from textreel.media.errors import NoStreamError, TooShortError
from textreel.media.sampling import SamplingSpec
from textreel.media.sound import SoundMode
from textreel.media.sound_clips import ShortSoundError, SoundClipSpec, sound_clips
from textreel.models.batch import Modality
from textreel.models.encoders import DualEncoder
from textreel.models.imagebind_encoder import ImageBindEncoder
from textreel.models.open_encoder import Encoder
from textreel.models.sound_text import SoundTextEncoder
from textreel.models.tower_runner import Prepared

PATCHES_SUFFIX = "#patches"
"""Ends the encoder's name in the identity of patch features."""
SHORTEST_S = 0.025
"""A shorter sound is refused; one frame of a spectrogram."""


class ClipTower(ABC):
    """One tower of a frozen encoder.

    Attributes:
        name: of the encoder, as features and stores carry it.
        revision: of its weights.
        modality: what it takes.
    """

    name: str
    revision: str
    modality: Modality

    @property
    @abstractmethod
    def dim(self) -> int:
        """Width F of a vector."""

    @abstractmethod
    def rule(self, spec: SamplingSpec) -> str:
        """Return canonical JSON of everything that decides what of a file is encoded."""

    @abstractmethod
    def prepare_frames(self, frames: NDArray[np.uint8]) -> Prepared:
        """Return the inputs that frames make; on the CPU.

        Raises:
            TowerError: it is no tower for pictures.
        """

    @abstractmethod
    def encode(self, prepared: Prepared) -> Tensor:
        """Return float32 (N, F) or (N, P, F)."""


class SoundTower(ClipTower):
    """A tower that hears.

    Attributes:
        sound: what of a file's sound must be decoded.
        sound_rate_hz: at which rate.
    """

    modality: Modality = "sound"
    sound: SoundMode
    sound_rate_hz: int

    @abstractmethod
    def prepare(self, clip: Clip, *, start_s: float) -> tuple[Prepared, list[float]]:
        """Return the inputs that a sound makes, and the time of each row in seconds; on the CPU.

        Raises:
            MediaError: the clip has no sound, or too short a one.
        """

    def prepare_frames(self, frames: NDArray[np.uint8]) -> Prepared:
        """Refuse.

        Raises:
            TowerError: always.
        """
        raise TowerError(f"{self.name} hears; it has no use for frames")


def sampling_of(tower: ClipTower, spec: SamplingSpec) -> str:
    """Return the name of what a tower takes of a file, as a store's identity carries it."""
    if tower.modality == "image":
        return spec.fingerprint
    return hashlib.sha256(tower.rule(spec).encode()).hexdigest()[:16]


class PictureTower(ClipTower):
    """The picture tower of an encoder."""

    modality: Modality = "image"

    def __init__(self, encoder: Encoder, *, patches: bool = False) -> None:
        if isinstance(encoder, SoundTextEncoder):
            raise TowerError(f"{encoder.name} has no picture tower")
        if patches and not isinstance(encoder, DualEncoder):
            raise TowerError(
                f"patches of {encoder.name} cannot be had",
                hint="leave out --patches, or use a CLIP or SigLIP model",
            )
        self.name = encoder.name + PATCHES_SUFFIX if patches else encoder.name
        self.revision = encoder.revision
        self._encoder, self._patches = encoder, patches

    @property
    def dim(self) -> int:
        """Width F of a vector.

        Raises:
            EncoderError: patches are wanted of a tower that has none.
        """
        if self._patches and isinstance(self._encoder, DualEncoder):
            return self._encoder.patch_dim
        return self._encoder.dim

    def rule(self, spec: SamplingSpec) -> str:
        """Return the sampling of frames."""
        return spec.to_json()

    def prepare_frames(self, frames: NDArray[np.uint8]) -> Prepared:
        """Resize and normalise frames."""
        return self._encoder.prepare_frames(frames)

    def encode(self, prepared: Prepared) -> Tensor:
        """Return float32 (N, F) or (N, P, F)."""
        if self._patches and isinstance(self._encoder, DualEncoder):
            return self._encoder.encode_prepared_patches(prepared)
        return self._encoder.encode_prepared(prepared)


class ImageBindTower(SoundTower):
    """ImageBind's sound tower: K clips of two seconds, as published."""

    sound: SoundMode = "all"

    def __init__(self, encoder: ImageBindEncoder, *, clips: SoundClipSpec | None = None) -> None:
        self.name, self.revision = encoder.name, encoder.revision
        self.sound_rate_hz = encoder.sound_rate_hz
        self._encoder, self._clips = encoder, clips or SoundClipSpec()

    @property
    def dim(self) -> int:
        """Width F of a vector."""
        return self._encoder.dim

    def rule(self, spec: SamplingSpec) -> str:
        """Return how many clips, where, and of which part of the file."""
        own = {"num_clips": self._clips.num_clips, "rule": self._clips.rule}
        return _canonical({"sound_clips": own, **_window(spec)})

    def prepare(self, clip: Clip, *, start_s: float) -> tuple[Prepared, list[float]]:
        """Cut and draw the sound of one clip."""
        try:
            clips = sound_clips(_heard(clip, start_s=start_s), self._clips)
        except ShortSoundError as error:
            raise TooShortError(clip.source, str(error)) from error
        times_s = (clips.times_s + start_s).tolist()
        return {"mels": torch.from_numpy(clips.mels)}, times_s

    def encode(self, prepared: Prepared) -> Tensor:
        """Return float32 (N, F)."""
        return self._encoder.encode_prepared_sounds(prepared)


class WindowTower(SoundTower):
    """A sound tower over windows as long as it hears, spread so that nothing is left out."""

    sound: SoundMode = "mono"

    def __init__(self, encoder: SoundTextEncoder) -> None:
        self.name, self.revision = encoder.name, encoder.revision
        self.sound_rate_hz = encoder.sound_rate_hz
        self._encoder = encoder

    @property
    def dim(self) -> int:
        """Width F of a vector."""
        return self._encoder.dim

    def rule(self, spec: SamplingSpec) -> str:
        """Return how long a window is, and of which part of the file."""
        return _canonical({"sound_windows": {"window_s": self._encoder.window_s}, **_window(spec)})

    def prepare(self, clip: Clip, *, start_s: float) -> tuple[Prepared, list[float]]:
        """Cut the sound of one clip; the last window ends with it."""
        sound = _heard(clip, start_s=start_s)[0]
        rate_hz = self.sound_rate_hz
        if len(sound) < SHORTEST_S * rate_hz:
            length_ms = 1000 * len(sound) / rate_hz
            raise TooShortError(
                clip.source, f"its sound of {length_ms:.1f} ms is too short for {self.name}"
            )
        starts, length = cut_windows(len(sound), round(self._encoder.window_s * rate_hz))
        inputs = self._encoder.prepare_sounds([sound[at : at + length] for at in starts])
        return inputs, [start_s + (at + length / 2) / rate_hz for at in starts]

    def encode(self, prepared: Prepared) -> Tensor:
        """Return unit-norm float32 (N, F)."""
        return self._encoder.encode_prepared_sounds(prepared)


def as_tower(encoder: Encoder | ClipTower, *, patches: bool = False) -> ClipTower:
    """Return a tower as it is, or the tower of an encoder that a store is wanted of.

    Raises:
        TowerError: patches are wanted of something that has none.
    """
    if isinstance(encoder, SoundTextEncoder) and not patches:
        return WindowTower(encoder)
    if isinstance(encoder, ImageBindEncoder) and encoder.hears and not patches:
        return ImageBindTower(encoder)
    if isinstance(encoder, Encoder):
        return PictureTower(encoder, patches=patches)
    if patches:
        raise TowerError(f"patches of {encoder.name} cannot be had")
    return encoder


def cut_windows(num_samples: int, window: int) -> tuple[list[int], int]:
    """Return where windows start and how long they are, in samples.

    As few as cover the sound, spread evenly, the last one ending with it; a sound that is shorter
    than a window is one window of its length.

    >>> cut_windows(25, 10)
    ([0, 7, 15], 10)
    """
    count = math.ceil(num_samples / window)
    length = min(window, num_samples)
    return [k * (num_samples - length) // max(count - 1, 1) for k in range(count)], length


def _heard(clip: Clip, *, start_s: float) -> NDArray[np.float32]:
    """Return the sound (C, N) of the window that was asked for."""
    if clip.sound is None or clip.sound_rate_hz is None:
        raise NoStreamError(clip.source, f"has no sound to encode (its sound: {clip.sound_status})")
    return clip.sound[:, round(start_s * clip.sound_rate_hz) :]


def _window(spec: SamplingSpec) -> dict[str, float | None]:
    return {"start_s": spec.start_s, "end_s": spec.end_s}


def _canonical(values: dict[str, object]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"))
