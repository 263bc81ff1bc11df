"""LLaVA 1.5, LLaVA-NeXT, LLaVA-OneVision: one view of a picture, or that and tiles of it.

    one view   patches^2 tokens, and one for the end of the line where the model has such a vector
    tiles      the same view, then the tiles laid together, without what was padding, with an end
               of line behind every row of patches

For one view the pixels go through the model's own tower, projector and packing; `transformers`
leaves tiles out itself only where a prompt has several pictures, and only in OneVision.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import BaseImageProcessor
from transformers.image_processing_utils import select_best_resolution

from textreel.models.errors import BatchError
from textreel.models.image_mllm.pictures import (
    Family,
    Pictures,
    PictureSettings,
    call_processor,
    joined,
    token_text,
)

_SHRINKS_ABOVE = 1.1
"""OneVision shrinks a grid of tiles that exceeds its limit by more than this
(`pack_image_features`, transformers)."""


def llava(config: Any, tokenizer: Any) -> Family:  # noqa: ANN401
    """Return the family of a LLaVA model."""
    own = _Llava(config, tokenizer)
    return Family(
        name=own.name,
        placeholder=own.placeholder,
        image_token_id=own.image_token_id,
        prepare=own.prepare,
        merge=_merge,
        embed=own.embed if own.has_tiles else None,
        has_tiles=own.has_tiles,
    )


class _Llava:
    def __init__(self, config: Any, tokenizer: Any) -> None:  # noqa: ANN401
        self.name = str(config.model_type)
        self.has_tiles = self.name != "llava"
        self.image_token_id = int(config.image_token_id)
        self.placeholder = token_text(tokenizer, self.image_token_id, what="image")
        self._config = config
        vision = config.vision_config
        self._side = int(vision.image_size) // int(vision.patch_size)
        self._drops_first = config.vision_feature_select_strategy == "default"
        has_class_token = vision.model_type == "clip_vision_model"
        self._per_view = self._side**2 + has_class_token - self._drops_first

    def prepare(
        self,
        pictures: Sequence[NDArray[np.uint8]],
        *,
        processor: BaseImageProcessor,
        settings: PictureSettings,
    ) -> Pictures:
        """See `Family`."""
        if settings.tiles:
            prepared = call_processor(processor, list(pictures))
            sizes = [(int(h), int(w)) for h, w in prepared["image_sizes"].tolist()]
            counts = [self._tiled_tokens(height, width) for height, width in sizes]
            pixels = {name: prepared[name] for name in ("pixel_values", "image_sizes")}
        else:
            counts = [self._per_view + self.has_tiles] * len(pictures)
            pixels = {"pixel_values": self._one_view(pictures, processor)}
        return Pictures(
            words=tuple(self.placeholder * count for count in counts),
            counts=tuple(counts),
            pixels=pixels,
        )

    def _one_view(
        self, pictures: Sequence[NDArray[np.uint8]], processor: BaseImageProcessor
    ) -> Tensor:
        """Return (pictures, 3, side, side): each picture whole."""
        if self.name == "llava_onevision":  # it shows pictures whole where there are several
            several = list(pictures) if len(pictures) > 1 else [*pictures, *pictures]
            found = call_processor(processor, [several])["pixel_values"]
            return found[: len(pictures), 0]
        if self.name == "llava_next":
            side_px = int(self._config.vision_config.image_size)
            found = call_processor(
                processor, list(pictures), image_grid_pinpoints=[[side_px, side_px]]
            )
            return found["pixel_values"][:, 0]
        return call_processor(processor, list(pictures))["pixel_values"]

    def _tiled_tokens(self, height_px: int, width_px: int) -> int:
        """Count as the model's `pack_image_features` lays the tiles together."""
        size_px = int(self._config.vision_config.image_size)
        best_h, best_w = select_best_resolution(
            (height_px, width_px), self._config.image_grid_pinpoints
        )
        rows, columns = best_h // size_px * self._side, best_w // size_px * self._side
        if width_px / height_px > columns / rows:
            kept = int(round(height_px * (columns / width_px), 7))
            rows -= (rows - kept) // 2 * 2
        else:
            kept = int(round(width_px * (rows / height_px), 7))
            columns -= (columns - kept) // 2 * 2
        limit = getattr(self._config, "vision_aspect_ratio", None)
        if limit is not None:
            most = int(str(limit).removeprefix("anyres_max_"))
            ratio = math.sqrt(rows * columns / (most * self._side**2))
            if ratio > _SHRINKS_ABOVE:
                rows, columns = int(rows // ratio), int(columns // ratio)
        return self._per_view + rows * (columns + 1)

    def embed(
        self, body: nn.Module, input_ids: Tensor, pixels: Mapping[str, Tensor]
    ) -> Tensor | None:
        """See `Family`."""
        if "pixel_values" not in pixels or "image_sizes" in pixels:
            return None
        model: Any = body
        embeddings: Tensor = model.get_input_embeddings()(input_ids)
        vectors = self._view_vectors(model, pixels["pixel_values"]).to(embeddings.dtype)
        where = input_ids == self.image_token_id
        if int(where.sum()) != len(vectors):
            raise BatchError(
                f"{int(where.sum())} image tokens for {len(vectors)} vectors of pictures"
            )
        return embeddings.masked_scatter(where[..., None], vectors)

    def _view_vectors(self, model: Any, pixels: Tensor) -> Tensor:  # noqa: ANN401
        """Return the vectors of pictures shown whole, one behind the other."""
        layer = self._config.vision_feature_layer
        states = model.vision_tower(pixels, output_hidden_states=True).hidden_states
        layers = [layer] if isinstance(layer, int) else list(layer)
        hidden = torch.cat([states[index] for index in layers], dim=-1)
        if self._drops_first:
            hidden = hidden[:, 1:]
        vectors = model.multi_modal_projector(hidden)
        ends = model.image_newline.expand(len(vectors), 1, -1).to(vectors)
        return torch.cat([vectors, ends], dim=1).flatten(0, 1)


def _merge(rows: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    if "image_sizes" in rows[0]:
        most = max(row["pixel_values"].shape[1] for row in rows)
        rows = [{**row, "pixel_values": _filled(row["pixel_values"], most)} for row in rows]
    return joined(rows)


def _filled(pixels: Tensor, tiles: int) -> Tensor:
    """Fill (n, tiles of a picture, 3, H, W) up with empty tiles, which the model leaves out."""
    return pad(pixels, (0, 0, 0, 0, 0, 0, 0, tiles - pixels.shape[1]))
