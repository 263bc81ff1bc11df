"""Frames of files whose packets do not say when they are shown: AVI with B-frames, for instance.

Frames come out of the decoder in the order in which they are shown, each when a packet of a known
number went in. So the time of a frame is that of the packet that pushed it out, less the distance
between the two at the start, which is the decoder's delay. That holds after a jump as well.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import av

from textreel.media.packets import Packets, UnseekableError, sequential
from textreel.media.seek import MIN_JUMP

MARGIN = 4
"""Frames by which a key frame may be shown later than its place in the order of decoding says."""
Shown = tuple[int, av.VideoFrame]


class CountedFrames:
    """The frames of one stream with the times of the packets that pushed them out.

    Attributes:
        origin: time stamp of the first frame.
    """

    def __init__(
        self, packets: Packets, head: list[av.Packet], *, keys_only: bool, jumps: bool
    ) -> None:
        """Start at the beginning of the stream.

        Args:
            packets: just after `head` was read from it.
            head: the first packets.
            keys_only: only key frames count as shown.
            jumps: whether to jump at all.
        """
        self._packets, self._keys_only, self._jumps = packets, keys_only, jumps
        stream = packets.stream
        rate, tick_s = float(stream.average_rate or 25), float(stream.time_base or Fraction(1))
        self._step = max(1, round(1 / (rate * tick_s)))
        self.origin = next((packet.dts for packet in head if packet.dts is not None), 0)
        self._delay: int | None = None
        self._frames = self._stamped(head)

    def __iter__(self) -> Iterator[Shown]:
        """Yield every frame from here on."""
        return self._frames

    def shown_at(self, targets: Iterable[int]) -> Iterator[Shown]:
        """Yield the frame shown at each of the ascending `targets`; one may come several times.

        Raises:
            UnseekableError: a jump did not lead where it should.
        """
        before: Shown | None = None
        ahead = next(self._frames, None)
        for target in targets:
            if ahead is not None and self._worth_jumping(target):
                packet = self._packets.jump_before(target - MARGIN * self._step)
                self._frames = self._stamped([] if packet is None else [packet])
                before, ahead = None, next(self._frames, None)
            while ahead is not None and ahead[0] <= target:
                before, ahead = ahead, next(self._frames, None)
            if before is not None:
                yield before
            elif not self._keys_only:
                raise UnseekableError(f"frame {target} is not where it should be")

    def _worth_jumping(self, target: int) -> bool:
        position, entries = self._packets.position, self._packets.stream.index_entries
        key = entries.search_timestamp(target - MARGIN * self._step)
        if not (self._jumps and self._packets.true_seek) or position is None or key < 0:
            return False
        return entries[key].timestamp - position > MIN_JUMP * self._step

    def _stamped(self, head: Sequence[av.Packet]) -> Iterator[Shown]:
        first, last, gap = head[0].dts if head else None, None, self._step
        first = self.origin if first is None else first
        for frame in self._decoded(head):
            if frame.dts is not None and self._delay is None:
                self._delay = frame.dts - self.origin
            stamp = first if frame.dts is None else max(first, frame.dts - (self._delay or 0))
            if last is not None and stamp <= last:  # the decoder is being emptied
                stamp = last + gap
            gap = gap if last is None else stamp - last
            last = stamp
            if frame.key_frame or not self._keys_only:
                yield stamp, frame

    def _decoded(self, head: Iterable[av.Packet]) -> Iterator[av.VideoFrame]:
        for packet in head:
            yield from self._packets.decode(packet)
        yield from sequential(self._packets)
