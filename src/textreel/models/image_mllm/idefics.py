r"""Idefics3, SmolVLM: square views of one size, shuffled down to a fixed number of tokens each.

    one view   <fake><global-img> <image> * n <fake>
    tiles      (<fake><row_r_col_c> <image> * n) by rows, "\n" behind each row, then "\n" + one view

with n = (side / patch)^2 / scale^2. Pixels of a prompt are (1, views, 3, side, side); prompts of
fewer views are filled with zeros, which the models leave out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
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

FAKE, GLOBAL = "<fake_token_around_image>", "<global-img>"


def idefics(config: Any, tokenizer: Any) -> Family:  # noqa: ANN401
    """Return the family of an Idefics3 or SmolVLM model."""
    own = _Idefics(config, tokenizer)
    return Family(
        name=str(config.model_type),
        placeholder=own.placeholder,
        image_token_id=own.image_token_id,
        prepare=own.prepare,
        merge=_merge,
        has_tiles=True,
    )


class _Idefics:
    def __init__(self, config: Any, tokenizer: Any) -> None:  # noqa: ANN401
        self.image_token_id = int(config.image_token_id)
        self.placeholder = token_text(tokenizer, self.image_token_id, what="image")
        self._patch_px = int(config.vision_config.patch_size)
        self._scale = int(config.scale_factor)

    def prepare(
        self,
        pictures: Sequence[NDArray[np.uint8]],
        *,
        processor: BaseImageProcessor,
        settings: PictureSettings,
    ) -> Pictures:
        """See `Family`."""
        prepared = call_processor(
            processor,
            [list(pictures)],
            do_image_splitting=settings.tiles,
            return_row_col_info=True,
        )
        pixels = prepared["pixel_values"]
        per_view = (pixels.shape[-1] // self._patch_px) * (pixels.shape[-2] // self._patch_px)
        per_view //= self._scale**2
        grids = list(zip(_flat(prepared["rows"]), _flat(prepared["cols"]), strict=True))
        return Pictures(
            words=tuple(self._words(rows, columns, per_view) for rows, columns in grids),
            counts=tuple(per_view * (rows * columns + 1) for rows, columns in grids),
            pixels={name: prepared[name] for name in ("pixel_values", "pixel_attention_mask")},
        )

    def _words(self, rows: int, columns: int, per_view: int) -> str:
        view = self.placeholder * per_view
        tiles = "".join(
            "".join(f"{FAKE}<row_{r + 1}_col_{c + 1}>{view}" for c in range(columns)) + "\n"
            for r in range(rows)
        )
        return f"{tiles}{chr(10) if tiles else ''}{FAKE}{GLOBAL}{view}{FAKE}"


def _merge(rows: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    most = max(row["pixel_values"].shape[1] for row in rows)
    return {
        name: torch.cat([_filled(row[name], most) for row in rows])
        for name in ("pixel_values", "pixel_attention_mask")
    }


def _flat(values: Any) -> list[int]:  # noqa: ANN401 - lists or a tensor, by version
    return [int(value) for row in values for value in row]


def _filled(pixels: Tensor, views: int) -> Tensor:
    """Fill (1, n, ...) up to (1, views, ...) with zeros."""
    missing = views - pixels.shape[1]
    return torch.cat([pixels, pixels.new_zeros(1, missing, *pixels.shape[2:])], dim=1)
