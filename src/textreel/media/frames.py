"""The frames of one video stream that a `SamplingSpec` asks for, on the file's clock."""

import contextlib
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from textreel.media.album import MAX_CLIP_BYTES, Album, FullError, HandOn, Part
from textreel.media.counted import CountedFrames
from textreel.media.errors import OutOfRangeError, TooManyFramesError
from textreel.media.lengths import find_length_s
from textreel.media.opening import open_media, read_only, why_nothing_decodes
from textreel.media.packets import MAX_TICKS, Packets, UnseekableError, Work, sequential
from textreel.media.pixels import Pixels, Turn
from textreel.media.sampling import SamplingError, SamplingSpec
from textreel.media.seek import FIRST_JUMP_S, MAX_REORDER, Selector, nearest_before
from textreel.media.streams import (
    choose_sound,
    choose_video,
    sane_aspect,
    tells_when_shown,
)

log = logging.getLogger("textreel.media")

EPSILON_S = 1e-6
"""Times are rounded up by this much, so that floating point does not miss a frame's start."""
LATE_S = 0.25
"""A header may round a stream's length up by this much without a note."""
HEAD_PACKETS = 2 * MAX_REORDER


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frames:
    """Chosen frames of one stream.

    Attributes:
        pixels: uint8 (T, 3, H, W), RGB as displayed; in memory the channels of a pixel lie side by
            side, as `Album` says. (0, 3, H, W) where all were handed on.
        times_s: float64 (T,), ascending, the stream's first frame at 0; also of what was handed on.
        duration_s: length of the stream in seconds.
        origin_s: the first frame's time on the container's own clock.
        turn: how the stored pictures were turned.
        has_sound: whether there is a sound stream beside them.
        notes: what was unusual, one sentence each.
        work: what reading cost.
    """

    pixels: NDArray[np.uint8]
    times_s: NDArray[np.float64]
    duration_s: float
    origin_s: float
    turn: Turn
    has_sound: bool
    notes: tuple[str, ...]
    work: Work


def read_frames(
    path: Path,
    spec: SamplingSpec,
    *,
    stream_index: int | None,
    progress: Callable[[], None],
    hand_on: HandOn | None = None,
) -> Frames:
    """Read the frames that `spec` asks for.

    Args:
        path: the file.
        spec: which frames.
        stream_index: number of the video stream; the container's best one where None.
        progress: called for each packet, to show that work goes on.
        hand_on: takes the frames part after part, so that few are in memory at a time.

    Raises:
        NoStreamError: the file has no video, or `stream_index` is no video stream.
        OutOfRangeError: the window lies outside the stream.
        TooManyFramesError: without `hand_on`, all frames together take too much memory.
        EmptyFileError, EncryptedError, TruncatedError: nothing can be decoded.
    """
    shown = _Shown(str(path), hand_on)
    with _open(path, stream_index, progress) as packets:
        length_s = find_length_s(packets, lambda: _open(path, stream_index, progress))
        try:
            return _Reading(str(path), packets, length_s, shown).read(spec, in_order=False)
        except UnseekableError:
            log.debug("%s cannot be sought in: reading it from the start", path)
    with _open(path, stream_index, progress) as packets:
        return _Reading(str(path), packets, length_s, shown).read(spec, in_order=True)


@contextlib.contextmanager
def _open(path: Path, stream_index: int | None, progress: Callable[[], None]) -> Iterator[Packets]:
    with open_media(path) as container:
        stream = choose_video(path, container, stream_index)
        read_only(container, stream)
        yield Packets(container, stream, progress=progress)


class _Shown:
    """The pictures shown so far: kept, or handed on part after part."""

    def __init__(self, source: str, hand_on: HandOn | None) -> None:
        self.source, self._hand_on = source, hand_on
        self.origin, self.tick_s = 0, Fraction(1)
        self.pixels: Pixels | None = None
        limit = MAX_CLIP_BYTES if hand_on is None else None
        self.album = Album(max_bytes=limit, full=hand_on and self._pass_on)

    def start_again(self, tick_s: Fraction) -> None:
        """Begin another pass; only what was handed on stays."""
        self.origin, self.tick_s, self.pixels = 0, tick_s, None
        self.album.drop()

    def refuse_too_many(self, stream: VideoStream, length_s: float, times: int | None) -> None:
        """Refuse, before anything is decoded, what cannot be kept in memory.

        Args:
            stream: whose headers tell sizes and numbers; what they tell wrongly is found later.
            length_s: of the part asked for.
            times: how many were asked for, None for all frames.
        """
        context, rate = stream.codec_context, stream.average_rate
        known = [count for count in (times, stream.frames) if count]
        if rate and not stream.frames:
            known.append(math.ceil(length_s * float(rate)))
        needed = min(known, default=0) * context.width * context.height * 3
        if self._hand_on is None and needed > MAX_CLIP_BYTES:
            raise TooManyFramesError(
                self.source,
                f"{min(known)} frames of {context.width} x {context.height} pixels take "
                f"{needed / 1e9:.1f} GB of memory; a clip may hold {MAX_CLIP_BYTES / 1e9:.1f} GB",
            )

    def show(self, stamp: int, frame: av.VideoFrame, *, aspect: float | None) -> None:
        """Add a frame, unless it was shown before."""
        if stamp in self.album:
            return
        if self.pixels is None:
            self.pixels = Pixels(frame, aspect=aspect)
        try:
            self.album.add(stamp, self.pixels.to_rgb(frame))
        except FullError as error:
            raise TooManyFramesError(self.source, str(error)) from error

    def times_s(self, stamps: Iterable[int]) -> NDArray[np.float64]:
        """Return the times of pictures on the file's clock."""
        return np.array([float((stamp - self.origin) * self.tick_s) for stamp in stamps])

    def _pass_on(self, stamps: list[int], pictures: NDArray[np.uint8]) -> None:
        assert self._hand_on is not None
        self._hand_on(Part(frames=pictures, times_s=self.times_s(stamps)))


