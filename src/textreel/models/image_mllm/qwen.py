"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: pictures keep their size, positions have three axes.

A picture of (t, h, w) patches becomes t * h * w / merge^2 image tokens; the chat template writes
the marks around them. Rotary positions count time, height and width apart; they come from the
model's own `get_rope_index`, once for the whole prompt, so that a prompt may be read in parts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BaseImageProcessor

from textreel.models.image_mllm.pictures import (
    FRAME_TOKENS,
    Family,
    Pictures,
    PictureSettings,
    call_processor,
    token_text,
)


def qwen(config: Any, tokenizer: Any) -> Family:  # noqa: ANN401
    """Return the family of a Qwen-VL model."""
    own = _Qwen(config, tokenizer)
    return Family(
        name=str(config.model_type),
        placeholder=own.placeholder,
        image_token_id=own.image_token_id,
        prepare=own.prepare,
        positions=own.positions,
        keeps_size=True,
    )


class _Qwen:
    def __init__(self, config: Any, tokenizer: Any) -> None:  # noqa: ANN401
        self.image_token_id = int(config.image_token_id)
        self.placeholder = token_text(tokenizer, self.image_token_id, what="image")

    def prepare(
        self,
        pictures: Sequence[NDArray[np.uint8]],
        *,
        processor: BaseImageProcessor,
        settings: PictureSettings,
    ) -> Pictures:
        """See `Family`."""
        side_px = processor.patch_size * processor.merge_size
        size = dict(processor.size)
        most = (settings.frame_tokens or FRAME_TOKENS) * side_px**2
        size["longest_edge"] = min(most, size["longest_edge"])
        size["shortest_edge"] = min(size["shortest_edge"], size["longest_edge"])
        size = {name: size[name] for name in ("shortest_edge", "longest_edge")}
        prepared = call_processor(processor, list(pictures), size=size)
        per_token = processor.merge_size**2
        counts = [int(grid.prod()) // per_token for grid in prepared["image_grid_thw"]]
        return Pictures(
            words=tuple(self.placeholder * count for count in counts),
            counts=tuple(counts),
            pixels={name: prepared[name] for name in ("pixel_values", "image_grid_thw")},
        )

    def positions(self, body: nn.Module, input_ids: Tensor, pixels: Mapping[str, Tensor]) -> Tensor:
        """See `Family`."""
        kinds = (input_ids == self.image_token_id).int()
        found, _ = body.get_rope_index(  # type: ignore[operator]
            input_ids, mm_token_type_ids=kinds, image_grid_thw=pixels.get("image_grid_thw")
        )
        return found
