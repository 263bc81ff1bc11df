"""What frozen encoders cost: parameters, memory, arithmetic. On meta tensors, nothing is loaded.

Parameters are counted, bytes follow from the type the weights are held in, and floating-point
operations are counted while the tower runs on one item that has a shape but no content (a multiply
and an add are two operations). Seconds follow from a rate that the reader knows of his machine.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import ClapAudioConfig, ClapAudioModelWithProjection

from textreel.models.eva_vit import EvaConfig
from textreel.models.frame_qformer import FrameQFormer
from textreel.models.imagebind import (
    MAX_TEXT_TOKENS,
    MEL_FRAMES,
    NUM_MELS,
    ImageBind,
    ImageBindConfig,
)
from textreel.models.qformer import QFormerShape


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderSize:
    """One tower at its published size.

    Attributes:
        tower: what it is.
        item: what it takes at a time.
        parameters: how many.
        flops: floating-point operations for one item.
        vectors: shape of what it gives for one item.
    """

    tower: str
    item: str
    parameters: int
    flops: int
    vectors: tuple[int, ...]

    @property
    def float32_bytes(self) -> int:
        """Memory of the weights in float32, as they are held on a processor."""
        return 4 * self.parameters

    @property
    def float16_bytes(self) -> int:
        """Memory of the weights in float16."""
        return 2 * self.parameters

    @property
    def stored_bytes(self) -> int:
        """Size of one item's features in a store (float16)."""
        return 2 * int(torch.Size(self.vectors).numel())


def encoder_sizes() -> tuple[EncoderSize, ...]:
    """Return the sizes of all towers that are read from published files, and of CLAP's."""
    with torch.device("meta"):
        bound = ImageBind(ImageBindConfig())
        frames = FrameQFormer(EvaConfig(), qformer=QFormerShape())
        clap = ClapAudioModelWithProjection(ClapAudioConfig())
        still = torch.zeros(1, 3, 224, 224)
        mels = torch.zeros(1, 1, NUM_MELS, MEL_FRAMES)
        ids = torch.zeros(1, MAX_TEXT_TOKENS, dtype=torch.long)
        ten_s = torch.zeros(1, 1, 1001, 64)
    frame, clip = "picture, 224 px", "sound, 2 s"

    def hear(mel: Tensor) -> Tensor:
        return clap(mel, is_longer=torch.zeros(1, 1, device="meta")).audio_embeds

    return (
        _size("imagebind-audio", clip, bound.sound, bound.sound, mels),
        _size("imagebind-image", frame, bound.image, bound.image, still),
        _size("ImageBind's text tower", "text, 77 tokens", bound.text, bound.text, ids),
        _size("eva-blip2", frame, frames, frames, still),
        _size("of it: EVA ViT-g", frame, frames.vit, frames.vit, still),
        _size("CLAP (transformers' default)", "sound, 10 s", clap, hear, ten_s),
    )


def _size(
    tower: str, item: str, module: nn.Module, run: Callable[[Tensor], Tensor], inputs: Tensor
) -> EncoderSize:
    with FlopCounterMode(display=False) as counter:
        vectors = run(inputs)
    return EncoderSize(
        tower=tower,
        item=item,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        flops=counter.get_total_flops(),
        vectors=tuple(vectors.shape[1:]),
    )
