"""From texts and frames to what a tower takes. No weights here.

texts                      --tokenize-->  ids  --pad-->  input_ids (N, L), attention_mask (N, L)
frames uint8 (N, 3, H, W)  --prepared_frames-->          pixel_values (N, 3, h, w)
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import BaseImageProcessor, PreTrainedConfig, PreTrainedTokenizerBase

from textreel.models.encoder_errors import EncoderError, TextTooLongError

_PADDED_TO_FULL_LENGTH = frozenset({"siglip", "siglip2"})
"""Model types trained on texts padded to the full length without an attention mask; their vector
is read from the last position. Source: transformers' documentation of SigLIP, "Usage tips"."""
_NO_LIMIT = 1_000_000  # tokenizers without a limit report about 1e30


class TextInputs:
    """Tokenizes and pads texts for one text tower.

    Attributes:
        max_tokens: positions of the tower, special tokens included.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, config: PreTrainedConfig) -> None:
        self._tokenizer = tokenizer
        self._full_length = config.model_type in _PADDED_TO_FULL_LENGTH
        self.max_tokens = _max_tokens(tokenizer, config)
        if tokenizer.pad_token_id is None:
            raise EncoderError(
                f"the tokenizer of a {config.model_type} encoder has no padding token",
                hint="set pad_token in its tokenizer_config.json",
            )

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, special tokens included, however long."""
        if not texts:
            return []
        return self._tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]

    def check_lengths(self, texts: Sequence[str], ids: Sequence[Sequence[int]]) -> None:
        """Refuse texts with more tokens than the tower has positions.

        Raises:
            TextTooLongError: names the longest one and how many there are.
        """
        long = [i for i, row in enumerate(ids) if len(row) > self.max_tokens]
        if long:
            worst = max(long, key=lambda i: len(ids[i]))
            raise TextTooLongError(
                f"{len(long)} of {len(texts)} texts are too long for the text tower: "
                f"{texts[worst][:60]!r}... has {len(ids[worst])} tokens, {self.max_tokens} fit",
                hint="split them and average the vectors (features.fuse.split_text does)",
            )

    def pad(self, ids: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        """Return rows padded on the right to the longest, or to the tower's full length."""
        length = self.max_tokens if self._full_length else max(len(row) for row in ids)
        input_ids = torch.full((len(ids), length), self._tokenizer.pad_token_id, dtype=torch.int64)
        mask = torch.zeros_like(input_ids)
        for i, row in enumerate(ids):
            input_ids[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
        if self._full_length:
            return {"input_ids": input_ids}
        return {"input_ids": input_ids, "attention_mask": mask}

    def width(self, ids: Sequence[int]) -> int:
        """Return how many positions a row of these ids costs at least."""
        return self.max_tokens if self._full_length else len(ids)


def _max_tokens(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> int:
    owner = getattr(config, "text_config", None) or config
    limits = [getattr(owner, "max_position_embeddings", None), tokenizer.model_max_length]
    known = [int(limit) for limit in limits if limit is not None and limit < _NO_LIMIT]
    if not known:
        raise EncoderError(
            f"neither the configuration of a {config.model_type} encoder nor its tokenizer says "
            f"how many tokens fit",
            hint="set model_max_length in its tokenizer_config.json",
        )
    return min(known)


def prepared_frames(
    frames: NDArray[np.uint8] | Tensor, processor: BaseImageProcessor, *, name: str
) -> dict[str, Tensor]:
    """Return what a picture tower takes: resized, cropped and normalised; empty for no frames.

    Args:
        frames: uint8 RGB (N, 3, H, W).
        processor: the model's own.
        name: of the encoder, for messages.

    Raises:
        EncoderError: another shape or type.
    """
    array = frames.cpu().numpy() if isinstance(frames, Tensor) else frames
    if array.ndim != 4 or array.shape[1] != 3 or array.dtype != np.uint8:
        raise EncoderError(
            f"frames for {name} must be uint8 (N, 3, H, W), got {array.dtype} {array.shape}"
        )
    if not len(array):
        return {}
    return dict(processor(list(array), input_data_format="channels_first", return_tensors="pt"))
