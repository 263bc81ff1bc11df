"""Finding the frames shown at chosen times with as little decoding as the file allows.

The packets of a stream say when each frame is shown before anything is decoded. So one pass over
them, in order of decoding, can

    jump        to the key frame before the next time, where that lies ahead (dense times never
                jump: the pass is then plain sequential decoding)
    pass over   what lies before a key frame that is met on the way, where no index tells of it
    skip        what nothing depends on and nobody asked for (`skip_frame=NONREF`)
    stop        after the last frame asked for
and still give exactly the frames that decoding everything would: every frame asked for is checked
off by its time stamp, and one that did not come out is looked for again from further back, without
skipping.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from fractions import Fraction

import av

from textreel.media.packets import BACK_S, MAX_TICKS, Packets, sequential, starts
from textreel.media.streams import is_indexed

MAX_REORDER = 17
"""Packets after which none can bring an earlier frame: H.264 and HEVC reorder at most 16."""
MIN_JUMP = 8
"""A jump over fewer packets costs more than it saves: some are decoded a second time."""
FIRST_JUMP_S = 4.0
"""Where no index tells of a key frame, a jump is tried over this much, and over more where it
proved useless. Reading costs 2.5 us a packet, a jump 15, decoding 150 and more (docs/LOG.md)."""
MAX_HELD, MAX_HELD_BYTES = 512, 32 << 20
"""Packets that wait for a key frame, which would make them needless; more are decoded."""


class Selector:
    """One pass that yields the frames shown at given times.

    Attributes:
        missing: time stamps whose frames did not come out of the decoder.
    """

    def __init__(self, packets: Packets, head: Sequence[av.Packet], *, keys_only: bool) -> None:
        """Start at the beginning of the stream.

        Args:
            packets: just after `head` was read from it; every packet has a time stamp.
            head: the first packets.
            keys_only: only key frames count as shown.
        """
        self.missing: list[int] = []
        self._packets = packets
        self._keys_only = keys_only
        self._ahead: deque[av.Packet] = deque()  # read, not yet decoded
        self._sent: set[int] = set()  # decoded fully: may still be asked for
        self._held: dict[int, av.VideoFrame] = {}  # came out, may still be asked for
        self._wanted: deque[int] = deque()  # asked for, not yet out
        self._last: int | None = None  # the last one yielded
        self._ended = False
        self._indexed = is_indexed(packets.stream)
        self._tick_s = float(packets.stream.time_base or Fraction(1))
        self._step = 1 / (float(packets.stream.average_rate or 25) * self._tick_s)
        self._jump_over = FIRST_JUMP_S / self._tick_s
        self._lead = 0  # ticks by which a key frame is decoded before it is shown
        for packet in head:
            self._keep(packet)

    def frames(self, targets: Sequence[int]) -> Iterator[av.VideoFrame]:
        """Yield the frame shown at each of `targets`, each frame once, in order.

        Args:
            targets: time stamps, ascending.
        """
        for target in targets:
            if self._worth_jumping(target):
                yield from self._drain()
                self._jump_before(target)
            shown = yield from self._look_ahead(target)
            if shown is None:
                self.missing.append(target)
            elif shown != self._last and shown not in self._wanted:
                self._wanted.append(shown)
                self._send_up_to(shown)
                yield from self._ready()
        yield from self._drain()

    def _worth_jumping(self, target: int) -> bool:
        position = self._packets.position
        if self._ended or position is None or not self._packets.true_seek:
            return False
        entries = self._packets.stream.index_entries
        key = entries.search_timestamp(target - self._lead)  # mp4 tells when it is decoded
        if self._indexed:
            return key - entries.search_timestamp(position, any_frame=True) > MIN_JUMP
        known = key >= 0 and entries[key].timestamp - position > MIN_JUMP * self._step
        return known or target - position > self._jump_over

    def _jump_before(self, target: int) -> None:
        """Jump so that a key frame shown no later than `target` is the next packet."""
        left = self._packets.position
        packet = self._packets.jump_before(target)
        self._forget()
        self._ended = packet is None
        if packet is not None:
            self._keep(packet)
            if left is not None and (packet.dts or packet.pts) <= left:
                self._jump_over = max(self._jump_over * 2, 2.0 * (target - packet.pts))

    def _forget(self) -> None:
        self._ahead.clear()
        self._sent.clear()
        self._held.clear()

    def _keep(self, packet: av.Packet) -> bool:
        kept = packet.is_keyframe or not self._keys_only
        if packet.is_keyframe and packet.dts is not None:
            self._lead = max(self._lead, packet.pts - packet.dts)
        if kept:
            self._ahead.append(packet)
        return kept

    def _look_ahead(self, target: int) -> Generator[av.VideoFrame, None, int | None]:
        """Return the time stamp of the frame shown at `target`; read until that is certain.

        Yields:
            Frames that were asked for before, where the decoder is emptied on the way.
        """
        shown = self._shown(target)
        later = sum(packet.pts > target for packet in self._ahead)
        while not (self._ended or self._certain(target, later)):
            packet = self._packets.read()
            if packet is None:
                self._ended = True
            elif packet.pts is not None and self._keep(packet):
                later += packet.pts > target
                if packet.pts <= target and not packet.is_discard:
                    shown = max(packet.pts if shown is None else shown, packet.pts)
                if self._makes_needless(packet, target):
                    yield from self._drain()
                    self._start_with(packet)
                elif self._holds_much():
                    self._send_before(shown)
        self._send_before(shown)
        return shown

    def _shown(self, target: int) -> int | None:
        stamps = [p.pts for p in self._ahead if not p.is_discard and p.pts <= target]
        stamps += [stamp for stamp in self._sent if stamp <= target]
        return max(stamps, default=None)

    def _certain(self, target: int, later: int) -> bool:
        return later >= MAX_REORDER or (self._packets.floor or -MAX_TICKS) > target

    def _makes_needless(self, packet: av.Packet, target: int) -> bool:
        """Whether decoding may start with `packet`, and many wait before it."""
        return (
            len(self._ahead) > MIN_JUMP + 1
            and starts(packet)
            and packet.pts <= target
            and self._packets.true_seek
            and not self._keys_only
        )

    def _start_with(self, packet: av.Packet) -> None:
        self._packets.start_again(self._ahead[0])
        self._forget()
        self._ahead.append(packet)

    def _holds_much(self) -> bool:
        held = len(self._ahead)
        return held >= MAX_HELD or (
            held % 16 == 0 and sum(packet.size for packet in self._ahead) > MAX_HELD_BYTES
        )

    def _send_before(self, shown: int | None) -> None:
        """Decode what comes before the frame shown and can be shown at no later time either."""
        while shown is not None and self._ahead:
            first = self._ahead[0]
            if not (first.is_discard or first.pts < shown):
                return
            self._ahead.popleft()
            if not self._keys_only:  # key frames depend on nothing
                self._decode(first, fully=False)

    def _send_up_to(self, shown: int) -> None:
        """Decode up to the frame shown; what comes with it may be shown at later times."""
        self._sent = {stamp for stamp in self._sent if stamp >= self._wanted[0]}
        while self._ahead and shown not in self._sent:
            packet = self._ahead.popleft()
            self._sent.add(packet.pts)
            self._decode(packet, fully=True)

    def _decode(self, packet: av.Packet | None, *, fully: bool) -> None:
        for frame in self._packets.decode(packet, fully=fully):
            if frame.pts in self._sent:
                self._held[frame.pts] = frame

    def _ready(self) -> Iterator[av.VideoFrame]:
        """Yield the wanted frames that are out, in order; let go of earlier ones."""
        while self._wanted and self._wanted[0] in self._held:
            self._last = self._wanted.popleft()
            yield self._held.pop(self._last)
        floor = self._wanted[0] if self._wanted else self._last
        for stamp in [held for held in self._held if floor is not None and held < floor]:
            del self._held[stamp]

    def _drain(self) -> Iterator[av.VideoFrame]:
        """Empty the decoder; what is still wanted then is missing."""
        self._decode(None, fully=True)
        while self._wanted:
            yield from self._ready()
            if self._wanted:
                self.missing.append(self._wanted.popleft())


def nearest_before(packets: Packets, target: int) -> tuple[av.VideoFrame | None, bool]:
    """Find the last frame that can be decoded at or before `target`, without skipping.

    Returns:
        The frame, or None, and whether the stream ended before a later one came.
    """
    tick_s = float(packets.stream.time_base or Fraction(1))
    for back_s in BACK_S if packets.true_seek else BACK_S[-1:]:
        packets.jump(target - int(back_s / tick_s))
        best = None
        for frame in sequential(packets):
            if frame.pts is not None and frame.pts > target:
                if best is not None:
                    return best, False
                break
            best = frame
        else:
            if best is not None:
                return best, True
    return None, False
