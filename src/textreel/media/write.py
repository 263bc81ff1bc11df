"""Clips to mp4: H.264 (yuv420p, so that every player shows it) and AAC, written atomically.

Frames are written at their own times, in ticks of 1/90000 s: a clip with uneven times becomes a
file of variable rate. Colours are converted with the BT.601 matrix and tagged so, whatever the
size: readers that honour tags and readers that know only FFmpeg's default then agree. There are no
B-frames: mp4 stores the length of the last frame only in order of decoding, so a reordered last
frame would lose its length. One thread and no dates: equal input gives equal bytes on one build.
"""

import contextlib
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from textreel.media.clip import Clip
from textreel.media.disk import sync_directory, sync_file
from textreel.media.errors import WriteError

TICKS_PER_S = 90_000
"""The MPEG clock, which 24, 25, 30 and 60 frames per second divide."""
AAC_RATES_HZ = (
    *(7350, 8000, 11025, 12000, 16000, 22050, 24000),
    *(32000, 44100, 48000, 64000, 88200, 96000),
)
"""ISO/IEC 14496-3, table 1.18."""
AAC_BITS_PER_S = 64_000
"""Per channel; FFmpeg's `fast` search then needs 3 ms per second of sound, its default one 9."""
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
SMPTE170M = 6
"""ITU-T H.273: the BT.601 matrix, and its primaries and transfer."""

