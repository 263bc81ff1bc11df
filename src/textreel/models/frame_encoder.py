"""BLIP-2's frame Q-Former as an encoder: 32 vectors for every picture.

    frames uint8 (N, 3, H, W)  --encode_frames-->  (N, 32, 768) float32

Frames are squashed to 224 x 224, bicubic, as Video-LLaMA's loader does, without a crop. There is
no text side, so these vectors have no space in common with captions.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BaseImageProcessor, BlipImageProcessorPil

from textreel.models.blip2_repository import (
    find_repository,
    is_repository,
    load_repository,
    repository_files,
)
from textreel.models.encoder_errors import EncoderError
from textreel.models.encoder_files import EncoderFiles, published_files
from textreel.models.encoder_inputs import prepared_frames
from textreel.models.eva_vit import EvaConfig
from textreel.models.frame_qformer import FrameQFormer, load_frame_qformer
from textreel.models.published_files import read_weights
from textreel.models.qformer import QFormerShape
from textreel.models.tower_runner import Prepared, TowerRunner

NAME = "eva-blip2"
EXACT_SUFFIX = "#fp32"
"""Ends the name of an encoder whose transformer keeps weights that the published one rounds."""


class FrameEncoder:
    """A frozen picture encoder that gives several vectors per frame.

    Args:
        model: from pixels to (N, num_queries, dim).
        files: where it came from.
        processor: from frames to its pixels.
        shape: (num_queries, dim).

    Attributes:
        name: `eva-blip2`, or `eva-blip2#fp32` with weights that were not rounded to float16.
        revision: hash of the weight files.
        path: the first of them.
        dim: width of a vector.
        num_queries: vectors per frame.
        device: where it runs; results come back to the CPU.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        files: EncoderFiles,
        processor: BaseImageProcessor,
        shape: tuple[int, int],
    ) -> None:
        self.name, self.revision, self.path = files.name, files.revision, files.path
        self.num_queries, self.dim = shape
        self._model = model
        self._runner = TowerRunner(model, name=self.name)
        self.device: torch.device = self._runner.device
        self._processor = processor

    def encode_frames(self, frames: NDArray[np.uint8] | Tensor) -> Tensor:
        """Return float32 (N, num_queries, dim) for uint8 RGB frames (N, 3, H, W).

        Raises:
            EncoderError: another shape or type.
        """
        return self.encode_prepared(self.prepare_frames(frames))

    def prepare_frames(self, frames: NDArray[np.uint8] | Tensor) -> Prepared:
        """Return what the transformer takes; see `DualEncoder.prepare_frames`."""
        return prepared_frames(frames, self._processor, name=self.name)

    def encode_prepared(self, prepared: Prepared) -> Tensor:
        """Return float32 (N, num_queries, dim) for what `prepare_frames` made."""
        if not prepared:
            return torch.zeros(0, self.num_queries, self.dim)
        return self._runner.run_rows(
            "image",
            prepared,
            main="pixel_values",
            tower=lambda pixel_values: self._model(pixel_values),
        )


def load_frame_encoder(
    weights: Sequence[str | Path],
    *,
    eva_config: EvaConfig | None = None,
    qformer: QFormerShape | None = None,
    half_weights: bool = True,
    device: torch.device | str = "cpu",
) -> FrameEncoder:
    """Load the frame encoder from the published files, or from one Hugging Face BLIP-2.

    Args:
        weights: `eva_vit_g.pth` and `blip2_pretrained_flant5xxl.pth`, in any order; or one folder
            or Hugging Face id of a BLIP-2 model, of which only the vision half is read.
        eva_config: shape of the transformer, ViT-g/14 where None; a Hugging Face model brings its
            own.
        qformer: shape of the Q-Former, BLIP-2's where None; likewise.
        half_weights: round the transformer's weights to float16, as published.
        device: where it runs.

    Raises:
        EncoderError: neither two files nor one model.
        PublishedFileError: a file is missing or not the one wanted.
        EncoderUnavailableError: a Hugging Face model that cannot be had here.
    """
    name = NAME if half_weights else NAME + EXACT_SUFFIX
    if len(weights) == 1 and is_repository(weights[0]):
        folder = find_repository(weights[0])
        model = load_repository(folder, half_weights=half_weights)
        files = published_files(repository_files(folder), name=name)
        return _of(model.to(device), files)
    if len(weights) != 2:
        raise EncoderError(
            f"the frame encoder {NAME} is read from two files, got {len(weights)}",
            hint="give eva_vit_g.pth and blip2_pretrained_flant5xxl.pth, or one Hugging Face "
            "folder or id such as Salesforce/blip2-flan-t5-xxl",
        )
    eva, blip2 = sorted(weights, key=_is_blip2)
    model = load_frame_qformer(
        eva, blip2=blip2, eva_config=eva_config, qformer=qformer, half_weights=half_weights
    )
    return _of(model.to(device), published_files([eva, blip2], name=name))


def _of(model: FrameQFormer, files: EncoderFiles) -> FrameEncoder:
    """Return an encoder that squashes frames as Video-LLaMA's loader does."""
    side, shape = model.vit.config.image_px, model.qformer.shape
    processor = BlipImageProcessorPil(size={"height": side, "width": side})
    return FrameEncoder(model, files=files, processor=processor, shape=(shape.queries, shape.width))


def _is_blip2(path: str | Path) -> bool:
    """Return whether a published file is BLIP-2's; by what is in it, not by its name."""
    return "query_tokens" in read_weights(path, what="EVA ViT-g or BLIP-2")
