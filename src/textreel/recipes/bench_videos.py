"""Videos for the benches: H.264 as players and cameras write it, made once, kept in the cache.

A minute of moving texture is drawn and compressed (B-frames, key frames at a fixed distance) and
its packets are written again and again until the file is long enough: an hour costs seconds. The
content repeats every minute, so frames of equal pixels are no proof of equal times.
"""

import hashlib
import json
import math
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

FORMAT = 1
"""Raise it when the same settings give other files."""
TILE_PX = 8
MARGIN_TILES = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoFile:
    """What one file is like.

    Attributes:
        name: for the report.
        length_s: whole seconds.
        key_s: seconds between two key frames.
        fps: whole frames per second.
        width, height: even numbers of pixels.
        segment_s: seconds that are drawn and then repeated; they divide `length_s`.
        seed: of the texture.
    """

    name: str
    length_s: int
    key_s: float
    fps: int = 25
    width: int = 320
    height: int = 180
    segment_s: int = 60
    seed: int = 0

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return self.length_s * self.fps

    @property
    def file_name(self) -> str:
        """A name that differs whenever the content does."""
        values = {key: value for key, value in asdict(self).items() if key != "name"}
        text = json.dumps({"format": FORMAT, **values}, sort_keys=True)
        return f"video-{hashlib.sha256(text.encode()).hexdigest()[:16]}.mp4"


def make_video(folder: Path, video: VideoFile) -> Path:
    """Return the file in `folder`, written there if it was not there yet."""
    path = folder / video.file_name
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(6)
    segment, whole = (folder / f".{path.stem}.{token}.{part}.mp4" for part in ("segment", "whole"))
    try:
        _write_segment(segment, video)
        _repeat(segment, whole, video)
        whole.replace(path)
    finally:
        segment.unlink(missing_ok=True)
        whole.unlink(missing_ok=True)
    return path


def in_matroska(path: Path) -> Path:
    """Return the same packets in a Matroska file beside `path`, written if it was not there yet."""
    target = path.with_suffix(".mkv")
    if target.exists():
        return target
    draft = path.with_name(f".{path.stem}.{secrets.token_hex(6)}.mkv")
    try:
        with av.open(str(path)) as source, av.open(str(draft), "w") as out:
            stream = source.streams.video[0]
            copy = out.add_stream_from_template(stream)
            for packet in source.demux(stream):
                if packet.size:
                    packet.stream = copy
                    out.mux(packet)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def draw_frames(video: VideoFile) -> Iterator[NDArray[np.uint8]]:
    """Yield the segment's frames (H, W, 3): a camera over a texture, a square in front of it."""
    rng = np.random.default_rng(video.seed)
    height, width = video.height, video.width
    tiles = (-(-height // TILE_PX) + MARGIN_TILES, -(-width // TILE_PX) + MARGIN_TILES, 3)
    coarse = rng.integers(50, 200, tiles).repeat(TILE_PX, 0).repeat(TILE_PX, 1)
    texture = (coarse + rng.integers(-20, 20, coarse.shape)).astype(np.uint8)
    swing = MARGIN_TILES * TILE_PX // 2 - 1
    side = height // 4
    for number in range(video.segment_s * video.fps):
        time_s = number / video.fps
        x = round(swing * (1 + math.sin(time_s / 2.8)))
        y = round(swing * (1 + math.cos(time_s / 3.6)))
        frame = texture[y : y + height, x : x + width].copy()
        left = round(75 * time_s) % (width - side)
        frame[side : 2 * side, left : left + side] = (number % 256, number // 256, 200)
        yield frame


def _write_segment(path: Path, video: VideoFile) -> None:
    distance = round(video.key_s * video.fps)
    options = {"preset": "veryfast", "crf": "23", "sc_threshold": "0", "keyint_min": str(distance)}
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=video.fps, options=options)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        stream.codec_context.gop_size = distance
        stream.codec_context.thread_count = 1  # equal input gives equal bytes on one build
        for frame in draw_frames(video):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def _repeat(segment: Path, path: Path, video: VideoFile) -> None:
    with av.open(str(segment)) as source, av.open(str(path), "w", format="mp4") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        tick = stream.time_base or Fraction(1, video.fps)
        packets = [packet for packet in source.demux(stream) if packet.size]
        for turn in range(video.length_s // video.segment_s):
            start = round(turn * video.segment_s / tick)
            for packet in packets:
                again = av.Packet(bytes(packet))
                again.time_base, again.stream = tick, copy
                again.pts = start + (packet.pts or 0)
                again.dts = start + (packet.dts or 0)
                again.duration = packet.duration
                again.is_keyframe = packet.is_keyframe
                target.mux(again)
