"""Two-second mel pictures of a sound, as ImageBind and Video-LLaMA cut and draw them.

    sound (C, N) at 16 kHz  -->  K clips of 2 s  -->  mels (K, 1, 128, 204), normalised

K clips are spread evenly; they overlap in a short sound and leave gaps in a long one. Where they
start differs between the two systems, for they use two versions of one library:

    imagebind     step (D - 2) / (K - 1): the last clip ends with the sound
    video-llama   step (D - 2) / K: the last clip ends before it

A sound shorter than 2 s gives K equal clips of its whole length, padded. From each clip the mean
over all channels is subtracted in place, so that overlapping clips see what earlier ones left; then
channel 0 alone is drawn. Pads are zeros before the normalisation, thus .467 after it, louder than
silence (-1.278). All of that is as published.

Source: facebookresearch/ImageBind@53680b0, imagebind/data.py; pytorchvideo 6cdc929 and 0.1.5,
`ConstantClipsPerVideoSampler`; Video-LLaMA@64888c0, conversation_video.py (K = 8).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from textreel.media.mel import MelSpec, log_mel
from textreel.media.sound_pieces import Bounds, Piece, cut_sound

ClipRule = Literal["imagebind", "video-llama"]
RATE_HZ = 16_000
CLIP_S = 2
MEL_FRAMES = 204
MEAN, STD = -4.268, 9.138
"""Of AudioSet's log-mel energies, by which pictures are normalised."""
_MEL = MelSpec(rate_hz=RATE_HZ)


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundClipSpec:
    """How a sound is cut.

    Attributes:
        num_clips: K; ImageBind's own default is 3.
        rule: where clips start.
    """

    num_clips: int = 8
    rule: ClipRule = "video-llama"

    def __post_init__(self) -> None:
        if self.num_clips < 1 or self.rule not in get_args(ClipRule):
            raise ValueError(
                f"SoundClipSpec: num_clips={self.num_clips} must be at least 1, and "
                f"rule={self.rule!r} one of {', '.join(get_args(ClipRule))}"
            )

    @property
    def fingerprint(self) -> str:
        """Return a short name of both."""
        text = f"sound-clips {self.num_clips} {self.rule}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def bounds(self, num_samples: int, rate_hz: int) -> Bounds:
        """Return [start, stop) of each clip in samples, inside the sound."""
        seconds = clip_bounds(num_samples / rate_hz, self)
        return [(int(a * rate_hz), min(int(b * rate_hz), num_samples)) for a, b in seconds]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SoundClips:
    """The clips of one sound.

    Attributes:
        mels: float32 (K, 1, 128, 204), normalised.
        times_s: float64 (K,), the middle of each clip.
    """

    mels: NDArray[np.float32]
    times_s: NDArray[np.float64]


class ShortSoundError(ValueError):
    """A sound has not even one frame of 25 ms."""


def clip_bounds(duration_s: float, spec: SoundClipSpec) -> list[tuple[Fraction, Fraction]]:
    """Return [start, end) of each clip in seconds, exact; an end may lie behind the sound.

    >>> [int(start) for start, _ in clip_bounds(10.0, SoundClipSpec(num_clips=8))]
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    last = Fraction(max(duration_s - CLIP_S, 0))
    parts = spec.num_clips if spec.rule == "video-llama" else max(spec.num_clips - 1, 1)
    starts = [last / parts * k for k in range(spec.num_clips)]
    return [(start, start + CLIP_S) for start in starts]


def sound_clips(sound: NDArray[np.float32], spec: SoundClipSpec | None = None) -> SoundClips:
    """Cut and draw a sound.

    Args:
        sound: float32 (C, N) at 16 kHz, in [-1, 1].
        spec: how many clips, and where.

    Raises:
        ShortSoundError: less than one frame of 25 ms.
        ValueError: not (C, N).
    """
    spec = spec or SoundClipSpec()
    if sound.ndim != 2:
        raise ValueError(f"sound_clips takes a sound (C, N), got {sound.shape}")
    return draw_clips(cut_sound(sound, spec, rate_hz=RATE_HZ), spec)


def draw_clips(pieces: Sequence[Piece], spec: SoundClipSpec) -> SoundClips:
    """Draw the clips that a spec cuts, in order of time; they are left as they are.

    Args:
        pieces: all that `spec` cuts from a sound at 16 kHz, (C, n) each.
        spec: how they were cut.

    Raises:
        ShortSoundError: less than one frame of 25 ms.
    """
    total = pieces[0].total if pieces else 0
    if total < _MEL.frame:
        raise ShortSoundError(
            f"its sound of {1000 * total / RATE_HZ:.1f} ms is shorter than one frame of "
            f"{1000 * _MEL.frame_s:.0f} ms"
        )
    mels: list[NDArray[np.float32]] = []
    before, end = np.empty((1, 0), dtype=np.float32), 0
    for piece in pieces:
        clip = piece.samples.astype(np.float32)
        if (shared := min(end - piece.start, clip.shape[1])) > 0:
            at = before.shape[1] - (end - piece.start)
            clip[:, :shared] = before[:, at : at + shared]
        clip -= clip.mean(dtype=np.float64)  # later clips that overlap see it
        mels.append(_picture(clip[0]))
        before, end = clip, piece.start + clip.shape[1]
    return SoundClips(mels=np.stack(mels), times_s=clip_middles(total / RATE_HZ, spec))


def clip_middles(duration_s: float, spec: SoundClipSpec) -> NDArray[np.float64]:
    """Return the middle of each clip in seconds."""
    ends = Fraction(duration_s)
    return np.array([float(a + min(b, ends)) / 2 for a, b in clip_bounds(duration_s, spec)])


def _picture(channel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (1, 128, 204), padded with zeros or cut on the right, then normalised."""
    mel = log_mel(channel, _MEL).T[:, :MEL_FRAMES]
    padded = np.pad(mel, ((0, 0), (0, MEL_FRAMES - mel.shape[1])))
    return ((padded - MEAN) / STD).astype(np.float32)[None]
