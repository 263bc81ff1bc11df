import numpy as np
import pytest

from tests.media import traps
from textreel.media import decode, sound
from textreel.media.decode import decode_clip, read_clip
from textreel.media.errors import TooMuchSoundError
from textreel.media.sampling import SamplingSpec


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("traps")


def test_sound_is_skipped_mixed_or_kept(folder) -> None:
    path = traps.wave(folder)
    assert read_clip(path).sound_status == "unused" and read_clip(path).sound is None
    kept = read_clip(path, sound="all", sound_rate_hz=None)
    assert kept.sound.shape == (2, 8000) and kept.sound_rate_hz == 8000
    mixed = read_clip(path, sound="mono", sound_rate_hz=None)
    assert np.allclose(mixed.sound[0], kept.sound.mean(axis=0), atol=1e-7)
    assert read_clip(path, sound="mono").sound.shape == (1, 16000)
    assert kept.frames.shape == (0, 3, 0, 0) and kept.duration_s == 1.0


@pytest.mark.parametrize("name", ["wave", "plain", "late_start", "absurd_sound_time"])
def test_sound_that_is_only_checked_is_judged_alike_and_not_kept(folder, monkeypatch, name) -> None:
    path = traps.TRAPS[name](folder)
    kept = decode_clip(path, sound="mono", sound_rate_hz=None)
    monkeypatch.setattr(sound, "_Growing", None)
    checked = decode_clip(path, sound="check")
    assert checked.clip.sound is None and checked.clip.sound_rate_hz is None
    assert checked.clip.sound_status == kept.clip.sound_status == "used"
    assert checked.notes == kept.notes and checked.clip.duration_s == kept.clip.duration_s


def test_checked_silence_is_silence_too(folder) -> None:
    assert decode_clip(traps.wave(folder, peak=0.0), sound="check").clip.sound_status == "silent"


def test_gaps_are_made_of_few_zeros_at_a_time(folder, monkeypatch) -> None:
    path = traps.late_start(folder)
    wanted = read_clip(path, sound="mono", sound_rate_hz=None).sound
    monkeypatch.setattr(sound, "ZEROS", 100)
    assert np.array_equal(read_clip(path, sound="mono", sound_rate_hz=None).sound, wanted)
    assert not wanted[:, :3200].any() and wanted[:, 3200:].any()


def test_more_sound_than_memory_holds_is_refused(folder, monkeypatch) -> None:
    monkeypatch.setattr(sound, "MAX_SOUND_BYTES", 4 * 2 * 7999)
    path = traps.wave(folder)
    with pytest.raises(TooMuchSoundError, match=r"sound of 2 channels takes more than 0\.0 GB"):
        read_clip(path, sound="all", sound_rate_hz=None)
    with pytest.raises(TooMuchSoundError) as caught:
        read_clip(path, sound="all", sound_rate_hz=None)
    assert caught.value.exit_code == 2 and "start_s and end_s" in caught.value.hint
    assert read_clip(path, sound="mono", sound_rate_hz=None).sound.shape == (1, 8000)


def test_a_file_whose_sound_nobody_asks_for_is_opened_once(folder, monkeypatch) -> None:
    heard, silent = traps.plain(folder), traps.variable_rate(folder)
    monkeypatch.setattr(decode, "read_sound", None)
    assert read_clip(heard).sound_status == "unused"
    assert read_clip(silent).sound_status == "absent"


def test_samples_are_exact_fractions_of_full_scale(folder) -> None:
    sound = read_clip(traps.wave(folder), sound="all", sound_rate_hz=None).sound
    t = np.arange(8000) / 8000
    wanted = np.round(0.5 * np.sin(2 * np.pi * 440 * t) * 32767) / 32768
    assert np.array_equal(sound[0], wanted.astype(np.float32))


def test_silence_is_called_silence(folder) -> None:
    assert read_clip(traps.wave(folder, peak=0.0), sound="mono").sound_status == "silent"


def test_an_absurd_time_of_sound_does_not_fill_the_memory_with_zeros(folder) -> None:
    decoded = decode_clip(traps.absurd_sound_time(folder), sound="mono", sound_rate_hz=None)
    steps = np.repeat(np.arange(1, 6), 800) * 1000 / 32768
    assert np.allclose(decoded.clip.sound[0], steps)
    assert decoded.notes == ("the times of 1 sound frames are absurd and were ignored",)


def test_a_window_keeps_samples_at_their_times(folder) -> None:
    spec = SamplingSpec(num_frames=1, start_s=0.5, end_s=0.75)
    part = read_clip(traps.plain(folder), spec, sound="mono").sound
    whole = read_clip(traps.plain(folder), sound="mono").sound
    assert part.shape == (1, 12000) and not part[:, :8000].any()
    assert np.array_equal(part[:, 8000:], whole[:, 8000:12000])


def test_a_file_without_sound_says_absent(folder) -> None:
    clip = read_clip(traps.variable_rate(folder), sound="mono")
    assert clip.sound is None and clip.sound_status == "absent"


def test_a_late_window_of_a_sound_file_lies_on_the_clock_of_its_first_sample(folder) -> None:
    path, spec = traps.long_sound(folder), SamplingSpec(num_frames=1, start_s=12.5, end_s=13.0)
    whole = read_clip(path, sound="mono", sound_rate_hz=None).sound
    part = read_clip(path, spec, sound="mono", sound_rate_hz=None).sound
    assert part.shape == (1, 13 * 8000) and not part[:, :100_000].any()
    assert np.allclose(part[:, 100_000:], whole[:, 100_000 : 13 * 8000], atol=1e-6)
    assert np.abs(part).max() > 0.4
