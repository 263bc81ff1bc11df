"""Clip times and mel pictures; what published code computes: tests/parity/test_imagebind_mel.py."""

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from textreel.media.mel import log_mel
from textreel.media.sound_clips import (
    MEAN,
    STD,
    ShortSoundError,
    SoundClipSpec,
    clip_bounds,
    draw_clips,
    sound_clips,
)


def silence(seconds: float, channels: int = 1) -> np.ndarray:
    return np.zeros((channels, round(16_000 * seconds)), np.float32)


def test_two_seconds_of_silence_are_the_floor_and_louder_pads() -> None:
    mel = sound_clips(silence(2), SoundClipSpec(num_clips=1)).mels
    assert mel.shape == (1, 1, 128, 204) and mel.dtype == np.float32
    assert np.allclose(mel[..., :198], -1.2776, atol=5e-5)
    assert np.allclose(mel[..., 198:], 0.46706, atol=5e-6)


def test_ten_seconds_in_eight_clips_start_as_either_library_says() -> None:
    starts = [start for start, _ in clip_bounds(10.0, SoundClipSpec(rule="video-llama"))]
    assert starts == [0, 1, 2, 3, 4, 5, 6, 7]
    starts = [start for start, _ in clip_bounds(10.0, SoundClipSpec(rule="imagebind"))]
    assert starts == [Fraction(8, 7) * k for k in range(8)] and starts[-1] == 8
    assert clip_bounds(10.0, SoundClipSpec(num_clips=1, rule="imagebind")) == [(0, 2)]


def test_a_short_sound_gives_equal_clips_of_its_whole_length() -> None:
    clips = sound_clips(silence(1.3), SoundClipSpec(num_clips=3))
    assert clips.times_s.tolist() == [0.65] * 3
    assert (clips.mels[0] == clips.mels[2]).all()
    frames = 1 + (20_800 - 400) // 160
    assert np.allclose(clips.mels[..., frames:], 4.268 / 9.138)


def test_times_are_the_middles_of_the_clips() -> None:
    clips = sound_clips(silence(10), SoundClipSpec(num_clips=5, rule="imagebind"))
    assert clips.times_s.tolist() == [1, 3, 5, 7, 9]


def test_only_the_first_channel_is_heard_but_all_set_the_mean() -> None:
    tone = np.sin(np.arange(32_000) / 5).astype(np.float32)
    noise = np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    noise -= noise.mean()
    alone = sound_clips(tone[None] - tone.mean(), SoundClipSpec(num_clips=1)).mels
    both = sound_clips(np.stack([tone - tone.mean(), noise]), SoundClipSpec(num_clips=1)).mels
    swapped = sound_clips(np.stack([noise, tone - tone.mean()]), SoundClipSpec(num_clips=1)).mels
    assert np.abs(both - alone).max() < 1e-3
    assert np.abs(swapped - alone).max() > 0.5


@pytest.mark.parametrize("seconds", [1.3, 2.0, 5.0, 10.0, 17.9, 18.0, 25.0])
@pytest.mark.parametrize("rule", ["imagebind", "video-llama"])
def test_clips_that_overlap_see_what_earlier_ones_left_in_place(seconds, rule) -> None:
    spec = SoundClipSpec(rule=rule)
    sound = np.random.default_rng(0).standard_normal((2, round(16_000 * seconds))) / 5 + 0.1
    work = sound.astype(np.float32)
    for mel, (start, end) in zip(
        sound_clips(work.copy(), spec).mels, clip_bounds(seconds, spec), strict=True
    ):
        clip = work[:, int(start * 16_000) : int(end * 16_000)]
        clip -= clip.mean(dtype=np.float64)
        drawn = log_mel(clip[0]).T
        assert np.array_equal(
            mel[0, :, : drawn.shape[1]], ((drawn - MEAN) / STD).astype(np.float32)
        )


def test_no_pieces_are_a_short_sound() -> None:
    with pytest.raises(ShortSoundError, match=r"its sound of 0\.0 ms is shorter than one frame"):
        draw_clips([], SoundClipSpec())


def test_the_caller_keeps_his_sound() -> None:
    sound = np.full((1, 32_000), 0.5, np.float32)
    sound_clips(sound)
    assert (sound == 0.5).all()


def test_clips_of_a_long_sound_are_cut_without_a_copy_of_the_whole() -> None:
    sound = np.random.default_rng(0).standard_normal((2, 120 * 16_000)).astype(np.float32)
    before = sound.copy()
    tracemalloc.start()
    clips = sound_clips(sound, SoundClipSpec(num_clips=8))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(sound, before) and peak < sound.nbytes / 2
    assert clips.times_s.tolist() == [14.75 * k + 1 for k in range(8)]
    for k, mel in enumerate(clips.mels):
        start = int(14.75 * k * 16_000)
        alone = sound_clips(sound[:, start : start + 32_000], SoundClipSpec(num_clips=1)).mels[0]
        assert np.array_equal(mel, alone)


def test_a_sound_below_one_frame_is_refused_with_its_length() -> None:
    sound_clips(silence(0.025))
    with pytest.raises(ShortSoundError, match=r"its sound of 24.9 ms is shorter than one frame of"):
        sound_clips(silence(0.025)[:, 1:])
    with pytest.raises(ValueError, match=r"sound_clips takes a sound \(C, N\), got \(32000,\)"):
        sound_clips(silence(2)[0])


def test_settings_without_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="num_clips=0 must be at least 1"):
        SoundClipSpec(num_clips=0)
    with pytest.raises(ValueError, match="'ours' one of imagebind, video-llama"):
        SoundClipSpec(rule="ours")
    assert SoundClipSpec().fingerprint != SoundClipSpec(rule="imagebind").fingerprint
