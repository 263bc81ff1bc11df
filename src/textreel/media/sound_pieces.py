"""Pieces of a sound, as towers hear it: where they lie, and how they are cut.

a sound of N samples  --rule.bounds(N, rate_hz)-->  [start, stop) of each piece
sound (C, N)          --cut_sound-->                pieces (C, n), views, in order of time

A piece carries where it lies and how long the whole is, so that its time can be told.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Bounds = list[tuple[int, int]]
"""[start, stop) of each piece in samples, ascending, inside the sound."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Piece:
    """A part of a sound.

    Attributes:
        samples: float32 (C, n).
        start: its first sample, counted from where the listening starts.
        total: samples of the whole sound from there on.
    """

    samples: NDArray[np.float32]
    start: int
    total: int


TakePiece = Callable[[Piece], None]


class CutRule(Protocol):
    """Where the pieces of a sound lie."""

    def bounds(self, num_samples: int, rate_hz: int) -> Bounds:
        """Return the bounds of each piece of a sound of so many samples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TouchingWindows:
    """Windows that leave nothing out: as few as cover the sound, spread evenly.

    Attributes:
        window_s: length of one, in seconds.
    """

    window_s: float

    def bounds(self, num_samples: int, rate_hz: int) -> Bounds:
        """Return the windows' bounds; see `cut_windows`."""
        starts, length = cut_windows(num_samples, round(self.window_s * rate_hz))
        return [(start, start + length) for start in starts]


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


def cut_sound(sound: NDArray[np.float32], rule: CutRule, *, rate_hz: int) -> list[Piece]:
    """Return the pieces of a sound, float32 (C, N), that is in memory; nothing is copied."""
    total = sound.shape[1]
    return [
        Piece(samples=sound[:, start:stop], start=start, total=total)
        for start, stop in rule.bounds(total, rate_hz)
    ]
