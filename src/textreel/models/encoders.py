"""Frozen dual encoders: pictures, texts (and sounds) in one space, as unit vectors.

    texts                        --encode_texts-->   (N, F)
    frames uint8 (N, 3, H, W)    --encode_frames-->  (N, F)      unit-norm float32, on the CPU
    mels (N, frames, bands)      --encode_mels-->    (N, F)
    frames uint8 (N, 3, H, W)    --encode_patches--> (N, P, F')  float32: models/encoder_patches.py

N items, F feature width, P patches of a frame. CLIP, SigLIP, SigLIP 2, MetaCLIP, the tiny
towers and any other Hugging Face model with `get_text_features` and `get_image_features` differ
by name only. How items share batches: models/tower_runner.py.

Pixels are made by the model's own image processor (PIL): 0.5 ms for a frame of 192 px, 4.6 ms for
640 x 360 to 224 px, nearly all of it Pillow's resizing, so a way of our own gains nothing.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoTokenizer,
    BaseImageProcessor,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils import ModelOutput

from textreel.models import tiny_towers as _registers_the_tiny_towers  # noqa: F401
from textreel.models.encoder_errors import EncoderError, EncoderUnavailableError
from textreel.models.encoder_files import EncoderFiles, find_encoder
from textreel.models.encoder_inputs import TextInputs, prepared_frames
from textreel.models.encoder_patches import PatchTower
from textreel.models.encoder_statistics import EncoderStatistics, load_statistics
from textreel.models.tower_runner import Prepared, TowerRunner, unit_norm

__all__ = ["DualEncoder", "Prepared", "load_encoder"]


class DualEncoder:
    """A frozen picture-and-text encoder (and sound, where the model has that tower).

    Attributes:
        name: Hugging Face id or folder name.
        revision: commit, or hash of the folder's files; features of another one are others.
        path: the folder with its files.
        device: where the towers run; results come back to the CPU.
        dim: feature width F.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        files: EncoderFiles,
        texts: TextInputs,
        processor: BaseImageProcessor,
    ) -> None:
        self.name = files.name
        self.revision = files.revision
        self.path = files.path
        self._model = model.eval().requires_grad_(False)
        self._texts = texts
        self._processor = processor
        self.device: torch.device = model.device
        self._runner = TowerRunner(self._model, name=self.name)
        self.dim = self._text_vectors(texts.tokenize(["a"])).shape[1]

    @property
    def config(self) -> PreTrainedConfig:
        """The model's configuration."""
        return self._model.config

    @property
    def has_sound(self) -> bool:
        """Whether there is a sound tower, and its configuration says what it hears."""
        known = all(hasattr(self.config, key) for key in ("sampling_rate", "num_mel_bins"))
        return known and hasattr(self._model, "get_audio_features")

    @property
    def sound_rate_hz(self) -> int | None:
        """Samples per second the sound tower was trained on, or None without one."""
        return int(self.config.sampling_rate) if self.has_sound else None

    @property
    def num_mel_bins(self) -> int | None:
        """Bands of the spectrograms that `encode_mels` takes, or None without a sound tower."""
        return int(self.config.num_mel_bins) if self.has_sound else None

    @property
    def max_text_tokens(self) -> int:
        """Longest text the text tower takes, special tokens included."""
        return self._texts.max_tokens

    @functools.cached_property
    def statistics(self) -> EncoderStatistics | None:
        """The stored means of both towers, or None where none were stored."""
        return load_statistics(self.path, dim=self.dim)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens `text` has, special tokens included."""
        return len(self._texts.tokenize([text])[0])

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit-norm float32 (N, F), one row per text.

        Raises:
            TextTooLongError: a text has more than `max_text_tokens` tokens; nothing is cut.
            EncoderError: the tower gave numbers that are not finite.
        """
        ids = self._texts.tokenize(texts)
        self._texts.check_lengths(texts, ids)
        return self._text_vectors(ids)

    def encode_frames(self, frames: NDArray[np.uint8] | Tensor) -> Tensor:
        """Return unit-norm float32 (N, F), one row per uint8 RGB frame of (N, 3, H, W).

        Raises:
            EncoderError: another shape or type, or numbers that are not finite.
        """
        return self.encode_prepared(self.prepare_frames(frames))

    def prepare_frames(self, frames: NDArray[np.uint8] | Tensor) -> Prepared:
        """Return what the picture tower takes: resized, cropped and normalised as it wants.

        Frames of any size come out in one size, so those of many clips can share a batch; the
        work is on the CPU and can run ahead of the tower in another thread.
        """
        return prepared_frames(frames, self._processor, name=self.name)

    def encode_prepared(self, prepared: Prepared) -> Tensor:
        """Return unit-norm float32 (N, F) for what `prepare_frames` made."""
        return self._encode_rows("image", prepared, "pixel_values", self._model.get_image_features)

    @functools.cached_property
    def patch_dim(self) -> int:
        """Width F' of a patch vector; `dim` where patches are projected into the shared space.

        Raises:
            EncoderError: the picture tower gives no patch tokens.
        """
        return self._patch_tower.dim

    def encode_patches(self, frames: NDArray[np.uint8] | Tensor) -> Tensor:
        """Return float32 (N, P, F'), the last hidden patch tokens of each frame, no class token.

        Unit-norm and in the shared space for CLIP; as the tower gives them for SigLIP.

        Raises:
            EncoderError: the picture tower gives no patch tokens, or as `encode_frames` says.
        """
        return self.encode_prepared_patches(self.prepare_frames(frames))

    def encode_prepared_patches(self, prepared: Prepared) -> Tensor:
        """Return float32 (N, P, F') for what `prepare_frames` made; see `encode_patches`."""
        tower = self._patch_tower
        if not prepared:
            return torch.zeros(0, tower.num_patches, tower.dim)
        return self._runner.run_rows("image", prepared, main="pixel_values", tower=tower)

    @functools.cached_property
    def _patch_tower(self) -> PatchTower:
        return PatchTower(self._model, name=self.name)

    def encode_mels(self, mels: Tensor) -> Tensor:
        """Return unit-norm float32 (N, F), one row per log-mel spectrogram of (N, frames, bands).

        Raises:
            EncoderError: the encoder has no sound tower, or the shape is another.
        """
        if not self.has_sound:
            raise EncoderError(
                f"{self.name} has no sound tower", hint="leave the sound out, or use one that has"
            )
        if mels.ndim != 3 or mels.shape[2] != self.num_mel_bins:
            raise EncoderError(
                f"mels for {self.name} must be (N, frames, {self.num_mel_bins}), "
                f"got {tuple(mels.shape)}"
            )
        prepared = {"input_features": mels} if len(mels) else {}
        return self._encode_rows(
            "sound", prepared, "input_features", self._model.get_audio_features
        )

    def _text_vectors(self, ids: Sequence[Sequence[int]]) -> Tensor:
        if not ids:
            return torch.zeros(0, self.dim)
        return self._runner.run(
            "text",
            [self._texts.width(row) for row in ids],
            make=lambda rows: self._texts.pad([ids[i] for i in rows]),
            tower=_pooled_unit(self._model.get_text_features),
            dim=getattr(self, "dim", None),  # not known before the first text
        )

    def _encode_rows(
        self, kind: str, prepared: Prepared, main: str, tower: Callable[..., Any]
    ) -> Tensor:
        if not prepared:
            return torch.zeros(0, self.dim)
        return self._runner.run_rows(
            kind, prepared, main=main, tower=_pooled_unit(tower), dim=self.dim
        )


