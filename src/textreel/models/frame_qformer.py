"""BLIP-2's frozen frame encoder: EVA ViT-g, `ln_vision`, Q-Former; 32 vectors for each picture.

    pixels (N, 3, 224, 224)  -->  ViT (N, 257, 1408)  -->  ln_vision  -->  Q-Former (N, 32, 768)

The norm between the two comes from the BLIP-2 file, not from EVA's, and has eps 1e-5 where the
blocks have 1e-6. The weights are read from the two published files (`eva_vit_g.pth`,
`blip2_pretrained_flant5xxl.pth`), or from one Hugging Face folder of a BLIP-2 model.

Source: Video-LLaMA@64888c0, video_llama/models/{blip2,video_llama}.py.
"""

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from textreel.models.eva_vit import EvaConfig, EvaViT, resize_positions, round_to_half
from textreel.models.published_files import PublishedFileError, Rename, fit, read_weights
from textreel.models.qformer import QFormer, QFormerShape, our_name

LN_VISION_EPS = 1e-5
EVA = "EVA ViT-g (eva_vit_g.pth)"
BLIP2 = "BLIP-2 (blip2_pretrained_flant5xxl.pth)"
_EVA_HEADS = ("norm.", "fc_norm.", "head.", "mask_token")
"""What EVA's own files may hold after the blocks; nothing of it is used."""


class FrameQFormer(nn.Module):
    """The frozen picture encoder of BLIP-2 and Video-LLaMA."""

    def __init__(self, eva: EvaConfig, *, qformer: QFormerShape) -> None:
        super().__init__()
        self.vit = EvaViT(eva)
        self.ln_vision = nn.LayerNorm(eva.width, eps=LN_VISION_EPS)
        self.qformer = QFormer(qformer)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (N, queries, width) for pixels (N, 3, image_px, image_px)."""
        return self.qformer(self.ln_vision(self.vit(pixels)))


def load_eva(
    path: str | Path, *, config: EvaConfig | None = None, half_weights: bool = True
) -> EvaViT:
    """Read `eva_vit_g.pth`; blocks after the last one that is built are not needed.

    Args:
        path: the file; its position table is interpolated where `config.image_px` is another.
        config: the shape, ViT-g/14 where None.
        half_weights: round linear and convolution weights to float16, as published.

    Raises:
        PublishedFileError: no such file, or not this transformer's.
    """
    config = config or EvaConfig()
    with torch.device("meta"):
        model = EvaViT(config)
    model.load_state_dict(_fit_eva(path, model), assign=True)
    model.float()
    if half_weights:
        round_to_half(model)
    return model.eval().requires_grad_(False)


def load_frame_qformer(
    eva: str | Path,
    *,
    blip2: str | Path,
    eva_config: EvaConfig | None = None,
    qformer: QFormerShape | None = None,
    half_weights: bool = True,
) -> FrameQFormer:
    """Read the frame encoder from the two published files; float32.

    Args:
        eva: `eva_vit_g.pth`.
        blip2: `blip2_pretrained_flant5xxl.pth`.
        eva_config: shape of the transformer, ViT-g/14 where None.
        qformer: shape of the Q-Former, BLIP-2's where None.
        half_weights: round the transformer's weights to float16, as published.

    Raises:
        PublishedFileError: a file is missing or not the one wanted.
    """
    with torch.device("meta"):
        model = FrameQFormer(eva_config or EvaConfig(), qformer=qformer or QFormerShape())
    weights = _fit_blip2(blip2, model)  # the smaller file first: errors come early
    model.load_state_dict(weights, strict=False, assign=True)  # `fit` has seen all but the ViT's
    model.vit = load_eva(eva, config=eva_config, half_weights=half_weights)
    return model.float().eval().requires_grad_(False)


def check_frame_files(
    eva: str | Path,
    *,
    blip2: str | Path,
    eva_config: EvaConfig | None = None,
    qformer: QFormerShape | None = None,
) -> None:
    """See that both published files hold every weight that is wanted, without reading them whole.

    Args:
        eva: as `load_frame_qformer` takes it.
        blip2: likewise.
        eva_config: likewise.
        qformer: likewise.

    Raises:
        PublishedFileError: a file is missing or not the one wanted.
    """
    with torch.device("meta"):
        model = FrameQFormer(eva_config or EvaConfig(), qformer=qformer or QFormerShape())
    _fit_blip2(blip2, model)
    _fit_eva(eva, model.vit)


def _fit_eva(path: str | Path, model: EvaViT) -> dict[str, Tensor]:
    config = model.config
    tensors = _with_resized_positions(read_weights(path, what=EVA), config)
    return fit(tensors, model.state_dict(), rename=_eva_name(config), path=path, what=EVA)


def _fit_blip2(path: str | Path, model: FrameQFormer) -> dict[str, Tensor]:
    wanted = {k: v for k, v in model.state_dict().items() if not k.startswith("vit.")}
    tensors = read_weights(path, what=BLIP2)
    return fit(tensors, wanted, rename=_blip2_name, path=path, what=BLIP2)


def _with_resized_positions(tensors: dict[str, Tensor], config: EvaConfig) -> dict[str, Tensor]:
    table = tensors.get("pos_embed")
    if table is None or table.ndim != 3 or table.shape[1] == config.side**2 + 1:
        return tensors
    if config.relative_bias:
        raise PublishedFileError(
            f"a relative position bias for {table.shape[1] - 1} patches cannot be used for "
            f"{config.side**2}",
            hint="set image_px to the size the weights were made for",
        )
    return tensors | {"pos_embed": resize_positions(table, side=config.side)}


def _eva_name(config: EvaConfig) -> Rename:
    def name(published: str) -> str | None:
        block = re.match(r"blocks\.(\d+)\.", published)
        if block and int(block[1]) >= config.depth:
            return None
        if published.startswith(_EVA_HEADS) or published.endswith(".relative_position_index"):
            return None
        return published

    return name


def _blip2_name(published: str) -> str | None:
    if published.startswith("t5_proj."):
        return None
    if published == "query_tokens":
        return "qformer.queries"
    if published.startswith("Qformer."):
        ours = our_name(published.removeprefix("Qformer."))
        return None if ours is None else f"qformer.body.{ours}"
    return published