Frame = tuple[float, NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoCodec:
    """How pictures are compressed.

    Attributes:
        crf: x264's quality, 0 (nearly exact) to 51; 18 is visually lossless.
        preset: x264's effort; `veryfast` needs a fifth more time than `ultrafast` and two thirds
            of its bytes.
        key_frame_distance: most frames between two key frames; a seek decodes half of them.
    """

    crf: int = 18
    preset: str = "veryfast"
    key_frame_distance: int = 250


def write_clip(
    path: Path | str, clip: Clip, *, fps: float | None = None, codec: VideoCodec | None = None
) -> None:
    """Write `clip` as an mp4 file, replacing `path` in one step.

    Args:
        path: the file to write; its folder must exist.
        clip: at least one frame, of even height and width, the first at 0 s; its sound, if any,
            is written as AAC.
        fps: frames per second, instead of the clip's own times. Where None, the frames keep their
            times and the last one lasts until `clip.duration_s`.
        codec: settings of the picture codec.

    Raises:
        WriteError: no frames, an odd size, a first frame that is not at 0, times that do not
            ascend, no such folder, or sound with a rate or channels that AAC lacks.
    """
    count = len(clip.frames)
    if fps is None:
        times_s, end_s = clip.frame_times_s.tolist(), clip.duration_s
    else:
        times_s, end_s = [i / fps for i in range(count)], count / fps
    sound = None if clip.sound is None else (clip.sound, int(clip.sound_rate_hz or 0))
    frames = zip(times_s, clip.frames, strict=True)
    write_frames(path, frames, end_s=end_s, sound=sound, codec=codec)


def write_frames(
    path: Path | str,
    frames: Iterable[Frame],
    *,
    end_s: float,
    sound: tuple[NDArray[np.float32], int] | None = None,
    codec: VideoCodec | None = None,
) -> None:
    """Write frames as they come; memory does not grow with their number.

    Args:
        path: the mp4 file to write; its folder must exist.
        frames: (time in seconds, uint8 (3, H, W)) pairs, times ascending from 0, all of one size.
        end_s: when the last frame ends.
        sound: float32 (C, N) in [-1, 1] with 1, 2 or 6 channels, and its rate in Hz.
        codec: settings of the picture codec.

    Raises:
        WriteError: see `write_clip`.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise WriteError(str(path), "its folder does not exist", "make the folder first")
    timed = _with_ends(frames, end_s, path)
    first = next(timed, None)
    if first is None:
        raise WriteError(str(path), "0 frames to write")
    with _atomic(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        video = _Video(container, first, codec or VideoCodec(), path)
        track = None if sound is None else _Sound(container, *sound, path)
        for frame in _chain(first, timed):
            if track is not None:
                track.write_until(frame[0])
            video.write(frame)
        video.flush()
        if track is not None:
            track.write_until(None)


TimedFrame = tuple[float, float, NDArray[np.uint8]]


def _chain(first: TimedFrame, rest: Iterator[TimedFrame]) -> Iterator[TimedFrame]:
    yield first
    yield from rest


def _with_ends(frames: Iterable[Frame], end_s: float, path: Path) -> Iterator[TimedFrame]:
    """Yield (start, end, picture): a frame lasts until the next one, the last until `end_s`."""
    held: Frame | None = None
    for time_s, picture in frames:
        if held is None and time_s != 0:
            raise WriteError(
                str(path),
                f"the first frame is at {time_s} s, and a file's clock starts with its first frame",
                "shift the times, or give fps",
            )
        if held is not None:
            if not time_s > held[0]:
                raise WriteError(
                    str(path), f"frame times do not ascend: {time_s} s after {held[0]} s"
                )
            yield held[0], time_s, held[1]
        held = (time_s, picture)
    if held is not None:
        if not end_s > held[0]:
            raise WriteError(str(path), f"the last frame starts at {held[0]} s, not before {end_s}")
        yield held[0], end_s, held[1]


@contextlib.contextmanager
def _atomic(path: Path) -> Iterator[Path]:
    """Give a name beside `path` that is moved onto `path` if the block ends well.

    What takes the name is on the disk before it does, so that a power cut leaves the old file or
    the new one, as a kill does; `data.files.atomic_file` does the same for what is not a container.
    """
    temporary = path.with_name(f".{path.name[:80]}.{secrets.token_hex(6)}.part")
    try:
        yield temporary
        sync_file(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def _ticks(time_s: float) -> int:
    return round(time_s * TICKS_PER_S)


class _Video:
    """One H.264 track."""

    def __init__(
        self, container: OutputContainer, first: TimedFrame, codec: VideoCodec, path: Path
    ) -> None:
        start_s, end_s, picture = first
        self._shape = picture.shape
        self._path = path
        _, height, width = self._shape
        if height % 2 or width % 2:
            raise WriteError(str(path), f"frames of {width}x{height} px: both must be even")
        rate = Fraction(1 / (end_s - start_s)).limit_denominator(1001)
        options = {"crf": str(codec.crf), "preset": codec.preset}
        self._stream = container.add_stream("libx264", rate=rate, options=options)
        context = self._stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.thread_count, context.gop_size = 1, codec.key_frame_distance
        context.time_base, context.max_b_frames = Fraction(1, TICKS_PER_S), 0
        context.colorspace = context.color_primaries = context.color_trc = SMPTE170M
        context.color_range = ColorRange.MPEG
        self._container = container
        self._converter = VideoReformatter()
        self._durations: dict[int, int] = {}

    def write(self, timed: TimedFrame) -> None:
        start_s, end_s, picture = timed
        if picture.shape != self._shape:
            raise WriteError(
                str(self._path), f"a frame is {picture.shape}, the first one {self._shape}"
            )
        rgb = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(picture.transpose(1, 2, 0)), format="rgb24"
        )
        frame = self._converter.reformat(
            rgb,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        frame.pts, frame.time_base = _ticks(start_s), Fraction(1, TICKS_PER_S)
        self._durations[frame.pts] = _ticks(end_s) - frame.pts
        self._mux(frame)

    def flush(self) -> None:
        self._mux(None)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts)
            self._container.mux(packet)


class _Sound:
    """One AAC track, written in step with the pictures so that little is buffered."""

    def __init__(
        self, container: OutputContainer, sound: NDArray[np.float32], rate_hz: int, path: Path
    ) -> None:
        channels = len(sound)
        if rate_hz not in AAC_RATES_HZ:
            raise WriteError(
                str(path),
                f"AAC has no rate of {rate_hz} Hz",
                f"resample to one of {', '.join(map(str, AAC_RATES_HZ))}",
            )
        if channels not in LAYOUTS:
            raise WriteError(str(path), f"{channels} channels of sound", "write 1, 2 or 6 channels")
        self._layout = LAYOUTS[channels]
        options = {"aac_coder": "fast", "b": str(AAC_BITS_PER_S * channels)}
        self._stream = container.add_stream(
            "aac", rate=rate_hz, layout=self._layout, options=options
        )
        self._container, self._sound, self._rate_hz = container, sound, rate_hz
        self._done = 0

    def write_until(self, time_s: float | None) -> None:
        """Write samples up to `time_s`; all of them, and the end, where None."""
        total = self._sound.shape[1]
        until = total if time_s is None else min(total, round(time_s * self._rate_hz))
        while self._done < until:
            stop = min(until, self._done + self._rate_hz)
            samples = np.ascontiguousarray(self._sound[:, self._done : stop], dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=self._layout)
            frame.sample_rate, frame.pts = self._rate_hz, self._done
            frame.time_base = Fraction(1, self._rate_hz)
            self._container.mux(self._stream.encode(frame))
            self._done = stop
        if time_s is None:
            self._container.mux(self._stream.encode(None))
