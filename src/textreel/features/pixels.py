"""Which pixels of a clip an encoder sees: whole frames, or those of Video-LLaMA's training.

    squashed   the encoder's own way with whole frames; the default
    wrapped    as in the published training: a random crop, where bytes wrap around
    cropped    the same crop, its values held from 0 to 255

`models.training_pixels` says what they are. Published weights met `wrapped`; `cropped` leaves out
the specks, from which nothing can be learned, and which no video has when the model answers.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from textreel.features.errors import TowerError
from textreel.features.towers import PictureTower
from textreel.models.frame_encoder import FrameEncoder
from textreel.models.imagebind_encoder import ImageBindEncoder
from textreel.models.open_encoder import Encoder
from textreel.models.tower_runner import Prepared
from textreel.models.training_pixels import training_frames

Pixels = Literal["squashed", "cropped", "wrapped"]


class CroppedTower(PictureTower):
    """A picture tower that sees clips as the published training did.

    Args:
        encoder: of Video-LLaMA's; both read 224 x 224 pixels.
        pixels: which of the two ways; the store's encoder is then `NAME#wrapped` or `NAME#cropped`,
            so that they never mix with whole frames.

    Raises:
        TowerError: another encoder.
    """

    def __init__(self, encoder: Encoder, *, pixels: Literal["cropped", "wrapped"]) -> None:
        check_pixels(encoder)
        super().__init__(encoder)
        self.name = f"{encoder.name}#{pixels}"
        self._wrapped = pixels == "wrapped"

    def prepare_some(self, frames: NDArray[np.uint8], *, clip: str, still: bool) -> Prepared:
        """Crop, resize and normalise the frames of one clip, or of a part of it."""
        wrapped = self._wrapped and not still
        return self.prepare_frames(training_frames(frames, clip=clip, wrapped=wrapped))


def check_pixels(encoder: Encoder) -> None:
    """Refuse encoders that read frames in a way of their own.

    Raises:
        TowerError: naming those that do not.
    """
    if not isinstance(encoder, FrameEncoder | ImageBindEncoder):
        raise TowerError(
            f"pixels of Video-LLaMA's training are for eva-blip2 and imagebind-image, not for "
            f"{encoder.name}",
            hint="leave out --pixels",
        )


def pixels_of(encoder: str) -> Pixels:
    """Return which pixels the features of a store show, by its encoder's name.

    >>> pixels_of("eva-blip2#wrapped"), pixels_of("imagebind#x20")
    ('wrapped', 'squashed')
    """
    suffix = encoder.rpartition("#")[2]
    return "cropped" if suffix == "cropped" else "wrapped" if suffix == "wrapped" else "squashed"
