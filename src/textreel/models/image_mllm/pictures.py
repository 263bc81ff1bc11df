"""`Pictures`: what an image-LLM is given for the pictures of one prompt, and who makes it.

    uint8 (3, H, W) each  --PictureReader-->  Pictures: pixels + the words that stand for each

The image processor is the model's own (its PIL version: no torchvision). The words, a run of image
tokens with the family's marks around it, are written here from the grid of the prepared pixels, so
that no composite processor is needed; several of those cannot be built without torchvision.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BaseImageProcessor

from textreel.models.errors import BatchError, ModelConfigError

FRAME_TOKENS = 768
"""Most image tokens of a picture for families that keep its size: the limit that Qwen2.5-VL's own
video processor sets for one frame (28 * 28 * 768 px at 28 * 28 px a token)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureSettings:
    """How much of a picture an image-LLM gets to see.

    Attributes:
        tiles: also cut each picture into tiles, where the family does that; off for frames of
            videos, as in T2Vid (`do_image_splitting=False`, `max_slice_nums 1`).
        frame_tokens: most image tokens of one picture, for families that keep a picture's own
            size; None: `FRAME_TOKENS`.
    """

    tiles: bool = False
    frame_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.frame_tokens is not None and self.frame_tokens < 4:
            raise ModelConfigError(
                f"PictureSettings: frame_tokens={self.frame_tokens} must be 4 or more"
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pictures:
    """The pictures of one prompt, in order.

    Attributes:
        words: what stands in the prompt for each picture.
        counts: image tokens among the words of each.
        pixels: tensors by the name that the model's `forward` knows them by.
    """

    words: tuple[str, ...]
    counts: tuple[int, ...]
    pixels: Mapping[str, Tensor]

    @property
    def num_tokens(self) -> int:
        """Image tokens of all pictures."""
        return sum(self.counts)

    def __len__(self) -> int:
        return len(self.words)

    def __repr__(self) -> str:
        return f"Pictures({len(self)}, {self.num_tokens} image tokens)"


class Prepare(Protocol):
    """Makes pixels and words of uint8 (3, H, W) pictures; at least one."""

    def __call__(
        self,
        pictures: Sequence[NDArray[np.uint8]],
        *,
        processor: BaseImageProcessor,
        settings: PictureSettings,
    ) -> Pictures:
        """Prepare the pictures of one prompt."""


def joined(rows: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Lay the pixels of several prompts one behind the other, along dimension 0."""
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Family:
    """What families of image-LLMs do differently, for one model.

    Attributes:
        name: for messages.
        placeholder: what the model's chat template writes for a picture.
        image_token_id: the token that a picture's vectors replace.
        prepare: makes pixels and words.
        merge: puts the pixels of several prompts into one batch.
        extra_inputs: further inputs of the model that follow from the ids (B, L).
        positions: (body, ids, pixels) to positions (3, B, L), where the model counts in its own
            way; None: from 0.
        embed: (body, ids, pixels) to embeddings (B, L, D) with pictures in place, or to None where
            the model puts them there; None: it always does.
        has_tiles: whether pictures can be cut into tiles.
        keeps_size: whether large pictures take more tokens than small ones.
    """

    name: str
    placeholder: str
    image_token_id: int
    prepare: Prepare
    merge: Callable[[Sequence[Mapping[str, Tensor]]], dict[str, Tensor]] = joined
    extra_inputs: Callable[[Tensor], dict[str, Tensor]] | None = None
    positions: Callable[[nn.Module, Tensor, Mapping[str, Tensor]], Tensor] | None = None
    embed: Callable[[nn.Module, Tensor, Mapping[str, Tensor]], Tensor | None] | None = None
    has_tiles: bool = False
    keeps_size: bool = False


class PictureReader:
    """Makes `Pictures` with a model's own image processor.

    Args:
        processor: the model's.
        family: the model's.
        settings: how much is seen.

    Raises:
        ModelConfigError: a setting that has no effect on this family.
    """

    def __init__(
        self, processor: BaseImageProcessor, family: Family, settings: PictureSettings
    ) -> None:
        if settings.tiles and not family.has_tiles:
            raise ModelConfigError(
                f"tiles have no effect: {family.name} never cuts a picture into tiles",
                hint="leave the setting out",
            )
        if settings.frame_tokens is not None and not family.keeps_size:
            raise ModelConfigError(
                f"frame_tokens={settings.frame_tokens} has no effect: {family.name} gives every "
                f"picture the same number of tokens",
                hint="leave the setting out (in a recipe that has it: --set frame_tokens=null), or "
                "show fewer frames",
            )
        self.processor = processor
        self.family = family
        self.settings = settings

    def read(self, pictures: Sequence[NDArray[np.uint8]]) -> Pictures:
        """Prepare pictures, uint8 RGB (3, H, W) each, of any sizes; at least one.

        Raises:
            BatchError: none at all, or one of another shape or type.
        """
        if not len(pictures):
            raise BatchError("there is no picture to read")
        for index, picture in enumerate(pictures):
            if picture.ndim != 3 or picture.shape[0] != 3 or picture.dtype != np.uint8:
                raise BatchError(
                    f"picture {index} of {len(pictures)} must be uint8 (3, H, W), got "
                    f"{picture.dtype} {picture.shape}"
                )
        return self.family.prepare(pictures, processor=self.processor, settings=self.settings)


def call_processor(
    processor: BaseImageProcessor,
    pictures: Sequence[NDArray[np.uint8]] | Sequence[Sequence[NDArray[np.uint8]]],
    **settings: Any,  # noqa: ANN401 - whatever the processor takes
) -> dict[str, Any]:
    """Run an image processor over channels-first pictures; tensors by name."""
    return dict(
        processor(pictures, input_data_format="channels_first", return_tensors="pt", **settings)
    )


def token_text(tokenizer: Any, token_id: int, *, what: str) -> str:  # noqa: ANN401
    """Return the text of a model's special token.

    Raises:
        ModelConfigError: the tokenizer does not know it.
    """
    text = tokenizer.convert_ids_to_tokens(token_id)
    if text is None or tokenizer.convert_tokens_to_ids(text) != token_id:
        raise ModelConfigError(
            f"the tokenizer does not know the model's {what} token (id {token_id})",
            hint="model and tokenizer are not of one piece; get the folder again",
        )
    return str(text)
