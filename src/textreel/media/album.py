"""`Album`: pictures of one size by time stamp, one after the other in one piece of memory.

Each picture is copied once, as soon as it is converted, so the decoder can use its own memory
again. The channels of a pixel stay side by side, as the converter writes them: rearranging them and
copying everything a second time at the end took more than half of the time of reading all frames
of 320 x 180 px (docs/LOG.md).
"""

import numpy as np
from numpy.typing import NDArray

FIRST = 8
"""Pictures that memory is asked for at first; then a quarter more whenever it is full."""


class Album:
    """Pictures by time stamp, of the size of the first one."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._memory = np.empty((0, 0, 0, 3), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, stamp: object) -> bool:
        return stamp in self._places

    @property
    def stamps(self) -> list[int]:
        """The time stamps, ascending."""
        return sorted(self._places)

    def add(self, stamp: int, picture: NDArray[np.uint8]) -> None:
        """Copy a picture, uint8 (3, H, W)."""
        count, size = len(self._places), (picture.shape[1], picture.shape[2], 3)
        if not count:
            self._memory = np.empty((FIRST, *size), dtype=np.uint8)
        elif count == len(self._memory):
            self._memory.resize((count + count // 4, *size), refcheck=False)
        self._memory[count] = picture.transpose(1, 2, 0)
        self._places[stamp] = count

    def take(self) -> NDArray[np.uint8]:
        """Return all pictures in order of time, uint8 (T, 3, H, W); the album is empty then."""
        memory, places = self._memory, [self._places[stamp] for stamp in self.stamps]
        self._memory, self._places = memory[:0].copy(), {}
        memory.resize((len(places), *memory.shape[1:]), refcheck=False)
        if places != sorted(places):
            memory = memory[places]
        return memory.transpose(0, 3, 1, 2)
