import numpy as np
import pytest

from textreel.media.mel import ENERGY_FLOOR, MelSpec, log_mel

MEAN, STD, LENGTH = -4.268, 9.138, 204  # ImageBind's


def picture(sound: np.ndarray) -> np.ndarray:
    """ImageBind's input: (mels, time), padded with zeros before it is normalised."""
    mel = log_mel(sound).T[:, :LENGTH]
    return (np.pad(mel, ((0, 0), (0, LENGTH - mel.shape[1]))) - MEAN) / STD


def test_two_seconds_give_198_frames_of_128() -> None:
    assert log_mel(np.zeros(32000, np.float32)).shape == (198, 128)


def test_silence_is_the_floor_everywhere() -> None:
    assert np.allclose(log_mel(np.zeros(800, np.float32)), np.log(ENERGY_FLOOR))
    silent = picture(np.zeros(32000, np.float32))
    assert np.allclose(silent[:, :198], -1.2776, atol=1e-4)
    assert np.allclose(silent[:, 198:], 0.46706, atol=1e-4)


def test_a_tone_peaks_in_its_filter_and_the_fourth_filter_is_empty() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32)
    mel = log_mel(tone)
    step = (1127 * np.log1p(8000 / 700) - 1127 * np.log1p(20 / 700)) / 129
    nearest = round((1127 * np.log1p(1000 / 700) - 1127 * np.log1p(20 / 700)) / step) - 1
    assert abs(int(mel[10].argmax()) - nearest) <= 1
    assert np.allclose(mel[:, 3], np.log(ENERGY_FLOOR))


def test_a_tenth_of_the_sound_is_log_100_less() -> None:
    sound = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    quiet = log_mel(sound / 10)
    difference = log_mel(sound) - quiet
    kept = (quiet > np.log(ENERGY_FLOOR) + 0.1).all(axis=0)
    assert kept.sum() > 120
    assert np.allclose(difference[:, kept], np.log(100), atol=1e-3)


def test_settings_that_make_no_picture_are_refused() -> None:
    with pytest.raises(ValueError, match=r"0 <= low_hz=9000 < high_hz=None <= 8000.0 must hold"):
        MelSpec(low_hz=9000)
    with pytest.raises(ValueError, match="must give at least one filter and two samples"):
        MelSpec(num_mels=0)


def test_sound_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"log_mel takes one channel \(N,\), got \(1, 800\)"):
        log_mel(np.zeros((1, 800), np.float32))
    with pytest.raises(ValueError, match="399 samples are less than one frame of 400"):
        log_mel(np.zeros(399, np.float32))
