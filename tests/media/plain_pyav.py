"""What plain PyAV reads: every frame in order, and the one shown at a time. The oracle."""

import math
from fractions import Fraction
from pathlib import Path

import av

from textreel.media.sampling import SamplingSpec


def all_frames(path: Path, stream_index: int | None = None) -> tuple[Fraction, list[av.VideoFrame]]:
    with av.open(str(path)) as container:
        if stream_index is None:
            stream = container.streams.best("video")
        else:
            stream = container.streams[stream_index]
        stream.codec_context.thread_count = 1
        frames = []
        for packet in container.demux(stream):
            try:
                frames += packet.decode()
            except av.error.InvalidDataError:
                continue
        return stream.time_base, frames


def shown_at(
    spec: SamplingSpec, duration_s: float, tick_s: Fraction, frames: list[av.VideoFrame]
) -> list[int]:
    """The numbers of the frames that `spec` asks for, each once."""
    if spec.policy == "every_frame":
        return list(range(len(frames)))
    keys_only = spec.policy == "key_frames"
    numbers: list[int] = []
    for time_s in spec.times(duration_s):
        limit = frames[0].pts + math.floor((time_s + 1e-6) / float(tick_s))
        shown = [
            i for i, f in enumerate(frames) if f.pts <= limit and (f.key_frame or not keys_only)
        ]
        if shown and shown[-1] not in numbers:
            numbers.append(shown[-1])
    return numbers
