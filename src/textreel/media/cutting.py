"""Reading only those pieces of a file's sound that a tower hears: bounded memory at any length.

Where pieces lie depends on how long the sound is, to the sample, which only its end tells; headers
are off by some thousandths. So what lies around the pieces of a sound as long as the header says is
held while the sound is read, and the pieces are cut from that in the end. Where that is too much
(windows that cover an hour) or the header is wrong, the sound is read again, now that its length is
known, and each piece is handed on as soon as it is complete.

The samples are those of `read_sound`, resampled in one stream, so a piece is equal to the bit to
the same part of the whole.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textreel.media.errors import TruncatedError
from textreel.media.sampling import SamplingSpec
from textreel.media.sound import Counting, Passing, Sound, SoundMode, read_sound
from textreel.media.sound_clips import SoundClipSpec
from textreel.media.sound_pieces import Bounds, Piece, TakePiece, TouchingWindows

HELD_BYTES = 32 << 20
"""Of samples that are held while a length is not known."""
SLACK_S = 1.0
"""Held before and behind each piece: headers are hardly ever farther off."""
BELIEVED_S = 360_000.0
"""A header that tells of more, 100 hours, is taken for a damaged one."""
_NO_END = 1 << 62


@dataclass(frozen=True, kw_only=True, slots=True)
class Cutting:
    """What a tower hears of a file's sound.

    Attributes:
        mode: `mono` or `all` channels.
        rate_hz: samples per second.
        rule: where the pieces lie.
    """

    mode: SoundMode
    rate_hz: int
    rule: SoundClipSpec | TouchingWindows

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values only."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Cutting":
        """Read what `to_dict` and JSON made of one."""
        windows = {field.name for field in fields(TouchingWindows)} == set(values["rule"])
        kind = TouchingWindows if windows else SoundClipSpec
        return cls(**{**values, "rule": kind(**values["rule"])})


def read_pieces(
    path: Path,
    cutting: Cutting,
    spec: SamplingSpec,
    *,
    origin_s: float | None,
    hand_on: TakePiece,
    progress: Callable[[], None],
    again: Callable[[], None],
) -> Sound:
    """Read the pieces of a file's sound.

    Args:
        path: the file.
        cutting: which pieces, at which rate.
        spec: its window is what is listened to; its resampler changes the rate.
        origin_s: see `read_sound`.
        hand_on: takes piece after piece, in order of time; none of a sound that is absent or
            undecodable.
        progress: called for each packet, to show that work goes on.
        again: called before the sound is read once more.

    Returns:
        What became of the sound, without samples.

    Raises:
        TruncatedError: the sound had another length when it was read once more.
    """

    def read(keep: Passing) -> Sound:
        return read_sound(
            path,
            cutting.mode,
            rate_hz=cutting.rate_hz,
            origin_s=origin_s,
            spec=spec,
            progress=progress,
            keep=keep,
        )

    held = _Held(cutting, spec)
    try:
        sound = read(held)
        pieces, total = held.pieces(), held.length
    except _TooLongError:
        counting = Counting()
        again()
        sound, pieces = read(counting), None
        total = counting.length_at(cutting.rate_hz)
    if pieces is None and sound.status in ("used", "silent"):
        again()
        sending = _Sending(cutting, spec, total, hand_on)
        sound = read(sending)
        if sending.length != total:
            raise TruncatedError(
                str(path), f"its sound had {total} samples, and {sending.length} when read again"
            )
    for piece in pieces or ():
        hand_on(piece)
    return sound


class _TooLongError(Exception):
    """More than may be held."""


class _Cutter(Passing):
    """Keeps some of a sound, and cuts pieces from that."""

    resampled = True

    def __init__(self, cutting: Cutting, spec: SamplingSpec) -> None:
        super().__init__()
        self._cutting, self._spec = cutting, spec
        self._offset = round((spec.start_s or 0.0) * cutting.rate_hz)
        self._starts: list[int] = []
        self._chunks: list[NDArray[np.float32]] = []

    def _bounds(self, length: int) -> Bounds:
        """Return the pieces' bounds, counted from the file's start."""
        at = self._offset
        bounds = self._cutting.rule.bounds(max(0, length - at), self._cutting.rate_hz)
        return [(start + at, stop + at) for start, stop in bounds]

    def _keep(self, start: int, samples: NDArray[np.float32]) -> None:
        if samples.shape[1]:
            self._starts.append(start)
            self._chunks.append(samples)

    def _cut(self, start: int, stop: int, length: int) -> Piece | None:
        """Return a piece, None where some of it was not kept."""
        found = [np.empty((self.channels, 0), dtype=np.float32)]
        at = start
        for i in range(max(0, bisect_right(self._starts, start) - 1), len(self._starts)):
            first, chunk = self._starts[i], self._chunks[i]
            if first > at or at >= stop:
                break
            found.append(chunk[:, at - first : stop - first])
            at += found[-1].shape[1]
        if at < stop:
            return None
        total = max(0, length - self._offset)
        return Piece(samples=np.concatenate(found, axis=1), start=start - self._offset, total=total)


class _Held(_Cutter):
    """Keeps what lies around the pieces of a sound of the length that its header tells."""

    def reserve(self, channels: int, length_s: float, rate_hz: int) -> None:
        super().reserve(channels, length_s, rate_hz)
        self._wanted = [(self._offset, _NO_END)]
        if length_s > BELIEVED_S:
            raise _TooLongError
        if length_s > 0:
            end_s = length_s if self._spec.end_s is None else min(length_s, self._spec.end_s)
            self._wanted = _spread(self._bounds(round(end_s * rate_hz)), round(SLACK_S * rate_hz))
            if self._bytes(sum(stop - start for start, stop in self._wanted)) > HELD_BYTES:
                raise _TooLongError
        self._kept = 0

    def append(self, samples: NDArray[np.float32]) -> None:
        at = self.length
        super().append(samples)
        for start, stop in self._wanted:
            if start < self.length and at < stop:
                some = samples[:, max(0, start - at) : stop - at]
                self._keep(max(start, at), some.copy())
                self._kept += some.shape[1]
        if self._bytes(self._kept) > HELD_BYTES:
            raise _TooLongError

    def _bytes(self, samples: int) -> int:
        return 4 * self.channels * samples

    def pieces(self) -> list[Piece] | None:
        """Return all of them, None where one was not kept."""
        cut = [self._cut(start, stop, self.length) for start, stop in self._bounds(self.length)]
        whole = [piece for piece in cut if piece is not None]
        return whole if len(whole) == len(cut) else None


class _Sending(_Cutter):
    """Hands on the pieces of a sound whose length is known, and keeps what one still needs."""

    def __init__(
        self, cutting: Cutting, spec: SamplingSpec, length: int, hand_on: TakePiece
    ) -> None:
        super().__init__(cutting, spec)
        self._all, self._hand_on = length, hand_on
        self._left = self._bounds(length)

    def append(self, samples: NDArray[np.float32]) -> None:
        self._keep(self.length, samples)
        super().append(samples)
        while self._left and self._left[0][1] <= self.length:
            piece = self._cut(*self._left.pop(0), self._all)
            assert piece is not None
            self._hand_on(piece)
            self._drop()
        self._drop()

    def _drop(self) -> None:
        """Forget what lies before the next piece."""
        needed = self._left[0][0] if self._left else self.length
        while self._chunks and self._starts[0] + self._chunks[0].shape[1] <= needed:
            del self._starts[0], self._chunks[0]


def _spread(bounds: Bounds, slack: int) -> Bounds:
    """Return bounds wider by `slack` on both sides, those that meet as one."""
    wide: Bounds = []
    for start, stop in bounds:
        start, stop = max(0, start - slack), stop + slack
        if wide and start <= wide[-1][1]:
            wide[-1] = (wide[-1][0], max(stop, wide[-1][1]))
        else:
            wide.append((start, stop))
    return wide
