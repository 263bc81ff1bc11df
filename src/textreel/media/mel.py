"""Log-mel pictures of sound, as Kaldi's `fbank` draws them and ImageBind reads them.

Per frame of 25 ms, every 10 ms: subtract the frame's mean; pre-emphasis x[n] - .97 x[n - 1], with
x[-1] := x[0]; symmetric Hann window; zero-pad to a power of two; |rfft|^2; triangular filters with
equal steps on the scale 1127 ln(1 + f / 700), not normalised by area, the Nyquist bin left out;
natural logarithm, with energies of at least 1.19e-7 (float32's epsilon). No dither.

Only whole frames count (Kaldi's `snip_edges`): 2 s at 16 kHz give 198 frames. At 128 filters the
fourth one catches no bin and is constant; that is as published.

Source: torchaudio `compliance.kaldi.fbank`, called by facebookresearch/ImageBind, data.py.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

ENERGY_FLOOR = 1.1920928955078125e-07
PRE_EMPHASIS = 0.97


@dataclass(frozen=True, kw_only=True, slots=True)
class MelSpec:
    """Shape of a log-mel picture. The defaults are ImageBind's.

    Attributes:
        rate_hz: samples per second of the sound.
        num_mels: number of filters.
        frame_s: length of a frame in seconds.
        hop_s: distance of frames in seconds.
        low_hz: where the first filter starts.
        high_hz: where the last filter ends; half of `rate_hz` where None.
    """

    rate_hz: int = 16_000
    num_mels: int = 128
    frame_s: float = 0.025
    hop_s: float = 0.010
    low_hz: float = 20.0
    high_hz: float | None = None

    def __post_init__(self) -> None:
        top_hz = self.rate_hz / 2
        if not 0 <= self.low_hz < (self.high_hz or top_hz) <= top_hz:
            raise ValueError(
                f"MelSpec: 0 <= low_hz={self.low_hz} < high_hz={self.high_hz} <= {top_hz} must hold"
            )
        if self.num_mels < 1 or self.hop < 1 or self.frame < 2:
            raise ValueError(
                f"MelSpec: num_mels={self.num_mels}, frame_s={self.frame_s} and "
                f"hop_s={self.hop_s} must give at least one filter and two samples per frame"
            )

    @property
    def frame(self) -> int:
        """Samples per frame."""
        return int(self.rate_hz * self.frame_s)

    @property
    def hop(self) -> int:
        """Samples between frames."""
        return int(self.rate_hz * self.hop_s)

    @property
    def fft(self) -> int:
        """Length of the Fourier transform: the next power of two."""
        return 1 << (self.frame - 1).bit_length()

    def num_frames(self, num_samples: int) -> int:
        """Return how many whole frames fit into `num_samples` samples."""
        return max(0, 1 + (num_samples - self.frame) // self.hop)


def log_mel(sound: NDArray[np.float32], spec: MelSpec | None = None) -> NDArray[np.float32]:
    """Draw one channel of sound.

    Args:
        sound: float32 (N,), one channel, at `spec.rate_hz`. The scale matters: ImageBind wants
            [-1, 1], BEATs and Kaldi itself want it multiplied by 32768.
        spec: the picture's shape.

    Returns:
        float32 (frames, num_mels), natural logarithm of energies.

    Raises:
        ValueError: `sound` is not one channel, or is shorter than one frame.
    """
    spec = spec or MelSpec()
    if sound.ndim != 1:
        raise ValueError(f"log_mel takes one channel (N,), got {sound.shape}")
    if len(sound) < spec.frame:
        raise ValueError(
            f"{len(sound)} samples are less than one frame of {spec.frame} "
            f"({spec.frame_s} s at {spec.rate_hz} Hz)"
        )
    frames = np.lib.stride_tricks.sliding_window_view(sound.astype(np.float64), spec.frame)
    frames = frames[:: spec.hop]
    frames = frames - frames.mean(axis=1, keepdims=True)
    previous = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    frames = (frames - PRE_EMPHASIS * previous) * np.hanning(spec.frame)
    power = np.abs(np.fft.rfft(frames, n=spec.fft)) ** 2
    energy = power[:, :-1] @ _filters(spec).T
    return np.log(np.maximum(energy, ENERGY_FLOOR)).astype(np.float32)


def _mel(frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1127.0 * np.log1p(frequency_hz / 700.0)


@cache
def _filters(spec: MelSpec) -> NDArray[np.float64]:
    """Return the weights (num_mels, fft / 2) of the bins below the Nyquist frequency."""
    low, high = _mel(np.array([spec.low_hz, spec.high_hz or spec.rate_hz / 2]))
    step = (high - low) / (spec.num_mels + 1)
    left = low + step * np.arange(spec.num_mels)[:, None]
    bins = _mel(np.arange(spec.fft // 2) * spec.rate_hz / spec.fft)
    up, down = (bins - left) / step, (left + 2 * step - bins) / step
    return np.maximum(0.0, np.minimum(up, down))
