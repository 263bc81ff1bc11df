"""`Packets`: a stream's packets in order of decoding, its decoder, and jumps between them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import av
from av.container import InputContainer
from av.video.stream import VideoStream

BACK_S = (0.0, 2.0, 8.0, 32.0, 128.0, 1e9)
"""How far before a time decoding starts, attempt by attempt."""
MAX_TICKS = 1 << 60
TRUE_SEEK = ("mov", "matroska", "avi", "flv", "asf", "mpegts")
"""Containers whose packets keep their time stamps after a jump. (MXF: shifted by a frame.)"""
SKIPPING = ("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4")
"""Decoders that can be told at any packet to skip it. (dav1d takes its first order for ever.)"""
ENCODER_FAULTS = ("h264", "mpeg4")
"""Decoders that work around faults of old encoders (x264 in 4:4:4, DivX, Xvid) by their names,
which only the first packet holds: that one is decoded before any jump."""


class UnseekableError(OSError):
    """A container that can only be read from its start (animated GIF, for instance)."""

    exit_code: ClassVar[int] = 1
    hint: str = "read it sequentially"


@dataclass(slots=True)
class Work:
    """What reading has cost so far.

    Attributes:
        packets: packets given to the decoder.
        damaged: packets the decoder refused.
        jumps: seeks made.
        cut: the demuxer ended with an error, not with the file's end.
    """

    packets: int = 0
    damaged: int = 0
    jumps: int = 0
    cut: bool = False


class Packets:
    """The packets of one stream, and its decoder.

    Attributes:
        container, stream: where they come from.
        work: what reading has cost so far.
        position: about where reading is, None right after a jump.
        floor: nothing to come is shown before it; None where unknown, as in Matroska after a jump.
        end: the largest time stamp at which a frame read so far ends.
        true_seek: whether time stamps can be trusted after a jump into the middle.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, *, progress: Callable[[], None]
    ) -> None:
        self.stream = stream
        self.work = Work()
        self.position: int | None = None
        self.floor: int | None = None
        self.end: int | None = None
        self.container = container
        self._progress = progress
        self._demuxer = container.demux(stream)
        self._fully = True
        codec = stream.codec_context.name
        self._skips = codec in SKIPPING
        self._needs_start = codec in ENCODER_FAULTS and (
            codec != "h264" or "444" in (stream.codec_context.pix_fmt or "")
        )
        self.true_seek = container.format.name.startswith(TRUE_SEEK)
        stream.codec_context.thread_count = 1

    def read(self) -> av.Packet | None:
        """Return the next packet, None at the end."""
        self._progress()
        packet = None
        try:
            while (packet := next(self._demuxer, None)) is not None and not packet.size:
                continue
        except av.FFmpegError:  # which kind depends on the container
            self.work.cut = True
        if packet is None:
            return None
        self.position = packet.pts if packet.dts is None else packet.dts
        self.floor = packet.dts
        if packet.pts is not None:
            self.end = max(self.end or packet.pts, packet.pts + (packet.duration or 0))
        return packet

    def decode(self, packet: av.Packet | None, *, fully: bool = True) -> list[av.VideoFrame]:
        """Return the frames that come out after `packet` went in; None empties the decoder.

        Args:
            packet: the next packet in order of decoding.
            fully: False where its frame is not asked for; it may then be skipped.
        """
        context = self.stream.codec_context
        self._needs_start &= packet is None
        if self._skips and context.is_open and fully != self._fully:
            context.skip_frame = "DEFAULT" if fully else "NONREF"
            self._fully = fully
        self.work.packets += packet is not None
        try:
            return context.decode(packet)
        except av.EOFError:
            self.work.cut = True
        except av.FFmpegError:  # invalid data; an error of zlib, dav1d or another library; ...
            self.work.damaged += 1
        return []

    def start_again(self, first: av.Packet) -> None:
        """Let the decoder forget everything: the next packet is a key frame.

        Args:
            first: the first packet that has not been decoded.
        """
        if self._needs_start:
            self.decode(first)
        self.stream.codec_context.flush_buffers()

    def jump(self, ticks: int) -> None:
        """Go to the key frame at or before `ticks`, as the container finds it.

        Raises:
            UnseekableError: the container cannot go back; what was read is lost.
        """
        if self._needs_start:
            self._seek(-MAX_TICKS)
            self.decode(next(self._demuxer, None))
        self.work.jumps += 1
        self._seek(max(ticks, -MAX_TICKS))
        self.position = self.floor = None

    def jump_before(self, target: int) -> av.Packet | None:
        """Jump to a key frame that is shown no later than `target`, and return its packet.

        Returns:
            Where there is none so early, the first key frame; None where there is none at all.
        """
        packet = None
        for back_s in BACK_S:
            self.jump(target - int(back_s / float(self.stream.time_base or 1)))
            while (packet := self.read()) is not None and not starts(packet):
                continue
            if packet is not None and packet.pts <= target:
                break
        return packet

    def _seek(self, ticks: int) -> None:
        try:
            self.container.seek(ticks, stream=self.stream, backward=True)
        except av.FFmpegError as error:
            raise UnseekableError(f"cannot go to {ticks}: {error.strerror}") from error
        self._demuxer = self.container.demux(self.stream)


def sequential(packets: Packets) -> Iterator[av.VideoFrame]:
    """Yield every frame from here on."""
    while (packet := packets.read()) is not None:
        yield from packets.decode(packet)
    yield from packets.decode(None)


def starts(packet: av.Packet) -> bool:
    """Return whether decoding can start with this packet."""
    return packet.is_keyframe and packet.pts is not None
