import logging
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from tests.media import traps
from tests.media.plain_pyav import all_frames, shown_at
from textreel.media import album, frames
from textreel.media.decode import decode_clip, read_clip
from textreel.media.errors import (
    EmptyFileError,
    MissingFileError,
    NoStreamError,
    NotMediaError,
    OutOfRangeError,
    TooManyFramesError,
    TruncatedError,
    UnreadableFileError,
    UnsupportedCodecError,
)
from textreel.media.packets import Packets, UnseekableError
from textreel.media.pixels import Pixels
from textreel.media.sampling import SamplingSpec
from textreel.media.streams import header_length_s

SPECS = [
    SamplingSpec(num_frames=1),
    SamplingSpec(num_frames=8),
    SamplingSpec(num_frames=60),
    SamplingSpec(num_frames=5, start_s=5.0, end_s=6.0),
    SamplingSpec(num_frames=6, policy="head_tail", seed=3),
    SamplingSpec(policy="key_frames"),
    SamplingSpec(policy="every_frame"),
]


def numbers(clip) -> list[int]:
    return [traps.number_of(frame) for frame in clip.frames]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("traps")


@pytest.mark.parametrize("name", ["short_gops", "long_gop", "matroska"])
def test_every_strategy_gives_what_plain_decoding_gives(folder, name) -> None:
    path = traps.TRAPS[name](folder)
    tick_s, plain = all_frames(path)
    assert len(plain) == 200
    pixels = Pixels(plain[0], aspect=None)
    for spec in SPECS:
        clip = read_clip(path, spec)
        wanted = shown_at(spec, clip.duration_s, tick_s, plain)
        assert clip.frame_times_s.tolist() == [float(plain[i].pts * tick_s) for i in wanted]
        for picture, i in zip(clip.frames, wanted, strict=True):
            assert np.array_equal(picture, pixels.to_rgb(plain[i]))


def test_sparse_times_jump_and_dense_times_do_not(folder) -> None:
    path = traps.short_gops(folder)
    sparse = decode_clip(path, SamplingSpec(num_frames=4)).work
    dense = decode_clip(path, SamplingSpec(num_frames=100)).work
    assert sparse.jumps == 4 and sparse.packets < 60
    assert dense.jumps == 0 and dense.packets > 180


@pytest.mark.parametrize("name", ["short_gops", "long_gop", "matroska"])
def test_every_frame_of_a_late_window_is_read_from_a_key_frame_before_it(folder, name) -> None:
    path = traps.TRAPS[name](folder)
    tick_s, plain = all_frames(path)
    decoded = decode_clip(path, SamplingSpec(policy="every_frame", start_s=5.01, end_s=5.5))
    times_s = [float(frame.pts * tick_s) for frame in plain[125:138]]  # shown at 5.01, to 5.48
    assert decoded.clip.frame_times_s.tolist() == times_s
    pixels = Pixels(plain[0], aspect=None)
    for picture, frame in zip(decoded.clip.frames, plain[125:138], strict=True):
        assert np.array_equal(picture, pixels.to_rgb(frame))
    assert decoded.work.jumps == 1 and (name == "long_gop" or decoded.work.packets < 40)


def test_a_window_of_which_no_start_comes_out_is_read_in_order(folder, monkeypatch) -> None:
    path, jump_before = traps.short_gops(folder), Packets.jump_before
    spec = SamplingSpec(policy="every_frame", start_s=5.01, end_s=5.5)
    wanted = read_clip(path, spec)

    def too_late(self, target: int):
        return jump_before(self, 2 * target)

    monkeypatch.setattr(Packets, "jump_before", too_late)
    found = decode_clip(path, spec)
    assert found.clip.frame_times_s.tolist() == wanted.frame_times_s.tolist()
    assert found.work.jumps == 0


def test_a_length_that_no_file_has_is_measured(folder) -> None:
    path = traps.absurd_length(folder)
    clip = read_clip(path, SamplingSpec(fps=2.0))
    assert clip.duration_s == pytest.approx(2.0, abs=0.11)
    assert clip.frame_times_s == pytest.approx([0.2, 0.7, 1.2, 1.7])


def test_parts_are_the_clip_in_pieces(folder, monkeypatch) -> None:
    path = traps.short_gops(folder)
    monkeypatch.setattr(album, "PART_BYTES", 7 * 64 * 48 * 3)
    for spec in SPECS:
        found = []
        whole, decoded = read_clip(path, spec), decode_clip(path, spec, hand_on=found.append)
        assert {len(part.frames) for part in found[:-1]} <= {7} and len(found[-1].frames) <= 7
        assert np.array_equal(np.concatenate([part.frames for part in found]), whole.frames)
        times_s = np.concatenate([part.times_s for part in found])
        assert np.array_equal(times_s, whole.frame_times_s)
        assert np.array_equal(decoded.times_s, times_s) and len(decoded.clip.frames) == 0


