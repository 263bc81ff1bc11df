"""How long a video stream is: what its header says, measured where that is not to be trusted."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from fractions import Fraction

from textreel.media.packets import Packets, UnseekableError
from textreel.media.streams import ends_unevenly, header_length_s, is_indexed

CREDIBLE_S = 48 * 3600.0
"""A stream that is said to be longer is measured: a damaged header may tell of any length."""


def find_length_s(
    packets: Packets, open_again: Callable[[], AbstractContextManager[Packets]]
) -> float:
    """Return the length of a stream in seconds.

    Args:
        packets: the stream; none of them is read.
        open_again: opens it a second time, for a look at all packets.
    """
    told_s = header_length_s(packets.container, packets.stream)
    if told_s is not None and told_s <= CREDIBLE_S and not ends_unevenly(packets.stream):
        return told_s
    with open_again() as again:
        measured_s = measure_length_s(again)
    return measured_s if told_s is None or told_s > CREDIBLE_S else max(told_s, measured_s)


def measure_length_s(packets: Packets) -> float:
    """Measure a stream whose header does not tell its length, or tells it wrongly.

    All packets are looked at, or, where there is an index, the last ones; nothing is decoded. A
    stream without times has length 0.
    """
    first = packets.stream.start_time if is_indexed(packets.stream) else None
    if first is not None:
        with contextlib.suppress(UnseekableError):  # a damaged index: then all are looked at
            packets.jump(packets.stream.index_entries[-1].timestamp)
    while (packet := packets.read()) is not None:
        if packet.pts is not None and not packet.is_discard:
            first = packet.pts if first is None else min(first, packet.pts)
    if first is None or packets.end is None:
        return 0.0
    return float((packets.end - first) * (packets.stream.time_base or Fraction(1)))
