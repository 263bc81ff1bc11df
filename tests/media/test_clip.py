import numpy as np
import pytest

from textreel.media.clip import Clip


def clip(**changes) -> Clip:
    fields = {
        "frames": np.zeros((2, 3, 4, 6), np.uint8),
        "frame_times_s": np.array([0.0, 0.5]),
        "duration_s": 1.0,
        "source": "a.mp4",
    }
    return Clip(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": np.zeros((2, 4, 6, 3), np.uint8)}, r"frames must be uint8 \(T, 3, H, W\)"),
        ({"frames": np.zeros((2, 3, 4, 6))}, r"got float64 \(2, 3, 4, 6\)"),
        ({"frame_times_s": np.zeros(3)}, "a.mp4: 2 frames but 3 times"),
        ({"sound": np.zeros((1, 4), np.float32)}, "sound and sound_rate_hz go together"),
        ({"sound": np.zeros(4, np.float32), "sound_rate_hz": 8}, r"sound must be \(C, N\), got"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        clip(**changes)


def test_a_clip_prints_shapes_not_values() -> None:
    sound = np.zeros((2, 8), np.float32)
    assert "sound=(2, 8) at 16 Hz" in repr(clip(sound=sound, sound_rate_hz=16))
    assert "frames=(2, 3, 4, 6), 1.000 s, sound=none" in repr(clip())
