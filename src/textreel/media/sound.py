"""A file's sound, decoded at its own rate and channels, on the clock of its pictures."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from textreel.media.album import FullError
from textreel.media.clip import SoundStatus
from textreel.media.errors import TooMuchSoundError
from textreel.media.opening import open_media, read_only
from textreel.media.resample import resample
from textreel.media.resamplers import SoundResampler, open_resampler
from textreel.media.sampling import SamplingSpec
from textreel.media.streams import choose_sound, header_length_s

SoundMode = Literal["skip", "check", "mono", "all"]
JUMP_S = 0.05
"""Time stamps may waver by this much before samples are moved."""
LATE_S, UNKNOWN_LENGTH_S = 60.0, 3600.0
"""A jump farther than this past the end that the headers tell (or, where they tell none, than an
hour) is a damaged time stamp: the gap would fill the memory with zeros."""
MAX_SOUND_BYTES = 4 << 30
"""Samples that one clip may hold in memory."""
ZEROS = 1 << 16  # samples of a gap that are made at a time
FORESEEN = 1 << 27  # samples: 2.3 hours at 16 kHz; a damaged header may tell of any length
SPARE_S = 1.0
"""Headers round down; growing by a packet would cost a copy of everything."""
NOTED_CUT_S = 0.5
SILENCE = 1 / 32768
"""A sound whose peak is below one step of 16 bits is silent."""
SEEK_S, PRE_ROLL_S = 10.0, 1.0
EXACT_CONTAINERS = ("mov", "matroska")
"""Containers in which a sought position is a true time (in Matroska to its millisecond); in others,
such as MP3, it is a guess."""
Window = tuple[float, float | None]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sound:
    """What became of a file's sound.

    Attributes:
        samples: float32 (C, N), or None.
        rate_hz: samples per second, or None.
        status: see `SoundStatus`.
        length_s: how long the file's sound is, 0 where unknown or absent.
        notes: what was unusual, one sentence each.
    """

    samples: NDArray[np.float32] | None = None
    rate_hz: int | None = None
    status: SoundStatus = "absent"
    length_s: float = 0.0
    notes: tuple[str, ...] = ()


def read_sound(
    path: Path,
    mode: SoundMode,
    *,
    rate_hz: int | None,
    origin_s: float | None,
    spec: SamplingSpec,
    progress: Callable[[], None],
    keep: "Passing | None" = None,
) -> Sound:
    """Read a file's sound.

    Sample n lies at n / rate seconds on the file's clock. What plays before the first frame is
    cut off; a late start, gaps and the time before the window are zeros.

    Args:
        path: the file.
        mode: `skip` only looks whether there is sound; `check` decodes all of it and keeps nothing,
            so that memory is bounded whatever its length; `mono` is the plain mean of all channels;
            `all` keeps the channels.
        rate_hz: the rate wanted; the file's own where None.
        origin_s: when the first frame is shown, on the container's clock; None where there are no
            frames: then the sound itself starts the clock.
        spec: its window is the part wanted, its resampler changes the rate.
        progress: called for each packet, to show that work goes on.
        keep: takes the samples; where None they are kept as an array, if the mode keeps any.

    Raises:
        TooMuchSoundError: it would take more than `MAX_SOUND_BYTES`.
    """
    with open_media(path) as container:
        stream = choose_sound(container)
        if stream is None:
            return Sound()
        length_s = header_length_s(container, stream) or 0.0
        if mode == "skip":
            return Sound(status="unused", length_s=length_s)
        if stream.codec_context is None:
            note = "no decoder for its sound is built in"
            return Sound(status="undecodable", length_s=length_s, notes=(note,))
        read_only(container, stream)
        known_s = max(length_s, (container.duration or 0) / av.time_base)
        latest_s = max(known_s or UNKNOWN_LENGTH_S, spec.start_s or 0.0) + LATE_S
        keep = keep or (Passing() if mode == "check" else _Growing())
        track = _Track(mode, rate_hz, origin_s, spec, (length_s, latest_s), keep)
        try:
            for frame in _frames(container, stream, track, progress):
                track.add(frame)
                if track.complete:
                    break
            return track.result()
        except FullError as error:
            raise TooMuchSoundError(str(path), str(error)) from error


class _Track:
    """Puts decoded frames at their places, mixes, resamples, and counts what is wrong."""

    def __init__(
        self,
        mode: SoundMode,
        rate_hz: int | None,
        origin_s: float | None,
        spec: SamplingSpec,
        ends_s: tuple[float, float],
        kept: "Passing",
    ) -> None:
        self.mode, self.wanted_hz, self.origin_s = mode, rate_hz, origin_s
        self.window_s: Window = (spec.start_s or 0.0, spec.end_s)
        self.length_s, self.latest_s = ends_s  # as headers tell it; what a time may be at most
        self.rate_hz = 0
        self.channels = 0
        self.damaged = self.packets = self.moved = self.remixed = self.absurd = 0
        self._at = 0  # samples placed, at the file's rate
        self._cut = 0  # samples before the first picture
        self._resampler_name, self._kept = spec.resampler, kept
        self._resampler: SoundResampler | None = None

    @property
    def _mixes(self) -> bool:
        return self.mode != "all"

    @property
    def complete(self) -> bool:
        end_s = self.window_s[1]
        return end_s is not None and self.rate_hz > 0 and self._at >= end_s * self.rate_hz

    def add(self, frame: av.AudioFrame) -> None:
        samples = _to_float(frame) if self._kept.hears else _no_matter_what(frame)
        if not self.rate_hz:
            self._start(frame, samples)
        if frame.sample_rate != self.rate_hz:
            samples = resample(samples, frame.sample_rate, self.rate_hz)
        if self._mixes or len(samples) != self.channels:
            self.remixed += not self._mixes
            samples = samples.mean(axis=0, keepdims=True)
            samples = np.repeat(samples, self.channels, axis=0)
        self._place(frame, samples)

    def _start(self, frame: av.AudioFrame, samples: NDArray[np.float32]) -> None:
        self.rate_hz = frame.sample_rate
        self.channels = 1 if self._mixes else len(samples)
        if self.origin_s is None:
            self.origin_s = frame.time or 0.0
        target_hz = (self._kept.resampled and self.wanted_hz) or self.rate_hz
        if target_hz != self.rate_hz:
            self._resampler = open_resampler(
                self._resampler_name, self.rate_hz, target_hz, channels=self.channels
            )
        self._kept.reserve(self.channels, self.length_s, target_hz)

    def _place(self, frame: av.AudioFrame, samples: NDArray[np.float32]) -> None:
        """Append samples where the frame's time says, with zeros before or overlap cut."""
        if frame.time is not None:
            due = round((frame.time - (self.origin_s or 0.0)) * self.rate_hz)
            shift = due - self._at
            if due > self.latest_s * self.rate_hz and shift > JUMP_S * self.rate_hz:
                self.absurd += 1
            elif self._at == 0 or abs(shift) > JUMP_S * self.rate_hz:
                self.moved += self._at != 0
                if shift > 0:
                    self._keep_zeros(shift)
                else:
                    self._cut += min(-shift, samples.shape[1]) if self._at == 0 else 0
                    samples = samples[:, -shift:]
        self._keep(samples)

    def _keep_zeros(self, count: int) -> None:
        for done in range(0, count, ZEROS):
            if not self.complete:
                self._keep(np.zeros((self.channels, min(ZEROS, count - done)), np.float32))

    def _keep(self, samples: NDArray[np.float32]) -> None:
        start_s, end_s = self.window_s
        if end_s is not None:
            samples = samples[:, : max(0, round(end_s * self.rate_hz) - self._at)]
        before = round(start_s * self.rate_hz) - self._at
        if before > 0:
            samples = samples.copy()
            samples[:, :before] = 0.0
        self._at += samples.shape[1]
        self._kept.append(self._resampler.push(samples) if self._resampler else samples)

    def result(self) -> Sound:
        """Return the sound and its status."""
        notes = []
        if self.damaged:
            notes.append(f"{self.damaged} of {self.packets} sound packets could not be decoded")
        if not self.rate_hz:
            if not self.damaged:
                notes.append(f"its sound stream gave no samples ({self.packets} packets)")
            return Sound(status="undecodable", length_s=self.length_s, notes=tuple(notes))
        if self._resampler:
            self._kept.append(self._resampler.finish())
        if self._cut > NOTED_CUT_S * self.rate_hz:
            cut_s = self._cut / self.rate_hz
            notes.append(f"{cut_s:.3f} s of sound before the first picture are cut off")
        if self.moved:
            notes.append(f"the sound jumps {self.moved} times; gaps are zeros, overlaps are cut")
        if self.absurd:
            notes.append(f"the times of {self.absurd} sound frames are absurd and were ignored")
        if self.remixed:
            notes.append(f"{self.remixed} sound frames have other channels and were mixed")
        samples = self._kept.array()
        return Sound(
            samples=samples,
            rate_hz=None if samples is None else self.wanted_hz or self.rate_hz,
            status="silent" if self._kept.hears and self._kept.peak < SILENCE else "used",
            length_s=max(self.length_s, self._at / self.rate_hz),
            notes=tuple(notes),
        )


