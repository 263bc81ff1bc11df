"""Pixels as Video-LLaMA's training saw them: one random crop of a clip, brought to 224 x 224.

    frames (N, 3, H, W)  --squash-->  224 x 224  --crop, one for all, bicubic-->  bytes, 224 x 224

A crop has 50 to 100% of the area, and is 3/4 to 4/3 as wide as high. What the bicubic filter throws
below 0 or above 255 wraps around when it becomes a byte: -3.2 turns 253, a bright speck in the dark
beside an edge. The published loader draws another crop at every visit; features are stored once, so
ours draws one, by the hash of the file. A still (one frame) never wraps: the published loader
crops it with Pillow, which holds values in range, and before it is squashed; ours after.

Source: Video-LLaMA@64888c0, processors/video_processor.py (`AlproVideoTrainProcessor`),
transforms_video.py (`RandomResizedCropVideo`), functional_video.py (`resize`).
"""

import math
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate
from transformers import BlipImageProcessorPil

SIDE_PX = 224
SHARES, RATIOS = (0.5, 1.0), (3 / 4, 4 / 3)
"""Of a crop: its share of the area, and its width over its height."""
ATTEMPTS = 10
"""Draws of a crop before everything is taken, as in torchvision's `RandomResizedCrop`."""
Box = tuple[int, int, int, int]
"""Top, left, height, width, in pixels."""


def training_frames(frames: NDArray[np.uint8], *, clip: str, wrapped: bool) -> NDArray[np.uint8]:
    """Return (N, 3, 224, 224), one crop of frames (N, 3, H, W), squashed before.

    Args:
        frames: of one clip, all of them or some.
        clip: its id, the hash of its file; it decides the crop, so that all parts have the same.
        wrapped: let bytes wrap around; not of a still.
    """
    if not len(frames):
        return frames
    rng = Random(f"crop-{clip}")
    squash = BlipImageProcessorPil(
        size={"height": SIDE_PX, "width": SIDE_PX}, do_rescale=False, do_normalize=False
    )
    whole = np.stack(squash(list(frames), input_data_format="channels_first")["pixel_values"])
    top, left, height, width = draw_box(rng, side=SIDE_PX)
    part = torch.from_numpy(whole[:, :, top : top + height, left : left + width]).float()
    big = interpolate(part, size=(SIDE_PX, SIDE_PX), mode="bicubic", align_corners=False)
    return to_bytes(big, wrapped=wrapped)


def to_bytes(values: torch.Tensor, *, wrapped: bool) -> NDArray[np.uint8]:
    """Return values cut to whole numbers: modulo 256 as the published cast, or held in range."""
    whole = values.trunc()
    whole = whole.remainder(256) if wrapped else whole.clamp(0, 255)
    return whole.to(torch.uint8).numpy()


def draw_box(rng: Random, *, side: int) -> Box:
    """Draw a crop of a square as torchvision's `RandomResizedCrop.get_params` does."""
    low, high = (math.log(ratio) for ratio in RATIOS)
    for _ in range(ATTEMPTS):
        area = side * side * rng.uniform(*SHARES)
        ratio = math.exp(rng.uniform(low, high))
        wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if max(wide, tall) <= side:
            return rng.randint(0, side - tall), rng.randint(0, side - wide), tall, wide
    return 0, 0, side, side