def test_parts_of_a_file_that_cannot_be_sought_in_come_once(folder, monkeypatch) -> None:
    path, jumps = traps.short_gops(folder), []

    def refuse(self, ticks: int) -> None:
        jumps.append(ticks)
        if len(jumps) == 3:
            raise UnseekableError("cannot go back")
        jump(self, ticks)

    jump = Packets.jump
    whole = read_clip(path, SamplingSpec(num_frames=4))
    monkeypatch.setattr(album, "PART_BYTES", 1)
    monkeypatch.setattr(Packets, "jump", refuse)
    found = []
    decode_clip(path, SamplingSpec(num_frames=4), hand_on=found.append)
    assert len(jumps) == 3
    assert [part.times_s[0] for part in found] == whole.frame_times_s.tolist()


def test_more_frames_than_memory_holds_are_refused_before_decoding(folder, monkeypatch) -> None:
    path = traps.short_gops(folder)
    monkeypatch.setattr(frames, "MAX_CLIP_BYTES", 50 * 64 * 48 * 3)
    assert len(read_clip(path, SamplingSpec(num_frames=50)).frames) == 50
    monkeypatch.setattr(Packets, "decode", None)
    for spec in (SamplingSpec(num_frames=51), SamplingSpec(policy="every_frame")):
        with pytest.raises(TooManyFramesError, match=r"take 0.0 GB of memory; a clip") as caught:
            read_clip(path, spec)
        assert "max_frames beside fps" in caught.value.hint


def test_a_header_that_hides_how_many_frames_there_are_is_found_out(folder, monkeypatch) -> None:
    monkeypatch.setattr(frames, "MAX_CLIP_BYTES", 50 * 64 * 48 * 3)
    monkeypatch.setattr(frames._Shown, "refuse_too_many", lambda *_: None)
    with pytest.raises(TooManyFramesError, match="51 pictures of 64 x 48 pixels take more than"):
        read_clip(traps.short_gops(folder), SamplingSpec(policy="every_frame"))


def test_key_frames_alone_are_decoded_for_their_policy(folder) -> None:
    decoded = decode_clip(traps.short_gops(folder), SamplingSpec(policy="key_frames"))
    assert decoded.work.packets == len(decoded.clip.frames) == 8


def test_a_frame_lasts_until_the_next_one(folder) -> None:
    clip = read_clip(traps.variable_rate(folder), SamplingSpec(num_frames=6))
    assert clip.frame_times_s.tolist() == [0.08, 1.04]
    assert numbers(clip) == [2, 4]


def test_a_header_that_ends_too_early_is_corrected(folder) -> None:
    clip = read_clip(traps.variable_rate(folder), SamplingSpec(num_frames=100))
    assert clip.duration_s == pytest.approx(3.04)
    assert clip.frame_times_s.tolist() == [0.0, 0.04, 0.08, 1.0, 1.04, 3.0]


def test_fewer_frames_than_asked_are_used_as_they_are(folder) -> None:
    path = traps.video(folder / "three.mp4", [0, 100, 200])
    assert numbers(read_clip(path, SamplingSpec(num_frames=32))) == [0, 1, 2]


def test_the_clock_starts_with_the_first_frame_and_carries_the_sound(folder) -> None:
    clip = read_clip(traps.late_start(folder), SamplingSpec(num_frames=2), sound="mono")
    assert clip.frame_times_s.tolist() == pytest.approx([0.2, 0.7]) and numbers(clip) == [2, 7]
    heard = np.flatnonzero(np.abs(clip.sound[0]) > 0.05) / 16_000
    assert heard[0] == pytest.approx(0.2, abs=0.02) and heard[-1] == pytest.approx(1.2, abs=0.02)


def test_sound_before_the_pictures_is_cut_off_and_told(folder) -> None:
    decoded = decode_clip(traps.early_sound(folder), sound="mono")
    assert decoded.clip.sound.shape == (1, 0) and decoded.clip.sound_status == "silent"
    assert any("s of sound before the first picture are cut off" in n for n in decoded.notes)


@pytest.mark.parametrize(
    ("degrees", "corner", "shape"),
    [
        (0, (0, 0), (48, 64)),
        (90, (-1, 0), (64, 48)),
        (180, (-1, -1), (48, 64)),
        (270, (0, -1), (64, 48)),
    ],
)
def test_pictures_are_turned_as_a_viewer_turns_them(folder, degrees, corner, shape) -> None:
    """Anticlockwise by so many degrees, as FFmpeg's display matrix has it."""
    clip = read_clip(traps.rotated(folder, degrees), SamplingSpec(num_frames=1))
    assert clip.frames.shape == (1, 3, *shape)
    bright = clip.frames[0].min(axis=0) > 200
    assert bright[corner] and bright.sum() == pytest.approx(12 * 16, abs=40)


def test_pixels_that_are_not_square_are_widened(folder) -> None:
    assert read_clip(traps.wide_pixels(folder)).frames.shape == (3, 3, 48, 85)


def test_odd_sizes_stay(folder) -> None:
    clip = read_clip(traps.odd_size(folder))
    assert clip.frames.shape == (3, 3, 37, 61) and numbers(clip) == [0, 1, 2]


