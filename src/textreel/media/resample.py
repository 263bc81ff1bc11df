"""Changing a sound's rate with a windowed sinc, in numpy.

The filter is torchaudio's `sinc_interp_hann` (its defaults: 6 zero crossings, roll-off .99): with
base = min(rates) * rolloff, output sample m at time m / new reads input i at distance
t = (i / old - m / new) * base, clamped to +-6, with weight

    sin(pi t) / (pi t) * cos^2(pi t / 12) * base / old

Only new / gcd different phases exist, so the weights are a small table.

`media.resamplers` also offers FFmpeg's own. It is no faster: it takes two to four times as long
from 44.1 and 48 kHz, as long from 8 kHz, and differs by .04 to .4% of a sound's root mean square
(docs/LOG.md).
"""

from functools import cache
from math import ceil, gcd, pi

import numpy as np
from numpy.typing import NDArray

ZERO_CROSSINGS = 6
ROLLOFF = 0.99
BLOCK = 1 << 17
"""Input samples filtered at once."""


def resample(sound: NDArray[np.float32], rate_hz: int, target_hz: int) -> NDArray[np.float32]:
    """Return `sound` at another rate.

    Args:
        sound: float32 (C, N).
        rate_hz: its samples per second.
        target_hz: the samples per second wanted.

    Returns:
        float32 (C, ceil(N * target_hz / rate_hz)); `sound` itself where the rates are equal.

    Raises:
        ValueError: a rate is not above 0.
    """
    if rate_hz == target_hz:
        return sound
    stream = Resampler(rate_hz, target_hz, channels=len(sound))
    return np.concatenate([stream.push(sound), stream.finish()], axis=1)


class Resampler:
    """`resample` in pieces: any division of the input gives the same output, bit for bit."""

    def __init__(self, rate_hz: int, target_hz: int, *, channels: int) -> None:
        """Prepare for sound of `channels` channels at `rate_hz`."""
        if rate_hz <= 0 or target_hz <= 0:
            raise ValueError(f"rates must be above 0 Hz: {rate_hz} to {target_hz}")
        common = gcd(rate_hz, target_hz)
        self._old, self._new = rate_hz // common, target_hz // common
        self._starts, self._weights = _phases(self._old, self._new)
        lead = -int(self._starts[0])
        self._starts = self._starts + lead
        self._reach = int(self._starts[-1]) + self._weights.shape[1]
        self._waiting = [np.zeros((channels, lead), dtype=np.float32)]
        self._length = lead
        self._taken = self._given = 0

    def push(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take (C, N) more samples; return output that is certain now, (C, M), M often 0."""
        self._waiting.append(sound)
        self._taken += sound.shape[1]
        self._length += sound.shape[1]
        blocks = max(0, (self._length - self._reach) // self._old + 1)
        return self._filter(blocks if blocks * self._old >= BLOCK else 0)

    def finish(self) -> NDArray[np.float32]:
        """Return the rest, as if silence followed."""
        left = ceil(self._taken * self._new / self._old) - self._given
        blocks = ceil(left / self._new)
        missing = max(0, self._reach + (blocks - 1) * self._old - self._length)
        self._waiting.append(np.zeros((len(self._waiting[0]), missing), dtype=np.float32))
        self._length += missing
        return self._filter(blocks)[:, :left]

    def _filter(self, blocks: int) -> NDArray[np.float32]:
        """Compute `blocks` x new output samples and drop the input no longer needed."""
        channels, taps = len(self._waiting[0]), self._weights.shape[1]
        out = np.empty((channels, blocks, self._new), dtype=np.float32)
        if blocks:
            data = np.concatenate(self._waiting, axis=1, dtype=np.float32)
            last = (blocks - 1) * self._old + taps
            for phase, start in enumerate(self._starts):
                windows = np.lib.stride_tricks.sliding_window_view(
                    data[:, start : start + last], taps, axis=1
                )
                out[:, :, phase] = np.einsum(
                    "cbt,t->cb", windows[:, :: self._old], self._weights[phase]
                )
            self._waiting = [data[:, blocks * self._old :]]
            self._length -= blocks * self._old
            self._given += blocks * self._new
        return out.reshape(channels, blocks * self._new)


@cache
def _phases(old: int, new: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return where each phase's taps start, (new,), relative to its block, and its weights."""
    base = min(old, new) * ROLLOFF
    half = ZERO_CROSSINGS * old / base
    centres = np.arange(new) * (old / new)
    starts = np.ceil(centres - half).astype(np.int64)
    taps = np.arange(int(2 * half) + 2)
    t = (starts[:, None] + taps - centres[:, None]) * (base / old)
    t = np.clip(t, -ZERO_CROSSINGS, ZERO_CROSSINGS)
    weights = np.sinc(t) * np.cos(pi * t / (2 * ZERO_CROSSINGS)) ** 2 * (base / old)
    return starts, weights.astype(np.float32)
