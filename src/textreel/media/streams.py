"""Choosing among a file's streams, and what their headers say."""

import itertools
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from textreel.media.errors import NoStreamError, UnsupportedCodecError
from textreel.media.opening import why_nothing_there

LAST_ENTRIES, UNEVEN = 18, 1.5
SANE_ASPECTS = (0.1, 10.0)
"""Width over height of a stored pixel; what lies outside is a broken header."""


def choose_video(path: Path, container: InputContainer, stream_index: int | None) -> VideoStream:
    """Return the video stream to read.

    Cover pictures of sound files are no video. Of several streams FFmpeg's choice is taken: the
    one marked as default, then the one of most pixels.

    Raises:
        NoStreamError: the file has no video, or `stream_index` is no video stream.
        UnsupportedCodecError: no decoder for the stream is built in.
        TruncatedError: the index is cut off, so that nobody knows which decoder it needs.
    """
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if stream_index is None:
        best = container.streams.best("video")
        chosen = next((s for s in streams if best is not None and s.index == best.index), None)
        chosen = chosen or next(iter(streams), None)
        if chosen is None:
            raise NoStreamError(str(path), "has no video stream")
    else:
        chosen = next((s for s in streams if s.index == stream_index), None)
        if chosen is None:
            raise NoStreamError(
                str(path),
                f"stream {stream_index} is no video stream; those are "
                f"{', '.join(str(s.index) for s in streams) or 'none'}",
            )
    if chosen.codec_context is None:
        unknown = UnsupportedCodecError(str(path), "no decoder for its video is built in")
        raise why_nothing_there(path, unknown)
    return chosen


def choose_sound(container: InputContainer) -> AudioStream | None:
    """Return FFmpeg's choice among the sound streams, None where there is none."""
    best = container.streams.best("audio")
    return next((s for s in container.streams.audio if best and s.index == best.index), None)


def header_length_s(container: InputContainer, stream: VideoStream | AudioStream) -> float | None:
    """Return a stream's length in seconds as the headers have it, None where they do not say."""
    if container.format.name == "ivf":  # tells a number of frames, in ticks of any length
        return None
    if stream.duration and stream.duration > 0 and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration and container.duration > 0:
        end_s = container.duration / av.time_base
        if container.format.name.startswith("matroska"):  # counts from 0, not from the start
            end_s = _tagged_end_s(stream) or end_s
            start_s = max(0.0, float((stream.start_time or 0) * (stream.time_base or 1)))
            return end_s - start_s if end_s > start_s else None  # one of them is damaged
        return end_s
    return None


def _tagged_end_s(stream: VideoStream | AudioStream) -> float | None:
    """Read Matroska's DURATION tag, `HH:MM:SS.fraction`: where this stream ends."""
    parts = stream.metadata.get("DURATION", "").split(":")
    if len(parts) != 3 or not all(part.replace(".", "", 1).isdecimal() for part in parts):
        return None
    hours, minutes, seconds = map(float, parts)
    return 3600 * hours + 60 * minutes + seconds


def is_indexed(stream: VideoStream) -> bool:
    """Whether the container lists every packet, as mp4 does."""
    return 0 < stream.frames <= len(stream.index_entries)


def ends_unevenly(stream: VideoStream) -> bool:
    """Whether the last frames of an mp4 come at uneven times and out of order.

    FFmpeg writes a stream's length in order of decoding; with B-frames and a variable rate it is
    then too short, by as much as the last frames are apart.
    """
    if not is_indexed(stream) or not stream.codec_context.has_b_frames:
        return False
    entries = stream.index_entries
    last = [entries[-i].timestamp for i in range(min(LAST_ENTRIES, len(entries)), 0, -1)]
    gaps = [after - before for before, after in itertools.pairwise(last)]
    return bool(gaps) and max(gaps) > UNEVEN * min(gaps)


def tells_when_shown(container: InputContainer, stream: VideoStream) -> bool:
    """Whether packets say when their frames are shown.

    AVI lists frames in order of decoding and tells no times at all; ASF and MXF tell when they are
    decoded. Where that order may be another one, what FFmpeg makes of it are times of other frames.
    (In MXF it knows MPEG-2's order from the index.)
    """
    context, kind = stream.codec_context, container.format.name
    if context.name in ("h264", "hevc"):
        return kind not in ("avi", "asf", "mxf")
    return kind not in ("avi", "asf") or not context.has_b_frames


def sane_aspect(stream: VideoStream) -> float | None:
    """Return width over height of a stored pixel, None where unknown or absurd."""
    aspect = stream.sample_aspect_ratio
    if not aspect or not SANE_ASPECTS[0] <= aspect <= SANE_ASPECTS[1]:
        return None
    return float(aspect)