class Passing:
    """Samples of which only the number and the peak are remembered, at the file's own rate.

    Attributes:
        channels: of the samples.
        rate_hz: of the samples.
        length: how many there were so far.
        peak: the largest absolute value so far.
        resampled: whether it takes samples at the rate that was asked for.
        hears: whether values matter; where not, any may come in their place.
    """

    resampled = False
    hears = True

    def __init__(self) -> None:
        self.channels = self.rate_hz = self.length = 0
        self.peak = 0.0

    def reserve(self, channels: int, length_s: float, rate_hz: int) -> None:
        """Be told what will come: a sound of about `length_s` seconds, 0 where nobody knows."""
        self.channels, self.rate_hz = channels, rate_hz

    def append(self, samples: NDArray[np.float32]) -> None:
        """Take (C, M) more."""
        peak = max(samples.max(initial=0.0), -samples.min(initial=0.0))
        self.peak = max(self.peak, float(peak))
        self.length += samples.shape[1]

    def array(self) -> NDArray[np.float32] | None:
        """Return what was kept."""
        return None


class Counting(Passing):
    """Tells how long a sound is; whether it is silent nobody knows then."""

    hears = False

    def append(self, samples: NDArray[np.float32]) -> None:
        """Count (C, M) more."""
        self.length += samples.shape[1]

    def length_at(self, rate_hz: int) -> int:
        """Return how many samples it has at another rate."""
        return -(-self.length * rate_hz // max(self.rate_hz, 1))


class _Growing(Passing):
    """An array (C, N) that grows by appending, without a second copy where N was foreseen."""

    resampled = True

    def __init__(self) -> None:
        super().__init__()
        self._data = np.empty((1, 0), dtype=np.float32)

    def reserve(self, channels: int, length_s: float, rate_hz: int) -> None:
        super().reserve(channels, length_s, rate_hz)
        foreseen = min(int((length_s + SPARE_S) * rate_hz), FORESEEN)
        self._data = np.empty((channels, foreseen), dtype=np.float32)

    def append(self, samples: NDArray[np.float32]) -> None:
        start = self.length
        super().append(samples)
        channels, stop = len(self._data), self.length
        if 4 * channels * stop > MAX_SOUND_BYTES:
            raise FullError(
                f"its sound of {channels} channels takes more than {MAX_SOUND_BYTES / 1e9:.1f} GB "
                f"of memory after {stop} samples"
            )
        if stop > self._data.shape[1]:
            grown = np.empty((channels, stop + stop // 2), dtype=np.float32)
            grown[:, :start] = self._data[:, :start]
            self._data = grown
        self._data[:, start:stop] = samples

    def array(self) -> NDArray[np.float32] | None:
        return self._data[:, : self.length]


def _frames(
    container: InputContainer, stream: AudioStream, track: _Track, progress: Callable[[], None]
) -> Iterator[av.AudioFrame]:
    """Yield decoded frames; count packets that cannot be read or decoded."""
    if track.window_s[0] > SEEK_S and container.format.name.startswith(EXACT_CONTAINERS):
        if track.origin_s is None:  # the first frame starts the clock, also where it is passed over
            first = next(_decoded(container, stream, track, progress), None)
            track.origin_s = None if first is None else first.time
        start_s = track.window_s[0] + (track.origin_s or 0.0)
        container.seek(int((start_s - PRE_ROLL_S) * av.time_base))
    yield from _decoded(container, stream, track, progress)


def _decoded(
    container: InputContainer, stream: AudioStream, track: _Track, progress: Callable[[], None]
) -> Iterator[av.AudioFrame]:
    demuxer = container.demux(stream)
    while True:
        progress()
        try:
            packet = next(demuxer, None)
            if packet is None:
                return
            track.packets += packet.size > 0
            yield from packet.decode()
        except av.EOFError:
            return
        except av.FFmpegError:  # invalid data, or an error of another library
            track.damaged += 1


def _to_float(frame: av.AudioFrame) -> NDArray[np.float32]:
    """Return a frame's samples as float32 (C, N), full scale at 1."""
    samples = frame.to_ndarray()
    if frame.format.is_packed:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    bits = 8 * samples.dtype.itemsize
    zero = 1 << (bits - 1) if samples.dtype.kind == "u" else 0
    return ((samples.astype(np.float64) - zero) / (1 << (bits - 1))).astype(np.float32)


def _no_matter_what(frame: av.AudioFrame) -> NDArray[np.float32]:
    """Return zeros of a frame's shape that take no memory."""
    return np.broadcast_to(np.float32(0), (frame.layout.nb_channels, frame.samples))
