"""`Album`: pictures of one size by time stamp, one after the other in one piece of memory.

Each picture is copied once, as soon as it is converted, so the decoder can use its own memory
again. The channels of a pixel stay side by side, as the converter writes them: rearranging them and
copying everything a second time at the end took more than half of the time of reading all frames
of 320 x 180 px (docs/LOG.md).

An album that hands on keeps at most a `Part`: whatever the length of the video, memory is bounded.
One that keeps everything has a limit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

FIRST = 8
"""Pictures that memory is asked for at first; then a quarter more whenever it is full."""
PART_BYTES = 16 << 20
"""A part holds no more than this, or one picture. Memory of this size is used again by the C
library without asking the system, so parts cost no page faults."""
MAX_CLIP_BYTES = 4 << 30
"""Pictures that one clip may hold in memory, unless the caller says otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Part:
    """Some of a clip's pictures.

    Attributes:
        frames: uint8 (N, 3, H, W), RGB.
        times_s: float64 (N,), the time of each, ascending.
    """

    frames: NDArray[np.uint8]
    times_s: NDArray[np.float64]


HandOn = Callable[[Part], None]
"""Takes part after part. They come in order of time, but for pictures of a damaged file that had
to be looked for again: those come at the end."""


class FullError(MemoryError):
    """More than a clip may hold."""

    exit_code: ClassVar[int] = 1
    hint: str = "read less at a time"


class Album:
    """Pictures by time stamp, of the size of the first one."""

    def __init__(
        self,
        *,
        max_bytes: int | None = None,
        full: Callable[[list[int], NDArray[np.uint8]], None] | None = None,
    ) -> None:
        """Begin an empty album.

        Args:
            max_bytes: of pictures in memory; no limit where None.
            full: takes the stamps and the pictures, uint8 (N, 3, H, W), of every part; all are
                kept where None.
        """
        self._places: dict[int, int] = {}
        self._memory = np.empty((0, 0, 0, 3), dtype=np.uint8)
        self._max_bytes, self._full = max_bytes, full
        self._passed: set[int] = set()  # stamps of pictures that were handed on

    def __len__(self) -> int:
        return len(self._places) + len(self._passed)

    def __contains__(self, stamp: object) -> bool:
        return stamp in self._places or stamp in self._passed

    @property
    def stamps(self) -> list[int]:
        """The time stamps, ascending, also of pictures that were handed on."""
        return sorted(self._passed.union(self._places))

    def add(self, stamp: int, picture: NDArray[np.uint8]) -> None:
        """Copy a picture, uint8 (3, H, W).

        Raises:
            FullError: it would be more than `max_bytes`.
        """
        count, size = len(self._places), (picture.shape[1], picture.shape[2], 3)
        if self._max_bytes is not None and (count + 1) * picture.nbytes > self._max_bytes:
            raise FullError(
                f"{count + 1} pictures of {picture.shape[2]} x {picture.shape[1]} pixels take more "
                f"than {self._max_bytes} bytes"
            )
        if not count:
            first = FIRST if self._full is None else max(1, PART_BYTES // picture.nbytes)
            self._memory = np.empty((first, *size), dtype=np.uint8)
        elif count == len(self._memory):
            self._memory.resize((count + count // 4, *size), refcheck=False)
        self._memory[count] = picture.transpose(1, 2, 0)
        self._places[stamp] = count
        if self._full is not None and count + 1 == len(self._memory):
            self.hand_on()

    def hand_on(self) -> None:
        """Give what is here to the taker, if there is one and anything is here."""
        if self._full is None or not self._places:
            return
        stamps = sorted(self._places)
        self._full(stamps, self._taken(stamps))
        self._passed.update(stamps)

    def drop(self) -> None:
        """Forget the pictures still here."""
        self._places = {}

    def take(self) -> NDArray[np.uint8]:
        """Return the pictures still here in order of time, uint8 (T, 3, H, W), and drop them."""
        return self._taken(sorted(self._places))

    def _taken(self, stamps: list[int]) -> NDArray[np.uint8]:
        memory, places = self._memory, [self._places[stamp] for stamp in stamps]
        self._memory, self._places = memory[:0].copy(), {}
        memory.resize((len(places), *memory.shape[1:]), refcheck=False)
        if places != sorted(places):
            memory = memory[places]
        return memory.transpose(0, 3, 1, 2)
