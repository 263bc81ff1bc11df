"""What a store's features are made with: one tower of an encoder, and how a clip is given to it.

    frames, or a sound  --prepare-->  inputs (N, ...)  --encode-->  (N, F) or (N, P, F)

    PictureTower        frames         one vector each, or one per patch, or BLIP-2's 32
    ImageBindTower      sound          K clips of two seconds, spread evenly
    WindowTower         sound          windows as long as the encoder hears (CLAP: 10 s), touching

A sound comes in pieces, so that an hour of it is never in memory at once: a tower says by its
`cutting` which ones it hears, and whether it takes them `apart` or all together.

A file without a usable sound is a `MediaError`, like any other file that cannot be read.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textreel.features.errors import TowerError
from textreel.media.clip import Clip
from textreel.media.cutting import Cutting
from textreel.media.errors import NoStreamError, TooShortError
from textreel.media.sampling import SamplingSpec
from textreel.media.sound import SoundMode
from textreel.media.sound_clips import ShortSoundError, SoundClipSpec, draw_clips
from textreel.media.sound_pieces import Piece, TouchingWindows, cut_sound
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

    def prepare_some(self, frames: NDArray[np.uint8], *, clip: str, still: bool) -> Prepared:
        """Return the inputs that frames of one clip make, all of them or a part.

        Args:
            frames: uint8 (N, 3, H, W).
            clip: its id.
            still: whether it has no other frame.

        Raises:
            TowerError: it is no tower for pictures.
        """
        return self.prepare_frames(frames)

    @abstractmethod
    def encode(self, prepared: Prepared) -> Tensor:
        """Return float32 (N, F) or (N, P, F)."""


class SoundTower(ClipTower):
    """A tower that hears.

    Attributes:
        sound: what of a file's sound must be decoded.
        sound_rate_hz: at which rate.
        apart: whether it hears each piece by itself, so that a few of a long sound will do.
    """

    modality: Modality = "sound"
    sound: SoundMode
    sound_rate_hz: int
    apart = False

    @property
    @abstractmethod
    def cutting(self) -> Cutting:
        """Which pieces of a sound it hears."""

    @abstractmethod
    def prepare_pieces(
        self, pieces: Sequence[Piece], *, source: str, start_s: float
    ) -> tuple[Prepared, list[float]]:
        """Return the inputs that pieces make, and the time of each row in seconds; on the CPU.

        Args:
            pieces: all that `cutting` cuts from a sound, or, of a tower that hears them `apart`,
                some.
            source: the file, for messages.
            start_s: the time of sample 0.

        Raises:
            TooShortError: the sound is too short.
        """

    def prepare(self, clip: Clip, *, start_s: float) -> tuple[Prepared, list[float]]:
        """Return the inputs that a sound in memory makes, and the time of each row.

        Raises:
            MediaError: the clip has no sound, or too short a one.
        """
        if clip.sound is None or clip.sound_rate_hz is None:
            raise no_sound(clip)
        sound = clip.sound[:, round(start_s * clip.sound_rate_hz) :]
        pieces = cut_sound(sound, self.cutting.rule, rate_hz=self.sound_rate_hz)
        return self.prepare_pieces(pieces, source=clip.source, start_s=start_s)

    def check_length(self, pieces: Sequence[Piece], shortest: float, *, source: str) -> None:
        """Refuse a sound of fewer than `shortest` samples.

        Raises:
            TooShortError: naming its length.
        """
        total = pieces[0].total if pieces else 0
        if total < shortest:
            length_ms = 1000 * total / self.sound_rate_hz
            raise TooShortError(
                source, f"its sound of {length_ms:.1f} ms is too short for {self.name}"
            )

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
        return _canonical({"sound_clips": own, **heard_part(spec)})

    @property
    def cutting(self) -> Cutting:
        """All channels of K clips."""
        return Cutting(mode=self.sound, rate_hz=self.sound_rate_hz, rule=self._clips)

    def prepare_pieces(
        self, pieces: Sequence[Piece], *, source: str, start_s: float
    ) -> tuple[Prepared, list[float]]:
        """Draw the clips of one sound; those that overlap see what earlier ones left."""
        try:
            clips = draw_clips(pieces, self._clips)
        except ShortSoundError as error:
            raise TooShortError(source, str(error)) from error
        times_s = (clips.times_s + start_s).tolist()
        return {"mels": torch.from_numpy(clips.mels)}, times_s

    def encode(self, prepared: Prepared) -> Tensor:
        """Return float32 (N, F)."""
        return self._encoder.encode_prepared_sounds(prepared)


class WindowTower(SoundTower):
    """A sound tower over windows as long as it hears, spread so that nothing is left out."""

    sound: SoundMode = "mono"
    apart = True

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
        return _canonical(
            {"sound_windows": {"window_s": self._encoder.window_s}, **heard_part(spec)}
        )

    @property
    def cutting(self) -> Cutting:
        """Windows that cover the sound, the last one ending with it."""
        rule = TouchingWindows(window_s=self._encoder.window_s)
        return Cutting(mode=self.sound, rate_hz=self.sound_rate_hz, rule=rule)

    def prepare_pieces(
        self, pieces: Sequence[Piece], *, source: str, start_s: float
    ) -> tuple[Prepared, list[float]]:
        """Draw some windows."""
        self.check_length(pieces, SHORTEST_S * self.sound_rate_hz, source=source)
        inputs = self._encoder.prepare_sounds([piece.samples[0] for piece in pieces])
        middles = [piece.start + piece.samples.shape[1] / 2 for piece in pieces]
        return inputs, [start_s + middle / self.sound_rate_hz for middle in middles]

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


def no_sound(clip: Clip) -> NoStreamError:
    """Return the error of a clip without a sound to hear."""
    return NoStreamError(clip.source, f"has no sound to encode (its sound: {clip.sound_status})")


def heard_part(spec: SamplingSpec) -> dict[str, float | str | None]:
    """Return what of a sampling rule matters to a tower that hears; our resampler goes unsaid."""
    part: dict[str, float | str | None] = {"start_s": spec.start_s, "end_s": spec.end_s}
    return part if spec.resampler == "sinc" else part | {"resampler": spec.resampler}


def _canonical(values: dict[str, object]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"))
