import numpy as np
import pytest

from tests.synth.world.by_hand import look, scene
from textreel.synth.world.scene import Sound
from textreel.synth.world.sounds import SOUND_RATE_HZ, draw_sound, draw_voice


def told_apart(wave: np.ndarray) -> str:
    """Which shape sounds like that: the strongest frequency, and whether it is noise at all."""
    power = abs(np.fft.rfft(wave)) ** 2
    peak_hz = np.fft.rfftfreq(len(wave), 1 / SOUND_RATE_HZ)[power.argmax()]
    flatness = np.exp(np.log(power + 1e-12).mean()) / power.mean()
    if flatness > 0.2:
        return "cross"
    return "circle" if peak_hz < 250 else "square" if peak_hz < 800 else "triangle"


@pytest.mark.parametrize("shape", ["circle", "square", "triangle", "cross"])
def test_each_shape_sounds_like_itself(shape: str) -> None:
    rng = np.random.default_rng(4)
    for _ in range(40):
        wave = draw_voice(shape, 32_000, rng)
        assert told_apart(wave) == shape
        assert 0.1 < abs(wave).max() <= 0.35
        assert wave[0] == wave[-1] == 0


def test_sounds_are_where_the_facts_put_them_and_silence_elsewhere() -> None:
    sounds = (Sound("circle", 1.0, 3.0, on_screen=True), Sound("cross", 5.0, 7.5, on_screen=False))
    wave = draw_sound(scene(look(), sounds=sounds), np.random.default_rng(0))
    assert wave.shape == (1, 8 * SOUND_RATE_HZ)
    assert wave.dtype == np.float32
    assert abs(wave).max() <= 1

    def loudness(start_s: float, end_s: float) -> float:
        part = wave[0, round(start_s * SOUND_RATE_HZ) : round(end_s * SOUND_RATE_HZ)]
        return float(np.sqrt((part.astype(float) ** 2).mean()))

    for quiet in ((0, 1), (3, 5), (7.5, 8)):
        assert loudness(*quiet) == pytest.approx(0.003, rel=0.1)
    assert loudness(1.1, 2.9) > 0.03
    assert loudness(5.1, 7.4) > 0.01
    hum, click = (wave[0, round(a * 16000) : round(b * 16000)] for a, b in ((1, 3), (5, 7.5)))
    assert (told_apart(hum), told_apart(click)) == ("circle", "cross")


def test_no_two_voices_are_the_same() -> None:
    rng = np.random.default_rng(4)
    first, second = (draw_voice("square", 1000, rng) for _ in range(2))
    assert not np.array_equal(first, second)
