"""An hour of video, or of sound, costs little memory, in any container."""

import logging
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from textreel.media.cutting import Cutting
from textreel.media.sampling import SamplingSpec
from textreel.media.sound_clips import SoundClipSpec
from textreel.media.sound_pieces import Piece, TouchingWindows
from textreel.media.worker import DecodeLimits, GuardedReader

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's peak"),
]
log = logging.getLogger("tests.media")
HOUR_S = 3600
MAX_BYTES = 500 << 20
MAX_CHECK_BYTES = 150 << 20  # an hour at 16 kHz takes 230 MB in one channel alone
SEGMENT_S, RATE_HZ, SOUND_HZ, SIZE = 10, 10, 16_000, (640, 360)


def segment(path: Path) -> Path:
    """Ten seconds that become brighter, with a key frame every two seconds and a tone."""
    with av.open(str(path), "w") as out:
        options = {"preset": "ultrafast", "g": "20", "bf": "0"}
        video = out.add_stream("libx264", rate=RATE_HZ, options=options)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        sound = out.add_stream("aac", rate=SOUND_HZ, layout="mono")
        for number in range(SEGMENT_S * RATE_HZ):
            picture = np.full((SIZE[1], SIZE[0], 3), 20 + 2 * number, np.uint8)
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        samples = np.sin(np.arange(SEGMENT_S * SOUND_HZ, dtype=np.float32) / 6)[None]
        tone = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
        tone.sample_rate, tone.time_base, tone.pts = SOUND_HZ, Fraction(1, SOUND_HZ), 0
        for stream, frame in ((sound, tone), (video, None), (sound, None)):
            out.mux(stream.encode(frame))
    return path


def six_channels(path: Path, *, rate_hz: int) -> Path:
    """Ten seconds of a tone in 5.1."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=rate_hz, layout="5.1")
        wave = np.sin(np.arange(SEGMENT_S * rate_hz, dtype=np.float32) / 6)
        tone = av.AudioFrame.from_ndarray(np.tile(wave, (6, 1)), "fltp", "5.1")
        tone.sample_rate, tone.time_base, tone.pts = rate_hz, Fraction(1, rate_hz), 0
        for frame in (tone, None):
            out.mux(stream.encode(frame))
    return path


def repeated(source: Path, target: Path, *, times: int) -> Path:
    """Lay the packets of `source` end to end; nothing is encoded again."""
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in given.streams}
        kept = [
            (p.stream_index, bytes(p), p.pts, p.dts, p.duration, p.time_base, p.is_keyframe)
            for p in given.demux()
            if p.size and p.pts >= 0
        ]
        for turn in range(times):
            for index, data, pts, dts, duration, time_base, is_key in kept:
                shift = round(turn * SEGMENT_S / time_base)
                packet = av.Packet(data)
                packet.pts, packet.dts, packet.duration = pts + shift, dts + shift, duration
                packet.time_base, packet.is_keyframe = time_base, is_key
                packet.stream = streams[index]
                out.mux(packet)
    return target


def peak_bytes(pid: int | str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) << 10


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_eight_frames_of_an_hour_cost_little_memory(tmp_path, ending) -> None:
    source = segment(tmp_path / "segment.mp4")
    path = repeated(source, tmp_path / f"hour.{ending}", times=HOUR_S // SEGMENT_S)
    with GuardedReader() as reader:
        decoded = reader.read(path, SamplingSpec(num_frames=8))
        peak = peak_bytes(reader.pid)
    log.info("%s: the worker's peak is %d bytes; %s", ending, peak, decoded.work)
    assert decoded.clip.duration_s == pytest.approx(HOUR_S, abs=1)
    assert decoded.clip.frames.shape == (8, 3, 360, 640)
    wanted_s = [(i + 0.5) * HOUR_S / 8 for i in range(8)]
    assert np.allclose(decoded.clip.frame_times_s, wanted_s, atol=1 / RATE_HZ + 0.01)
    assert 20 << 20 < peak < MAX_BYTES
    assert decoded.work.packets < 8 * 20  # at most a group of pictures for each frame


@pytest.mark.parametrize("rate_hz", [SOUND_HZ])
def test_checking_an_hour_of_six_channels_keeps_none_of_it(tmp_path, rate_hz) -> None:
    source = six_channels(tmp_path / "segment.m4a", rate_hz=rate_hz)
    path = repeated(source, tmp_path / "hour.m4a", times=HOUR_S // SEGMENT_S)
    with GuardedReader(DecodeLimits(cpu_s=300, wall_s=300)) as reader:
        found = reader.look(path)
        peak = peak_bytes(reader.pid)
    log.info("%d Hz: the worker's peak is %d bytes", rate_hz, peak)
    assert found.sound_status == "used" and found.info.sound.channels == 6
    assert found.info.duration_s == pytest.approx(HOUR_S, abs=10)
    assert peak < MAX_CHECK_BYTES


@pytest.mark.parametrize(
    ("rule", "count"), [(SoundClipSpec(), 8), (TouchingWindows(window_s=10), 361)]
)
def test_hearing_an_hour_of_six_channels_keeps_few_pieces(tmp_path, rule, count) -> None:
    source = six_channels(tmp_path / "segment.m4a", rate_hz=SOUND_HZ)
    path = repeated(source, tmp_path / "hour.m4a", times=HOUR_S // SEGMENT_S)
    cutting = Cutting(mode="all", rate_hz=24_000, rule=rule)
    ends_s: list[float] = []

    def take(piece: Piece) -> None:
        assert piece.samples.shape[0] == 6
        ends_s.append((piece.start + piece.samples.shape[1]) / cutting.rate_hz)

    with GuardedReader(DecodeLimits(cpu_s=300, wall_s=300)) as reader:
        spec = SamplingSpec(num_frames=1)
        decoded = reader.read_pieces(path, spec, cutting, hand_on=take)
        peak = peak_bytes(reader.pid)
    log.info("%s: the worker's peak is %d bytes", rule, peak)
    assert decoded.clip.sound_status == "used" and decoded.clip.sound is None
    assert len(ends_s) == count and ends_s == sorted(ends_s)
    assert ends_s[-1] > HOUR_S - HOUR_S / 8 - 10
    assert peak < MAX_CHECK_BYTES  # all of it takes 2 GB
