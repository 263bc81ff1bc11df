from math import ceil, gcd, pi

import av
import numpy as np
import pytest

from textreel.media import resample as module
from textreel.media.resample import Resampler, resample


def by_the_formula(sound: np.ndarray, old: int, new: int) -> np.ndarray:
    """torchaudio's dense kernel, in float64."""
    common = gcd(old, new)
    old, new = old // common, new // common
    base = min(old, new) * 0.99
    width = ceil(6 * old / base)
    i = np.arange(-width, width + old) / old
    t = np.clip((i[None] - np.arange(new)[:, None] / new) * base, -6, 6)
    kernel = np.sinc(t) * np.cos(pi * t / 12) ** 2 * base / old
    padded = np.pad(sound.astype(np.float64), ((0, 0), (width, width + old)))
    blocks = (padded.shape[1] - kernel.shape[1]) // old + 1
    rows = [padded[:, b * old : b * old + kernel.shape[1]] @ kernel.T for b in range(blocks)]
    return np.concatenate(rows, axis=1)[:, : ceil(new * sound.shape[1] / old)]


@pytest.mark.parametrize(("old", "new"), [(44100, 16000), (48000, 16000), (8000, 16000), (3, 2)])
@pytest.mark.parametrize("length", [1, 7, 1000])
def test_it_is_the_published_formula(old, new, length) -> None:
    sound = np.random.default_rng(0).standard_normal((2, length)).astype(np.float32)
    wanted = by_the_formula(sound, old, new)
    assert resample(sound, old, new).shape == wanted.shape
    assert np.allclose(resample(sound, old, new), wanted, atol=1e-5)


def test_a_tone_stays_a_tone() -> None:
    def tone(rate_hz: int) -> np.ndarray:
        return np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz).astype(np.float32)[None]

    error = np.abs(resample(tone(44100), 44100, 16000) - tone(16000))[:, 100:-100]
    assert error.max() < 2e-3


def test_equal_rates_change_nothing() -> None:
    sound = np.ones((1, 5), np.float32)
    assert resample(sound, 16000, 16000) is sound


def test_pieces_give_the_whole_bit_for_bit(monkeypatch) -> None:
    sound = np.random.default_rng(1).standard_normal((1, 9000)).astype(np.float32)
    whole = resample(sound, 44100, 16000)
    monkeypatch.setattr(module, "BLOCK", 1000)
    for size in (37, 441, 5000):
        stream = Resampler(44100, 16000, channels=1)
        pieces = [stream.push(sound[:, i : i + size]) for i in range(0, 9000, size)]
        assert size == 5000 or sum(piece.shape[1] > 0 for piece in pieces) > 3
        assert np.array_equal(np.concatenate([*pieces, stream.finish()], axis=1), whole)


def test_no_sound_gives_no_sound() -> None:
    assert resample(np.zeros((2, 0), np.float32), 8000, 16000).shape == (2, 0)


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="rates must be above 0 Hz: 0 to 16000"):
        resample(np.zeros((1, 4), np.float32), 0, 16000)


def test_the_stated_difference_from_ffmpegs_resampler() -> None:
    sound = (0.2 * np.random.default_rng(0).standard_normal((1, 44_100))).astype(np.float32)
    sound = resample(resample(sound, 44_100, 8_000), 8_000, 44_100)  # nothing above 4 kHz
    frame = av.AudioFrame.from_ndarray(sound, "fltp", "mono")
    frame.sample_rate = 44_100
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=16_000)
    pieces = [out.to_ndarray()[0] for given in (frame, None) for out in resampler.resample(given)]
    theirs = np.concatenate(pieces)
    ours = resample(sound, 44_100, 16_000)[0, : len(theirs)]
    difference, loudness = np.std(ours - theirs), np.std(ours)
    assert len(theirs) in (15_999, 16_000) and 1e-5 < difference / loudness < 0.004
