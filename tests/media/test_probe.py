import json
from dataclasses import asdict

import pytest

from tests.media import traps
from textreel.media.errors import MediaError, NoStreamError
from textreel.media.probe import probe


def test_a_video_is_described(tmp_path) -> None:
    info = probe(traps.plain(tmp_path))
    assert (info.width, info.height, info.rotation, info.codec) == (64, 48, 0, "h264")
    assert info.duration_s == pytest.approx(2.0, abs=0.11)
    assert (info.sound.codec, info.sound.rate_hz, info.sound.channels) == ("aac", 16000, 1)
    assert not info.hdr and info.video_streams == 1
    json.dumps(asdict(info))


@pytest.mark.parametrize(("turned", "rotation"), [(90, 270), (180, 180), (270, 90)])
def test_sizes_and_rotation_are_those_of_the_display(tmp_path, turned, rotation) -> None:
    info = probe(traps.rotated(tmp_path, turned))
    assert info.rotation == rotation and not info.mirrored
    assert (info.width, info.height) == ((64, 48) if turned == 180 else (48, 64))


def test_a_sound_file_has_no_size(tmp_path) -> None:
    info = probe(traps.wave(tmp_path))
    assert info.width is None and info.duration_s == 1.0 and info.sound.channels == 2


def test_a_subtitle_file_is_neither_video_nor_sound(tmp_path) -> None:
    path = tmp_path / "a.srt"
    path.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    with pytest.raises(NoStreamError, match="has neither video nor sound"):
        probe(path)


def test_errors_are_media_errors(tmp_path) -> None:
    with pytest.raises(MediaError):
        probe(traps.text(tmp_path))