class _Reading:
    """One pass over one stream.

    Attributes:
        origin: time stamp of the first frame.
        shown: the pictures so far, also those of a pass that was given up.
    """

    def __init__(self, source: str, packets: Packets, length_s: float, shown: _Shown) -> None:
        self.source, self.packets, self.length_s = source, packets, length_s
        self.stream, self.shown = packets.stream, shown
        self.tick_s = packets.stream.time_base or Fraction(1)
        shown.start_again(self.tick_s)
        self.notes: list[str] = []

    @property
    def origin(self) -> int:
        return self.shown.origin

    @origin.setter
    def origin(self, stamp: int) -> None:
        self.shown.origin = stamp

    def read(self, spec: SamplingSpec, *, in_order: bool) -> Frames:
        """Read what `spec` asks for; `in_order`: without ever going back."""
        head = self._read_head()
        keys_only, counted = spec.policy == "key_frames", None
        if head and not tells_when_shown(self.packets.container, self.stream):
            counted = CountedFrames(self.packets, head, keys_only=keys_only, jumps=not in_order)
            self.origin = counted.origin
        in_order = in_order or not head or any(packet.pts is None for packet in head)
        if not (in_order or counted):
            head = self._find_origin(head)
        times_s, start_s = self._times(spec, self.length_s)
        end_s = self.length_s if spec.end_s is None else min(self.length_s, spec.end_s)
        times = None if times_s is None else len(times_s)
        self.shown.refuse_too_many(self.stream, end_s - start_s, times)
        if times_s is None:
            end_s = math.inf if spec.end_s is None else spec.end_s
            if counted or in_order or start_s <= FIRST_JUMP_S or not self.packets.true_seek:
                self._take_all(iter(counted or self._timed(head)), start_s, end_s)
            else:
                self._take_all(self._timed_from(self._ticks(start_s)), start_s, end_s)
        elif counted:
            for stamp, frame in counted.shown_at(self._ticks(time_s) for time_s in times_s):
                self._show(stamp, frame)
        elif in_order:
            self._walk(head, times_s)
        else:
            self._select(head, times_s, keys_only=keys_only)
        return self._result(times_s, self.length_s)

    def _times(self, spec: SamplingSpec, length_s: float) -> tuple[list[float] | None, float]:
        try:
            times_s = None if spec.policy == "every_frame" else spec.times(length_s)
            return times_s, spec.window_s(length_s)[0]
        except SamplingError as error:
            raise OutOfRangeError(self.source, str(error), error.hint) from error

    def _read_head(self) -> list[av.Packet]:
        """Read packets until it is certain which frame is the first."""
        head: list[av.Packet] = []
        while len(head) < HEAD_PACKETS and (packet := self.packets.read()) is not None:
            head.append(packet)
            stamps = [p.pts for p in head if p.pts is not None and not p.is_discard]
            if stamps and packet.dts is not None and packet.dts > min(stamps):
                break
        return head

    def _find_origin(self, head: list[av.Packet]) -> list[av.Packet]:
        """Set `origin`; decode the first frame where the packets alone do not tell."""
        shown = [packet.pts for packet in head if not packet.is_discard]
        if shown and head[0].is_keyframe and head[0].pts == min(shown):
            self.origin = head[0].pts
            return head
        first = next(self._frames(head), None)
        if first is not None and first.pts is not None:
            self.origin = first.pts
        self.packets.jump(-MAX_TICKS)
        return self._read_head()

    def _frames(self, head: Iterable[av.Packet]) -> Iterator[av.VideoFrame]:
        for packet in head:
            yield from self.packets.decode(packet)
        yield from sequential(self.packets)

    def _timed(self, head: Iterable[av.Packet]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield every frame with its time stamp, counted at the average rate where it has none."""
        step = round(1 / (float(self.stream.average_rate or 25) * float(self.tick_s)))
        stamp: int | None = None
        for frame in self._frames(head):
            first = stamp is None
            if frame.pts is not None:
                stamp = frame.pts
            else:
                stamp = self.origin if stamp is None else stamp + step
            if first:
                self.origin = stamp
            yield stamp, frame

    def _timed_from(self, start: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield frames with their time stamps from the one shown at `start` on, or from before it.

        Raises:
            UnseekableError: none that is shown so early comes out.
        """
        key, seen = self.packets.jump_before(start), False
        for frame in self._frames([] if key is None else [key]):
            if key is None or frame.pts is None or frame.pts < key.pts:
                continue  # it leans on frames before the key frame
            seen = seen or frame.pts <= start
            if not seen:
                raise UnseekableError(f"nothing is shown at {start} after a jump")
            yield frame.pts, frame

    def _take_all(
        self, frames: Iterator[tuple[int, av.VideoFrame]], start_s: float, end_s: float
    ) -> None:
        """Keep the frame shown at the window's start and all that start inside the window."""
        before: tuple[int, av.VideoFrame] | None = None
        for stamp, frame in frames:
            time_s = float((stamp - self.origin) * self.tick_s)
            if time_s >= end_s and stamp != self.origin:
                break
            if time_s > start_s and before is not None:
                self._show(*before)
                before = None
            if time_s > start_s:
                self._show(stamp, frame)
            else:
                before = (stamp, frame)
        if before is not None:
            self._show(*before)

    def _walk(self, head: Iterable[av.Packet], times_s: list[float]) -> None:
        """Decode in order, keeping what is shown at the times."""
        waiting = deque(times_s)
        before: tuple[int, av.VideoFrame] | None = None
        for stamp, frame in self._timed(head):
            while waiting and before is not None and stamp > self._ticks(waiting[0]):
                self._show(*before)
                waiting.popleft()
            if not waiting:
                return
            before = (stamp, frame)
        if before is not None:
            self._show(*before)

    def _select(self, head: list[av.Packet], times_s: list[float], *, keys_only: bool) -> None:
        selector = Selector(self.packets, head, keys_only=keys_only)
        for frame in selector.frames([self._ticks(t) for t in times_s]):
            self._show(frame.pts, frame)
        ended_at: int | None = None
        if keys_only and len(self.shown.album):
            return  # times before the first key frame show none
        for target in sorted(set(selector.missing)):
            if ended_at is not None and target > ended_at:
                continue
            frame, ended = nearest_before(self.packets, target)
            if frame is not None:
                self._show(frame.pts, frame)
            if ended:
                ended_at = target

    def _ticks(self, time_s: float) -> int:
        return self.origin + math.floor((time_s + EPSILON_S) / float(self.tick_s))

    def _show(self, stamp: int, frame: av.VideoFrame) -> None:
        self.shown.show(stamp, frame, aspect=sane_aspect(self.stream))

    def _result(self, times_s: list[float] | None, length_s: float) -> Frames:
        work, album, pixels = self.packets.work, self.shown.album, self.shown.pixels
        if not len(album) or pixels is None:
            raise why_nothing_decodes(
                self.source, what="video", packets=work.packets, damaged=work.damaged
            )
        album.hand_on()
        stamps = album.stamps
        self._note_faults(pixels, times_s, stamps)
        return Frames(
            pixels=album.take(),
            times_s=self.shown.times_s(stamps),
            duration_s=length_s,
            origin_s=float(self.origin * self.tick_s),
            turn=pixels.turn,
            has_sound=choose_sound(self.packets.container) is not None,
            notes=tuple(self.notes),
            work=work,
        )

    def _note_faults(self, pixels: Pixels, times_s: list[float] | None, stamps: list[int]) -> None:
        work = self.packets.work
        if pixels.turn.absurd:
            self.notes.append("the display matrix is absurd; pictures are shown as stored")
        if pixels.resized:
            self.notes.append(
                f"{pixels.resized} of {len(stamps)} frames had another size than the first one "
                f"and were scaled"
            )
        if work.damaged or work.cut:
            self.notes.append(
                f"the video is damaged: {work.damaged} of {work.packets} packets could not be "
                f"decoded" + ("; the file is cut off" if work.cut else "")
            )
        self._note_lateness(times_s or [])

    def _note_lateness(self, times_s: list[float]) -> None:
        if self.packets.end is None:
            return
        end_s = float((self.packets.end - self.origin) * self.tick_s)
        late = sum(time_s > end_s + LATE_S for time_s in times_s)
        if late:
            self.notes.append(
                f"{late} of {len(times_s)} times lie after {end_s:.3f} s, where the video ends "
                f"although its header says {self.length_s:.3f} s"
            )
