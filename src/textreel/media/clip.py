"""`Clip`: frames and sound on one clock in seconds. The one type every source of video becomes."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SoundStatus = Literal["used", "unused", "absent", "silent", "undecodable"]
"""What became of a file's sound. `unused`: there is sound, but nobody asked for it (or the run
that answers has no ear)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Clip:
    """Frames and sound of one video, on one clock.

    Attributes:
        frames: uint8 (T, 3, H, W), RGB; T may be 0 (a sound file) or less than asked for (a short
            file).
        frame_times_s: float64 (T,), the time of each frame in seconds from the start of the file's
            clock (the first frame shown is at 0), ascending.
        sound: float32 (C, N) in [-1, 1] at `sound_rate_hz`, or None.
        sound_rate_hz: samples per second of `sound`, or None.
        sound_status: what became of the file's sound.
        duration_s: length in seconds.
        source: where it came from, for messages.
    """

    frames: NDArray[np.uint8]
    frame_times_s: NDArray[np.float64]
    duration_s: float
    source: str
    sound: NDArray[np.float32] | None = None
    sound_rate_hz: int | None = None
    sound_status: SoundStatus = "absent"

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[1] != 3 or self.frames.dtype != np.uint8:
            raise ValueError(
                f"Clip of {self.source}: frames must be uint8 (T, 3, H, W), "
                f"got {self.frames.dtype} {self.frames.shape}"
            )
        if len(self.frames) != len(self.frame_times_s):
            raise ValueError(
                f"Clip of {self.source}: {len(self.frames)} frames but "
                f"{len(self.frame_times_s)} times"
            )
        if (self.sound is None) != (self.sound_rate_hz is None):
            raise ValueError(f"Clip of {self.source}: sound and sound_rate_hz go together")
        if self.sound is not None and self.sound.ndim != 2:
            raise ValueError(f"Clip of {self.source}: sound must be (C, N), got {self.sound.shape}")

    def __repr__(self) -> str:
        sound = "none" if self.sound is None else f"{self.sound.shape} at {self.sound_rate_hz} Hz"
        return (
            f"Clip({self.source!r}, frames={self.frames.shape}, {self.duration_s:.3f} s, "
            f"sound={sound}, sound_status={self.sound_status!r})"
        )
