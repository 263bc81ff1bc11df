"""Whether times show as many different frames, told without decoding any.

A header may promise more than a file holds (a download that was cut off), and at a variable rate a
frame may stay for long: then several times show one frame, and a clip has fewer frames than times.
Where every packet is listed and lies in the file, the list is enough; else all packets are read.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.video.stream import VideoStream

from textreel.media.frames import EPSILON_S
from textreel.media.opening import open_media, read_only
from textreel.media.packets import Packets
from textreel.media.streams import choose_video, is_indexed, tells_when_shown

LEAST_BETWEEN = 2
"""Frames from one time to the next. One might do, but a list may be in order of decoding."""


def surely_distinct(path: Path | str, times_s: Sequence[float]) -> bool:
    """Return whether each of these times is sure to show a frame of its own.

    False means that it must be tried: only decoding knows. True holds for files whose packets are
    sound: damage inside them is not looked for.

    Args:
        path: a video file.
        times_s: ascending, the first frame at 0.

    Raises:
        MediaError: the file cannot be opened, or has no video.
    """
    path = Path(path)
    with open_media(path) as container:
        stream = choose_video(path, container, None)
        if not tells_when_shown(container, stream):
            return len(times_s) < 2
        read_only(container, stream)
        stamps = _listed(stream, num_bytes=path.stat().st_size)
        if stamps is None:
            stamps = _read(Packets(container, stream, progress=lambda: None))
        tick_s = float(stream.time_base or Fraction(1))
    starts_s = (np.sort(stamps) - min(stamps, default=0)) * tick_s
    places = np.searchsorted(starts_s, np.asarray(times_s) + EPSILON_S, side="right")
    return bool((np.diff(places) >= LEAST_BETWEEN).all())


def _listed(stream: VideoStream, *, num_bytes: int) -> list[int] | None:
    """Return the times of all packets as the index has them; None where it is no whole list."""
    if not is_indexed(stream):
        return None
    entries = list(stream.index_entries)
    if any(entry.is_discard or entry.pos + entry.size > num_bytes for entry in entries):
        return None
    return [entry.timestamp for entry in entries]


def _read(packets: Packets) -> list[int]:
    stamps = []
    while (packet := packets.read()) is not None:
        if packet.pts is not None and not packet.is_discard:
            stamps.append(packet.pts)
    return stamps
