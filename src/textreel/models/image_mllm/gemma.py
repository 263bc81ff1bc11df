"""Gemma 3: every picture is 256 tokens between two marks; its tokens see each other both ways."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from transformers import BaseImageProcessor

from textreel.models.image_mllm.pictures import (
    Family,
    Pictures,
    PictureSettings,
    call_processor,
    token_text,
)


def gemma(config: Any, tokenizer: Any) -> Family:  # noqa: ANN401
    """Return the family of a Gemma 3 model; its crops (pan and scan) are never made."""
    own = _Gemma(config, tokenizer)
    return Family(
        name=str(config.model_type),
        placeholder=own.placeholder,
        image_token_id=own.image_token_id,
        prepare=own.prepare,
        extra_inputs=own.extra_inputs,
    )


class _Gemma:
    def __init__(self, config: Any, tokenizer: Any) -> None:  # noqa: ANN401
        self.image_token_id = int(config.image_token_id)
        self.placeholder = token_text(tokenizer, config.boi_token_index, what="begin-of-image")
        end = token_text(tokenizer, config.eoi_token_index, what="end-of-image")
        image = token_text(tokenizer, self.image_token_id, what="image")
        self._count = int(config.mm_tokens_per_image)
        self._words = f"\n\n{self.placeholder}{image * self._count}{end}\n\n"

    def prepare(
        self,
        pictures: Sequence[NDArray[np.uint8]],
        *,
        processor: BaseImageProcessor,
        settings: PictureSettings,
    ) -> Pictures:
        """See `Family`."""
        prepared = call_processor(processor, list(pictures), do_pan_and_scan=False)
        return Pictures(
            words=(self._words,) * len(pictures),
            counts=(self._count,) * len(pictures),
            pixels={"pixel_values": prepared["pixel_values"]},
        )

    def extra_inputs(self, input_ids: Tensor) -> dict[str, Tensor]:
        """See `Family`."""
        return {"token_type_ids": (input_ids == self.image_token_id).long()}
