"""Pieces of a sound are those of the whole sound, to the bit, and little of it is in memory."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.media import traps
from textreel.media import cutting as module
from textreel.media import resample
from textreel.media.cutting import Cutting
from textreel.media.decode import decode_clip, decode_pieces
from textreel.media.errors import TruncatedError
from textreel.media.sampling import SamplingSpec
from textreel.media.sound import Passing
from textreel.media.sound_clips import SoundClipSpec
from textreel.media.sound_pieces import Piece, TouchingWindows, cut_sound
from textreel.media.worker import GuardedReader

WHOLE = SamplingSpec(num_frames=1)
PARTS = (WHOLE, replace(WHOLE, start_s=3.25), replace(WHOLE, start_s=1.1, end_s=9.3))
RULES = (
    SoundClipSpec(num_clips=3),
    SoundClipSpec(num_clips=9, rule="imagebind"),
    TouchingWindows(window_s=0.77),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traps")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resample, "BLOCK", 3_000)


def pieces_of(path: Path, spec: SamplingSpec, cutting: Cutting) -> tuple[list[Piece], list[str]]:
    """Return the pieces, and one entry for each time that the sound was read again."""
    found: list[Piece] = []
    again: list[str] = []
    decode_pieces(path, spec, cutting, hand_on=found.append, again=lambda: again.append("again"))
    return found, again


def whole_pieces(path: Path, spec: SamplingSpec, cutting: Cutting) -> list[Piece]:
    clip = decode_clip(path, spec, sound=cutting.mode, sound_rate_hz=cutting.rate_hz).clip
    sound = clip.sound[:, round((spec.start_s or 0.0) * cutting.rate_hz) :]
    return cut_sound(sound, cutting.rule, rate_hz=cutting.rate_hz)


def check_equal(found: list[Piece], wanted: list[Piece]) -> None:
    assert len(found) == len(wanted) > 0
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours.start, ours.total) == (theirs.start, theirs.total)
        assert np.array_equal(ours.samples, theirs.samples)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("held", [1 << 25, 300_000, 0], ids=["held", "some held", "counted"])
@pytest.mark.parametrize("resampler", ["sinc", "ffmpeg"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_pieces_are_those_of_the_whole_bit_for_bit(folder, monkeypatch, held, resampler, rule):
    monkeypatch.setattr(module, "HELD_BYTES", held)
    path = traps.long_sound(folder)
    for rate_hz in (16_000, 8_000):
        cutting = Cutting(mode="mono", rate_hz=rate_hz, rule=rule)
        for spec in PARTS:
            spec = replace(spec, resampler=resampler)
            found, again = pieces_of(path, spec, cutting)
            check_equal(found, whole_pieces(path, spec, cutting))
            assert len(again) == {1 << 25: 0, 0: 2}.get(held, len(again))


@pytest.mark.parametrize("name", ["plain", "late_start", "wave"])
@pytest.mark.parametrize("held", [1 << 25, 0])
def test_gaps_channels_and_late_starts_are_cut_alike(folder, monkeypatch, name, held) -> None:
    monkeypatch.setattr(module, "HELD_BYTES", held)
    path = traps.TRAPS[name](folder)
    for rule in (SoundClipSpec(num_clips=2), TouchingWindows(window_s=0.3)):
        cutting = Cutting(mode="all", rate_hz=16_000, rule=rule)
        check_equal(pieces_of(path, WHOLE, cutting)[0], whole_pieces(path, WHOLE, cutting))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("length_s", [0.0, 9.0, 13.2, 14.8, 1e6])
def test_a_header_that_is_wrong_costs_a_second_reading_at_most(
    folder, monkeypatch, length_s: float
) -> None:
    monkeypatch.setattr("textreel.media.sound.header_length_s", lambda *_: length_s)
    path = traps.long_sound(folder)
    for rule in RULES:
        cutting = Cutting(mode="mono", rate_hz=16_000, rule=rule)
        found, again = pieces_of(path, WHOLE, cutting)
        check_equal(found, whole_pieces(path, WHOLE, cutting))
        assert len(again) <= 2
        if isinstance(rule, SoundClipSpec):
            assert len(again) == {0.0: 0, 14.8: 0, 1e6: 2}.get(length_s, len(again))


def test_a_long_sound_is_not_held(tmp_path) -> None:
    path, seconds = tmp_path / "long.wav", 400
    traps.wave(tmp_path).rename(path)
    data = path.read_bytes()
    at = data.index(b"data") + 8
    path.write_bytes(data[:at] + data[at:] * seconds)  # the header tells of one second
    for rule in (SoundClipSpec(), TouchingWindows(window_s=2)):
        cutting = Cutting(mode="mono", rate_hz=16_000, rule=rule)
        count = 0

        def take(piece: Piece) -> None:
            nonlocal count
            count += 1

        tracemalloc.start()
        try:
            decode_pieces(path, WHOLE, cutting, hand_on=take)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert count >= 1 and peak < 8e6  # 25.6 MB are the whole


def test_no_pieces_come_of_what_is_no_sound(folder) -> None:
    cutting = Cutting(mode="mono", rate_hz=16_000, rule=TouchingWindows(window_s=1))
    found: list[Piece] = []
    decoded = decode_pieces(traps.variable_rate(folder), WHOLE, cutting, hand_on=found.append)
    assert not found and decoded.clip.sound_status == "absent" and len(decoded.clip.frames) == 1


def test_a_window_behind_the_end_holds_nothing(folder) -> None:
    spec = replace(WHOLE, start_s=1.5)
    cutting = Cutting(mode="mono", rate_hz=16_000, rule=TouchingWindows(window_s=1))
    assert pieces_of(traps.wave(folder), spec, cutting)[0] == []
    cutting = replace(cutting, rule=SoundClipSpec(num_clips=2))
    assert [p.samples.shape for p in pieces_of(traps.wave(folder), spec, cutting)[0]] == [
        (1, 0)
    ] * 2


def test_a_file_that_changes_while_it_is_read_is_told(folder, monkeypatch) -> None:
    monkeypatch.setattr(module, "HELD_BYTES", 0)
    monkeypatch.setattr(module.Counting, "length_at", lambda self, rate_hz: 15_000)
    cutting = Cutting(mode="mono", rate_hz=16_000, rule=TouchingWindows(window_s=0.25))
    with pytest.raises(TruncatedError, match="sound had 15000 samples, and 16000 when read again"):
        pieces_of(traps.wave(folder), WHOLE, cutting)


def test_silence_and_notes_are_told_as_of_the_whole(folder, monkeypatch) -> None:
    cutting = Cutting(mode="mono", rate_hz=16_000, rule=TouchingWindows(window_s=0.25))
    for held in (1 << 25, 0):
        monkeypatch.setattr(module, "HELD_BYTES", held)
        for path in (traps.wave(folder, peak=0.0), traps.absurd_sound_time(folder)):
            ours = decode_pieces(path, WHOLE, cutting, hand_on=lambda piece: None)
            theirs = decode_clip(path, WHOLE, sound="mono")
            assert ours.clip.sound_status == theirs.clip.sound_status
            assert ours.notes == theirs.notes and ours.clip.sound is None


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES[1:], ids=lambda rule: type(rule).__name__)
def test_a_worker_hands_on_the_same_pieces(folder, monkeypatch, rule) -> None:
    path, cutting = traps.long_sound(folder), Cutting(mode="mono", rate_hz=16_000, rule=rule)
    assert Cutting.from_dict(cutting.to_dict()) == cutting
    found: list[Piece] = []
    with GuardedReader() as reader:
        decoded = reader.read_pieces(path, PARTS[2], cutting, hand_on=found.append)
        check_equal(found, whole_pieces(path, PARTS[2], cutting))
        assert decoded.clip.sound_status == "used" and decoded.clip.sound is None
        pid = reader.pid

        def refuse(piece: Piece) -> None:
            raise RuntimeError("enough")

        with pytest.raises(RuntimeError, match="enough"):
            reader.read_pieces(path, WHOLE, cutting, hand_on=refuse)
        assert reader.pid is None
        reader.read_pieces(path, WHOLE, cutting, hand_on=lambda piece: None)
        assert reader.pid not in (None, pid)


def test_what_only_passes_keeps_nothing() -> None:
    passing = Passing()
    passing.reserve(1, 0.0, 8_000)
    passing.append(np.full((1, 5), -0.5, np.float32))
    assert (passing.length, passing.peak, passing.array()) == (5, 0.5, None)
