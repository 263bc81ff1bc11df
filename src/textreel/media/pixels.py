"""From a decoder's frame to RGB bytes as a viewer sees them.

    turned        by the display matrix, in right angles and mirrorings; any other matrix (all
                  zeros, 45 degrees) counts as none
    square        pixels of another shape are widened or narrowed, where that is 1% or more
    opaque        alpha is blended onto black
    8 bits        of 10, 12 or 16
    SDR           PQ and HLG (HDR) are tone-mapped, see `hdr`

Colours follow the stream's own tags; where it has none FFmpeg's default holds (BT.601, limited
range), as in every reader built on FFmpeg.
"""

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from textreel.media.hdr import HDR_TRANSFERS, to_sdr

SQUARE_TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """How stored pictures are turned for display: transposed first, then mirrored."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False
    absurd: bool = False

    @property
    def clockwise_deg(self) -> int:
        """Degrees clockwise: 0, 90, 180 or 270 (of the part that is no mirroring)."""
        if self.transpose:
            return 90 if self.mirror_x else 270
        return 180 if self.mirror_y else 0

    @property
    def mirrored(self) -> bool:
        """Whether left and right change places beside the turning."""
        return self.transpose ^ self.mirror_x ^ self.mirror_y

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a view of `picture` (H, W, 3) as displayed."""
        if self.transpose:
            picture = picture.transpose(1, 0, 2)
        return picture[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]


_RIGHT_ANGLES = {
    0: Turn(),
    90: Turn(transpose=True, mirror_y=True),
    180: Turn(mirror_x=True, mirror_y=True),
    270: Turn(transpose=True, mirror_x=True),
}
"""By degrees anticlockwise, as PyAV gives them."""


def read_turn(frame: av.VideoFrame) -> Turn:
    """Read the display matrix that comes with a frame."""
    try:
        data = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    except ValueError:  # PyAV 18 does not know every kind of side data, such as EXIF in pictures
        return _RIGHT_ANGLES.get(frame.rotation % 360, Turn(absurd=True))
    if data is None:
        return Turn()
    a, b, _, c, d = (int(v) for v in np.frombuffer(bytes(data), dtype=np.int32)[:5])
    unit = max(abs(v) for v in (a, b, c, d))
    if unit and (a, d) == (0, 0) and abs(b) == abs(c):
        return Turn(transpose=True, mirror_x=c < 0, mirror_y=b < 0)
    if unit and (b, c) == (0, 0) and abs(a) == abs(d):
        return Turn(mirror_x=a < 0, mirror_y=d < 0)
    return Turn(absurd=True)


class Pixels:
    """Converts frames of one stream, all to the displayed size of the first one.

    Attributes:
        turn: how the pictures are turned.
        width, height: displayed size in pixels.
        resized: frames that had another size and were scaled.
    """

    def __init__(self, first: av.VideoFrame, *, aspect: float | None) -> None:
        """Fix the size.

        Args:
            first: the stream's first frame.
            aspect: width of a stored pixel over its height, None where unknown.
        """
        self.turn = read_turn(first)
        self._stored = (first.width, first.height)
        width = first.width
        if aspect and abs(aspect - 1) >= SQUARE_TOLERANCE:
            width = max(1, round(width * aspect))
        self._width, self._height = width, first.height
        across = (self._height, width) if self.turn.transpose else (width, self._height)
        self.width, self.height = across
        self.resized = 0
        self._converter = VideoReformatter()

    def to_rgb(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """Return one frame as uint8 (3, H, W), a view where nothing but the order changes."""
        self.resized += (frame.width, frame.height) != self._stored
        if frame.color_trc in HDR_TRANSFERS:
            picture = to_sdr(self._convert(frame, "rgb48le"), transfer=frame.color_trc)
        elif any(component.is_alpha for component in frame.format.components):
            rgba = self._convert(frame, "rgba")
            picture = _onto_black(rgba)
        else:
            picture = self._convert(frame, "rgb24")
        return self.turn.apply(picture).transpose(2, 0, 1)

    def _convert(self, frame: av.VideoFrame, pixel_format: str) -> NDArray[Any]:
        scaled = (frame.width, frame.height) != (self._width, self._height)
        converted = self._converter.reformat(
            frame,
            width=self._width,
            height=self._height,
            format=pixel_format,
            interpolation=Interpolation.BICUBIC if scaled else None,
            threads=1,
        )
        plane = converted.planes[0]
        dtype = np.uint16 if pixel_format == "rgb48le" else np.uint8
        channels = 4 if pixel_format == "rgba" else 3
        rows = np.frombuffer(memoryview(plane), dtype).reshape(self._height, -1)
        return rows[:, : self._width * channels].reshape(self._height, self._width, channels)


def _onto_black(rgba: NDArray[Any]) -> NDArray[np.uint8]:
    """Blend (H, W, 4) onto black, rounding half up."""
    wide = rgba.astype(np.uint16)
    return ((wide[..., :3] * wide[..., 3:] + 127) // 255).astype(np.uint8)
