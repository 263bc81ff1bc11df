"""The two resamplers that a `SamplingSpec` names: ours, and FFmpeg's.

    sinc      our windowed sinc, `media.resample`, the filter ImageBind's features were made with
    ffmpeg    FFmpeg's swresample with its own settings, through PyAV

They differ by .04 to .4% of a sound's root mean square, at no shift, so features of the two are
not the same features. FFmpeg's was measured no faster (docs/LOG.md): it is there for who must
repeat what another program made with it.

Both give ceil(N * target / rate) samples, whatever pieces the sound comes in. FFmpeg's own count is
one off at some lengths: a missing last sample is zero, one too many is left out.
"""

from math import ceil
from typing import Protocol

import av
import numpy as np
from numpy.typing import NDArray

from textreel.media.resample import Resampler, resample
from textreel.media.sampling import ResamplerName

__all__ = ["FFmpegResampler", "SoundResampler", "open_resampler", "resample_by"]


class SoundResampler(Protocol):
    """Changes the rate of a sound that comes in pieces."""

    def push(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take (C, N) more samples; return output that is certain now, (C, M), M often 0."""

    def finish(self) -> NDArray[np.float32]:
        """Return the rest, as if silence followed."""


def open_resampler(
    name: ResamplerName, rate_hz: int, target_hz: int, *, channels: int
) -> SoundResampler:
    """Return a fresh resampler for sound of `channels` channels at `rate_hz`.

    Raises:
        ValueError: a rate is not above 0.
    """
    kind = FFmpegResampler if name == "ffmpeg" else Resampler
    return kind(rate_hz, target_hz, channels=channels)


def resample_by(
    name: ResamplerName, sound: NDArray[np.float32], rate_hz: int, target_hz: int
) -> NDArray[np.float32]:
    """Return `sound`, float32 (C, N), at another rate; see `resample`."""
    if name == "sinc" or rate_hz == target_hz:
        return resample(sound, rate_hz, target_hz)
    stream = FFmpegResampler(rate_hz, target_hz, channels=len(sound))
    return np.concatenate([stream.push(sound), stream.finish()], axis=1)


class FFmpegResampler:
    """FFmpeg's resampler, one for each channel, so that any number of channels is no matter."""

    def __init__(self, rate_hz: int, target_hz: int, *, channels: int) -> None:
        """Prepare for sound of `channels` channels at `rate_hz`."""
        if rate_hz <= 0 or target_hz <= 0:
            raise ValueError(f"FFmpeg's resampler needs rates above 0 Hz: {rate_hz}, {target_hz}")
        self._rate_hz, self._target_hz = rate_hz, target_hz
        self._channels = [
            av.AudioResampler(format="fltp", layout="mono", rate=target_hz) for _ in range(channels)
        ]
        self._taken = self._given = 0

    def push(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take (C, N) more samples; return what came out, (C, M)."""
        if not sound.shape[1]:
            return sound
        rows = []
        for channel, samples in zip(self._channels, sound, strict=True):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), "fltp", "mono")
            frame.sample_rate, frame.pts = self._rate_hz, self._taken
            rows.append(_joined(channel.resample(frame)))
        self._taken += sound.shape[1]
        return self._counted(np.stack(rows))

    def finish(self) -> NDArray[np.float32]:
        """Return the rest, as if silence followed."""
        if not self._taken:
            return np.empty((len(self._channels), 0), dtype=np.float32)
        rest = self._counted(np.stack([_joined(one.resample(None)) for one in self._channels]))
        missing = self._length - self._given
        self._given += missing
        return np.pad(rest, ((0, 0), (0, missing)))

    @property
    def _length(self) -> int:
        """Samples of output that the samples taken so far make."""
        return ceil(self._taken * self._target_hz / self._rate_hz)

    def _counted(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        sound = sound[:, : self._length - self._given]
        self._given += sound.shape[1]
        return sound


def _joined(frames: list[av.AudioFrame]) -> NDArray[np.float32]:
    pieces = [np.empty(0, dtype=np.float32), *(frame.to_ndarray()[0] for frame in frames)]
    return np.concatenate(pieces)
