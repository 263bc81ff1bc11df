"""InternVL (as converted for transformers): 448 px views, each a fixed number of tokens.

    <img> <IMG_CONTEXT> * n * views </img>

with n = (side / patch)^2 * downsampling^2; the tiles of a picture come first, the whole view last.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import BaseImageProcessor

from textreel.models.image_mllm.pictures import (
    Family,
    Pictures,
    PictureSettings,
    call_processor,
    token_text,
)

BEGIN, END = "<img>", "</img>"


def internvl(config: Any, tokenizer: Any) -> Family:  # noqa: ANN401
    """Return the family of an InternVL 2.5 or 3 model in its `-hf` form."""
    own = _InternVL(config, tokenizer)
    return Family(
        name=str(config.model_type),
        placeholder=own.placeholder,
        image_token_id=own.image_token_id,
        prepare=own.prepare,
        has_tiles=True,
    )


class _InternVL:
    def __init__(self, config: Any, tokenizer: Any) -> None:  # noqa: ANN401
        self.image_token_id = int(config.image_token_id)
        self.placeholder = token_text(tokenizer, self.image_token_id, what="image")
        patch = config.vision_config.patch_size
        self._patch_px = int(patch if isinstance(patch, int) else patch[0])
        self._ratio = float(config.downsample_ratio)

    def prepare(
        self,
        pictures: Sequence[NDArray[np.uint8]],
        *,
        processor: BaseImageProcessor,
        settings: PictureSettings,
    ) -> Pictures:
        """See `Family`."""
        prepared = call_processor(processor, list(pictures), crop_to_patches=settings.tiles)
        pixels = prepared["pixel_values"]
        cells = (pixels.shape[-1] // self._patch_px) * (pixels.shape[-2] // self._patch_px)
        per_view = int(cells * self._ratio**2)
        counts = tuple(per_view * int(views) for views in prepared["num_patches"])
        return Pictures(
            words=tuple(f"{BEGIN}{self.placeholder * count}{END}" for count in counts),
            counts=counts,
            pixels={"pixel_values": pixels},
        )