def load_encoder(
    name_or_path: str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> DualEncoder:
    """Load a frozen dual encoder by Hugging Face id or folder.

    Args:
        name_or_path: a folder written by `save_pretrained`, or an id; an id that is not cached is
            downloaded, after its name and size are logged, unless HF_HUB_OFFLINE is set.
        device: where its towers run.
        dtype: of its weights; float32 by default, whatever the file holds.

    Raises:
        EncoderError: no such model, or it has no text or no picture tower.
        EncoderUnavailableError: its files cannot be had, or a package that reads them is missing.
    """
    files = find_encoder(name_or_path)
    try:
        model, loaded = AutoModel.from_pretrained(
            files.path, dtype=dtype or torch.float32, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(files.path)
        processor = AutoImageProcessor.from_pretrained(files.path, backend="pil")
    except ImportError as error:
        raise EncoderUnavailableError(
            f"{files.name} needs a package that is not installed: {error}",
            hint="install it with pip",
        ) from error
    except (OSError, ValueError) as error:
        raise EncoderError(f"{files.name} in {files.path} cannot be loaded: {error}") from error
    if absent := sorted(loaded["missing_keys"]):
        raise EncoderError(
            f"{files.name} in {files.path}: the file lacks {len(absent)} weights of a "
            f"{type(model).__name__} (first: {absent[0]}); random ones would take their place"
        )
    wanted = ("get_text_features", "get_image_features")
    if missing := [name for name in wanted if not hasattr(model, name)]:
        raise EncoderError(
            f"{files.name} is a {type(model).__name__} and has no {' and no '.join(missing)}: "
            f"not a dual encoder of pictures and texts",
            hint="use a CLIP or SigLIP model",
        )
    return DualEncoder(
        model.to(device),
        files=files,
        texts=TextInputs(tokenizer, config=model.config),
        processor=processor,
    )


def _pooled_unit(tower: Callable[..., Any]) -> Callable[..., Tensor]:
    """Return the tower with unit-norm (N, F) for its answer, which may be an output object."""
    return unit_norm(lambda **inputs: pooled(tower(**inputs)))


def pooled(output: Tensor | ModelOutput) -> Tensor:
    """Return (N, F) from what a tower returned: a tensor, or an output with `pooler_output`."""
    if isinstance(output, Tensor):
        return output
    return output.pooler_output