def test_alpha_is_blended_onto_black(folder) -> None:
    clip = read_clip(traps.transparent(folder))
    assert clip.frames.shape == (1, 3, 48, 64)
    assert clip.frames[0, :, 5, 5].tolist() == [100, 50, 25]


def test_a_gif_is_a_video(folder) -> None:
    clip = read_clip(traps.animated_gif(folder), SamplingSpec(num_frames=4))
    assert numbers(clip) == [0, 1, 2, 3]
    assert np.allclose(clip.frame_times_s, [0.0, 0.1, 0.2, 0.3])


def test_a_length_that_no_header_tells_is_measured(folder) -> None:
    clip = read_clip(traps.without_duration(folder), SamplingSpec(num_frames=5))
    assert numbers(clip) == [0, 2, 4, 6, 8] and clip.duration_s == pytest.approx(0.94)


def test_a_header_that_ends_before_it_starts_tells_no_length() -> None:
    container = SimpleNamespace(duration=6_264_000, format=SimpleNamespace(name="matroska,webm"))
    late = SimpleNamespace(
        duration=None, start_time=35408, time_base=Fraction(1, 1000), metadata={}
    )
    assert header_length_s(container, late) is None
    late.start_time = 5000
    assert header_length_s(container, late) == pytest.approx(1.264)


def test_a_cut_file_gives_what_it_holds_and_says_what_is_missing(folder, caplog) -> None:
    path = traps.cut(folder)
    with caplog.at_level(logging.WARNING, logger="textreel.media"):
        clip = read_clip(path, SamplingSpec(num_frames=10))
    assert clip.frame_times_s.max() < 1.3 and 5 <= len(clip.frames) <= 8
    assert "of 10 times lie after" in caplog.text and "header says" in caplog.text


def test_a_window_outside_the_file_is_refused(folder) -> None:
    path = traps.plain(folder)
    with pytest.raises(OutOfRangeError, match=r"plain.mp4: start_s=9.0 is past the end"):
        read_clip(path, SamplingSpec(start_s=9.0))


def test_an_index_that_cannot_be_used_is_not_needed(folder, monkeypatch) -> None:
    def refuse(packets: Packets, ticks: int) -> None:
        raise UnseekableError(f"cannot go to {ticks}: no")

    path = traps.variable_rate(folder)  # its length is measured at the index's end
    wanted = read_clip(path)
    monkeypatch.setattr(Packets, "_seek", refuse)
    found = read_clip(path)
    assert numbers(found) == numbers(wanted) and found.duration_s == wanted.duration_s


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("empty", EmptyFileError, r"the file is empty \(0 bytes\)"),
        ("text", NotMediaError, "holds text, not media"),
        ("without_index", TruncatedError, "an MP4 file without its index"),
        ("broken_picture", TruncatedError, "1 of 1 packets are damaged"),
        ("unknown_codec", UnsupportedCodecError, "no decoder for its video is built in"),
    ],
)
def test_what_cannot_be_read_is_named(folder, name, kind, message) -> None:
    with pytest.raises(kind, match=message) as caught:
        read_clip(traps.TRAPS[name](folder))
    assert caught.value.source in str(caught.value) and caught.value.hint
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("keep", [0.1, 0.4, 0.5, 0.75])
def test_a_cut_index_is_named_whatever_is_left_of_it(folder, keep) -> None:
    with pytest.raises(TruncatedError, match=r"an MP4 file (whose|without its) index .* cut off"):
        read_clip(traps.cut_index(folder, keep=keep))


def test_a_missing_file_is_named_and_is_a_file_not_found_error(tmp_path) -> None:
    with pytest.raises(MissingFileError, match=r"none\.mp4: no such file") as caught:
        read_clip(tmp_path / "none.mp4")
    assert isinstance(caught.value, FileNotFoundError) and caught.value.exit_code == 2


def test_what_is_no_file_is_refused(tmp_path) -> None:
    with pytest.raises(UnreadableFileError, match="is a folder"):
        read_clip(tmp_path)
    with pytest.raises(UnreadableFileError, match="cannot be read:"):
        read_clip(tmp_path / ("x" * 300))
    with pytest.raises(UnreadableFileError, match="is not a regular file"):
        read_clip("/dev/null")


def test_unknown_streams_and_modes_are_refused(folder) -> None:
    path = traps.plain(folder)
    with pytest.raises(NoStreamError, match="stream 1 is no video stream; those are 0"):
        read_clip(path, stream_index=1)
    with pytest.raises(ValueError, match="sound='stereo': must be one of skip, check, mono, all"):
        read_clip(path, sound="stereo")


def test_names_are_names_not_addresses_or_patterns(folder, tmp_path) -> None:
    data = traps.transparent(folder).read_bytes()
    for name in ("http:x.png", "a%03d.png", "-i.png", "[1]*.png", "a b é.png"):
        (tmp_path / name).write_bytes(data)
        assert len(read_clip(tmp_path / name).frames) == 1
