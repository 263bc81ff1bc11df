"""What the world sounds like: one characteristic sound per shape, written at 16 kHz.

circle    hums     a low tone and its octave, slowly swelling
square    buzzes   a square wave, rough
triangle  rings    a struck bell, again and again
cross     clicks   short bursts of noise
"""

import numpy as np
from numpy.typing import NDArray

from textreel.synth.world.scene import Scene

SOUND_RATE_HZ = 16_000
_FADE_S = 0.03
_HISS = 0.003
_LOUDNESS = (0.15, 0.35)

Wave = NDArray[np.float64]


def draw_sound(scene: Scene, rng: np.random.Generator) -> NDArray[np.float32]:
    """Write all sounds of a scene over a faint hiss.

    Returns:
        float32 (1, N) in [-1, 1] at `SOUND_RATE_HZ`.
    """
    wave = rng.standard_normal(round(scene.duration_s * SOUND_RATE_HZ)) * _HISS
    for sound in scene.sounds:
        start, end = (round(t * SOUND_RATE_HZ) for t in (sound.start_s, sound.end_s))
        wave[start:end] += draw_voice(sound.shape, end - start, rng)
    return np.clip(wave, -1, 1).astype(np.float32)[None]


def draw_voice(shape: str, num_samples: int, rng: np.random.Generator) -> Wave:
    """Write `num_samples` of one shape's sound, in a pitch and loudness of its own."""
    time_s = np.arange(num_samples) / SOUND_RATE_HZ
    wave = _VOICES[shape](time_s, rng)
    fade = np.minimum(1, np.minimum(time_s, time_s[::-1]) / _FADE_S)
    return wave / max(1e-9, float(abs(wave).max())) * fade * rng.uniform(*_LOUDNESS)


def _hum(time_s: Wave, rng: np.random.Generator) -> Wave:
    pitch_hz = rng.uniform(90, 140)
    tone = np.sin(2 * np.pi * pitch_hz * time_s) + 0.5 * np.sin(4 * np.pi * pitch_hz * time_s)
    return tone * (1 + 0.3 * np.sin(2 * np.pi * rng.uniform(1, 3) * time_s))


def _buzz(time_s: Wave, rng: np.random.Generator) -> Wave:
    pitch_hz = rng.uniform(300, 500)
    return np.sign(np.sin(2 * np.pi * pitch_hz * time_s)) * (
        1 + 0.5 * np.sign(np.sin(2 * np.pi * rng.uniform(20, 35) * time_s))
    )


def _ring(time_s: Wave, rng: np.random.Generator) -> Wave:
    pitch_hz, period_s = rng.uniform(1500, 2200), rng.uniform(0.4, 0.7)
    since = (time_s + rng.uniform(0, period_s)) % period_s
    tone = np.sin(2 * np.pi * pitch_hz * time_s) + 0.4 * np.sin(
        2 * np.pi * 2.76 * pitch_hz * time_s
    )
    return tone * np.exp(-since / 0.15)


def _click(time_s: Wave, rng: np.random.Generator) -> Wave:
    period_s = rng.uniform(0.12, 0.2)
    since = (time_s + rng.uniform(0, period_s)) % period_s
    return rng.standard_normal(len(time_s)) * np.exp(-since / 0.008)


_VOICES = {"circle": _hum, "square": _buzz, "triangle": _ring, "cross": _click}
