from dataclasses import replace
from math import ceil

import numpy as np
import pytest

from tests.media import traps
from textreel.media.decode import read_clip
from textreel.media.resample import Resampler, resample
from textreel.media.resamplers import FFmpegResampler, open_resampler, resample_by
from textreel.media.sampling import SamplingError, SamplingSpec


def noise(length: int, channels: int = 1) -> np.ndarray:
    return (0.2 * np.random.default_rng(0).standard_normal((channels, length))).astype(np.float32)


@pytest.mark.parametrize("rates", [(44_100, 16_000), (48_000, 16_000), (8_000, 16_000)])
def test_pieces_give_the_whole_of_ffmpegs_resampler_bit_for_bit(rates: tuple[int, int]) -> None:
    sound = noise(9_000, channels=2)
    whole = resample_by("ffmpeg", sound, *rates)
    for size in (37, 441, 5_000):
        stream = FFmpegResampler(*rates, channels=2)
        pieces = [stream.push(sound[:, i : i + size]) for i in range(0, 9_000, size)]
        assert np.array_equal(np.concatenate([*pieces, stream.finish()], axis=1), whole)


@pytest.mark.parametrize("length", [0, 1, 2, 7, 440, 441, 442, 44_099, 44_100])
def test_both_give_as_many_samples(length: int) -> None:
    for rates in ((44_100, 16_000), (8_000, 44_100)):
        for name in ("sinc", "ffmpeg"):
            found = resample_by(name, noise(length, channels=3), *rates)
            assert found.dtype == np.float32
            assert found.shape == (3, ceil(length * rates[1] / rates[0]))


def test_they_differ_a_little_at_no_shift() -> None:
    low = resample(resample(noise(44_100), 44_100, 8_000), 8_000, 44_100)  # nothing above 4 kHz
    ours, theirs = (resample_by(name, low, 44_100, 16_000) for name in ("sinc", "ffmpeg"))
    assert 1e-5 < np.std(ours - theirs) / np.std(ours) < 0.004


def test_equal_rates_need_no_resampler() -> None:
    sound = noise(5)
    assert resample_by("ffmpeg", sound, 16_000, 16_000) is sound
    assert isinstance(open_resampler("sinc", 8_000, 16_000, channels=1), Resampler)
    with pytest.raises(ValueError, match="resampler needs rates above 0 Hz: 8000, 0"):
        open_resampler("ffmpeg", 8_000, 0, channels=1)


def test_the_rule_says_which_and_the_default_goes_unsaid() -> None:
    ours, theirs = SamplingSpec(), SamplingSpec(resampler="ffmpeg")
    assert "resampler" not in ours.to_dict() and theirs.to_dict()["resampler"] == "ffmpeg"
    assert ours.fingerprint == "905b33bb45196182"  # of stores that were filled before
    assert theirs.fingerprint != ours.fingerprint
    for spec in (ours, theirs):
        assert SamplingSpec.from_json(spec.to_json()) == spec
    with pytest.raises(SamplingError, match="unknown resampler 'linear'") as caught:
        SamplingSpec(resampler="linear")  # type: ignore[arg-type]
    assert caught.value.hint == "one of sinc, ffmpeg"


def test_a_files_sound_is_resampled_as_the_rule_says(tmp_path) -> None:
    path, spec = traps.wave(tmp_path), SamplingSpec(num_frames=1)
    ours, theirs = (
        read_clip(path, replace(spec, resampler=name), sound="all").sound
        for name in ("sinc", "ffmpeg")
    )
    own = read_clip(path, sound="all", sound_rate_hz=None).sound
    assert np.array_equal(ours, resample(own, 8_000, 16_000))
    assert np.array_equal(theirs, resample_by("ffmpeg", own, 8_000, 16_000))
    assert not np.array_equal(ours, theirs)
