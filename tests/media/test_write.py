import os
import stat
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from textreel.media.clip import Clip
from textreel.media.errors import WriteError
from textreel.media.write import write_clip, write_frames


def make_clip(*, times_s=(0.0, 0.25, 0.5, 0.75), duration_s=1.0, sound=None, size=(32, 48)) -> Clip:
    height, width = size
    frames = np.zeros((len(times_s), 3, height, width), np.uint8)
    for i, frame in enumerate(frames):
        frame[:] = np.array([40 + 40 * i, 200 - 40 * i, 90])[:, None, None]
    return Clip(
        frames=frames,
        frame_times_s=np.array(times_s),
        duration_s=duration_s,
        source="test",
        sound=sound,
        sound_rate_hz=None if sound is None else 16000,
        sound_status="absent" if sound is None else "used",
    )


def chirp(channels: int = 1) -> np.ndarray:
    t = np.arange(16000) / 16000
    return np.stack(
        [0.4 * np.sin(2 * np.pi * (300 + 500 * t + 90 * c) * t) for c in range(channels)]
    )


def test_frames_come_back_with_their_times_and_colours(tmp_path) -> None:
    clip = make_clip(times_s=(0.0, 0.1, 0.5, 0.75))
    write_clip(tmp_path / "a.mp4", clip)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (container.format.name.split(",")[0], stream.codec_context.name) == ("mov", "h264")
        assert float(stream.duration * stream.time_base) == 1.0
        frames = list(container.decode(stream))
    assert [frame.time for frame in frames] == [0.0, 0.1, 0.5, 0.75]
    for i, frame in enumerate(frames):
        pixels = frame.to_ndarray(format="rgb24").transpose(2, 0, 1).astype(int)
        assert np.abs(pixels - clip.frames[i]).max() <= 4


def test_fps_overrides_the_clips_times(tmp_path) -> None:
    write_clip(tmp_path / "a.mp4", make_clip(), fps=2)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert [f.time for f in container.decode(video=0)] == [0.0, 0.5, 1.0, 1.5]


@pytest.mark.parametrize("channels", [1, 2])
def test_sound_comes_back_in_place(tmp_path, channels) -> None:
    sound = chirp(channels).astype(np.float32)
    write_clip(tmp_path / "a.mp4", make_clip(sound=sound))
    with av.open(str(tmp_path / "a.mp4")) as container:
        heard = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    assert heard.shape[0] == channels and heard.shape[1] >= 16000
    error = np.sqrt(np.mean((heard[:, :16000] - sound) ** 2))
    shifted = np.sqrt(np.mean((heard[:, 1:16000] - sound[:, :-1]) ** 2))
    assert error < 0.02 < shifted


def test_equal_input_gives_equal_bytes(tmp_path) -> None:
    clip = make_clip(sound=chirp().astype(np.float32))
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / name, clip)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path) -> None:
    (tmp_path / "a.mp4").write_text("old")
    pictures = [(0.0, np.zeros((3, 16, 16), np.uint8)), (0.5, np.zeros((3, 16, 18), np.uint8))]
    with pytest.raises(WriteError, match=r"a frame is \(3, 16, 18\), the first one \(3, 16, 16\)"):
        write_frames(tmp_path / "a.mp4", pictures, end_s=1.0)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_text() == "old"


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (make_clip(times_s=()), "0 frames to write"),
        (make_clip(size=(31, 48)), "frames of 48x31 px: both must be even"),
        (make_clip(times_s=(0.5, 0.75)), "the first frame is at 0.5 s"),
        (make_clip(times_s=(0.0, 0.5, 0.5)), "do not ascend: 0.5 s after 0.5 s"),
        (make_clip(duration_s=0.75), "the last frame starts at 0.75 s, not before 0.75"),
        (replace(make_clip(sound=chirp()), sound_rate_hz=15000), "AAC has no rate of 15000 Hz"),
        (make_clip(sound=chirp(3)), "3 channels of sound"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, clip, message) -> None:
    with pytest.raises(WriteError, match=message):
        write_clip(tmp_path / "a.mp4", clip)
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_named(tmp_path) -> None:
    with pytest.raises(WriteError, match="its folder does not exist"):
        write_clip(tmp_path / "none" / "a.mp4", make_clip())


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch) -> None:
    steps = []
    replace = Path.replace

    def replaced(self: Path, target: Path) -> Path:
        steps.append("named")
        return replace(self, target)

    def synced(descriptor: int) -> None:
        status = os.fstat(descriptor)
        steps.append("folder" if stat.S_ISDIR(status.st_mode) else f"content {status.st_size}")

    monkeypatch.setattr(Path, "replace", replaced)
    monkeypatch.setattr("os.fsync", synced)
    write_clip(tmp_path / "a.mp4", make_clip())
    size = (tmp_path / "a.mp4").stat().st_size
    assert steps == [f"content {size}", "named", *(["folder"] if os.name == "posix" else [])]
