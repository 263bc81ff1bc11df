import json
from dataclasses import asdict

import pytest

from tests.media import traps
from tests.media.test_worker import answer_to
from textreel.media import serving
from textreel.media.errors import EmptyFileError, OutOfRangeError
from textreel.media.look import Look, look
from textreel.media.sampling import SamplingSpec
from textreel.media.worker import GuardedReader


def test_a_video_with_sound_is_told_in_json_values(tmp_path) -> None:
    found = look(traps.plain(tmp_path), SamplingSpec(num_frames=4))
    told = found.to_dict()
    assert json.loads(json.dumps(told)) == told
    assert (told["width"], told["height"], told["rotation"], told["codec"]) == (64, 48, 0, "h264")
    assert told["frame_times_s"] == pytest.approx([0.2, 0.7, 1.2, 1.7], abs=0.11)
    assert told["sound"]["status"] == "used"
    assert (told["sound"]["codec"], told["sound"]["rate_hz"]) == ("aac", 16000)
    assert told["notes"] == [] and told["damaged_packets"] == 0


def test_a_video_without_sound_says_absent(tmp_path) -> None:
    told = look(traps.long_gop(tmp_path)).to_dict()
    absent = {"status": "absent", "codec": None, "rate_hz": None}
    assert told["sound"] == absent | {"channels": None, "duration_s": None}


def test_a_damaged_file_keeps_its_notes_once(tmp_path) -> None:
    found = look(traps.cut(tmp_path))
    assert len(found.notes) == len(set(found.notes)) > 0


def test_headers_are_left_out_where_nobody_asks(tmp_path) -> None:
    told = look(traps.plain(tmp_path), describe=False).to_dict()
    assert "width" not in told and told["sound"]["status"] == "used"


def test_a_window_outside_the_file_is_refused(tmp_path) -> None:
    with pytest.raises(OutOfRangeError, match="past the end of a video"):
        look(traps.plain(tmp_path), SamplingSpec(start_s=60))


@pytest.mark.parametrize("trap", [traps.plain, traps.wave])
def test_a_look_crosses_the_pipe_unchanged(tmp_path, trap, monkeypatch) -> None:
    monkeypatch.setattr(serving, "_limit_cpu", lambda seconds: None)
    path, spec = trap(tmp_path), SamplingSpec(num_frames=3)
    request = {"path": str(path), "spec": spec.to_dict(), "describe": True}
    answer = answer_to(path, only=request | {"sound": "mono", "cpu_s": 10.0})
    assert asdict(Look.from_dict(answer["look"])) == asdict(look(path, spec))


def test_a_guarded_look_needs_no_pictures(tmp_path) -> None:
    with GuardedReader() as reader:
        path = traps.plain(tmp_path)
        assert reader.look(path, SamplingSpec(num_frames=2)) == look(
            path, SamplingSpec(num_frames=2)
        )
        with pytest.raises(EmptyFileError, match="the file is empty"):
            reader.look(traps.empty(tmp_path))
        with pytest.raises(ValueError, match="sound='both': must be one of skip, check, mono, all"):
            reader.look(path, sound="both")
