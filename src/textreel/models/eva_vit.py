"""EVA-CLIP's vision transformer, as BLIP-2 and Video-LLaMA cut it: every token of the last block.

    pixels (N, 3, H, H)  -->  (N, 1 + patches, width)     class token first, no final norm, no head

The defaults are ViT-g/14 without the last of its 40 blocks. Queries and values have a learned bias,
keys have none; a head is 88 wide. The position table of another picture size is interpolated when
the weights are read. Layer scale and a relative position bias per block, which others of the family
use, are options.

transformers' `Blip2VisionModel` is the same ViT-g with the norm of BLIP-2 at its end, at the eps of
the blocks (1e-6, published 1e-5), and without those options: hence this file.

Source: arXiv:2211.07636; DAMO-NLP-SG/Video-LLaMA@64888c0, video_llama/models/eva_vit.py.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, linear, scaled_dot_product_attention

from textreel.models.encoder_errors import EncoderError


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaConfig:
    """Shape of the transformer. The defaults are ViT-g/14 as BLIP-2 cuts it.

    Attributes:
        image_px: side of a picture.
        patch_px: side of a patch.
        width: of a token.
        depth: number of blocks.
        heads: attention heads.
        mlp_hidden: width of the hidden layer, 4.3637 times `width`.
        qkv_bias: whether queries and values have a bias.
        layer_scale: whether each branch is scaled per channel.
        relative_bias: whether each block adds a bias by relative position.
        eps: of the norms.
    """

    image_px: int = 224
    patch_px: int = 14
    width: int = 1408
    depth: int = 39
    heads: int = 16
    mlp_hidden: int = 6144
    qkv_bias: bool = True
    layer_scale: bool = False
    relative_bias: bool = False
    eps: float = 1e-6

    def __post_init__(self) -> None:
        if self.image_px % self.patch_px or self.width % self.heads:
            raise EncoderError(
                f"EvaConfig: image_px={self.image_px} must be a multiple of "
                f"patch_px={self.patch_px}, and width={self.width} of heads={self.heads}"
            )

    @property
    def side(self) -> int:
        """Patches along one side."""
        return self.image_px // self.patch_px


class _Attention(nn.Module):
    def __init__(self, config: EvaConfig) -> None:
        super().__init__()
        self._heads, self._side = config.heads, config.side
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.q_bias = self.v_bias = None
        if config.qkv_bias:
            self.q_bias = nn.Parameter(torch.zeros(config.width))
            self.v_bias = nn.Parameter(torch.zeros(config.width))
        self.relative_position_bias_table: nn.Parameter | None = None
        if config.relative_bias:
            distances = (2 * config.side - 1) ** 2 + 3
            self.relative_position_bias_table = nn.Parameter(torch.zeros(distances, config.heads))
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, tokens: Tensor) -> Tensor:
        bias = None
        if self.q_bias is not None and self.v_bias is not None:
            bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        fused = linear(tokens, self.qkv.weight, bias)
        split = fused.view(*tokens.shape[:2], 3, self._heads, -1)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=self._position_bias())
        return self.proj(mixed.transpose(1, 2).flatten(2))

    def _position_bias(self) -> Tensor | None:
        """Return (heads, tokens, tokens), or None."""
        if self.relative_position_bias_table is None:
            return None
        index = _relative_index(self._side).to(self.relative_position_bias_table.device)
        return self.relative_position_bias_table[index].permute(2, 0, 1)


class _Block(nn.Module):
    def __init__(self, config: EvaConfig) -> None:
        super().__init__()
        width = config.width
        self.norm1 = nn.LayerNorm(width, eps=config.eps)
        self.attn = _Attention(config)
        self.norm2 = nn.LayerNorm(width, eps=config.eps)
        self.mlp = nn.Sequential(
            OrderedDict(
                fc1=nn.Linear(width, config.mlp_hidden),
                act=nn.GELU(),
                fc2=nn.Linear(config.mlp_hidden, width),
            )
        )
        self.gamma_1 = self.gamma_2 = None
        if config.layer_scale:
            self.gamma_1 = nn.Parameter(torch.ones(width))
            self.gamma_2 = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        mixed = self.attn(self.norm1(tokens))
        tokens = tokens + (mixed if self.gamma_1 is None else self.gamma_1 * mixed)
        wider = self.mlp(self.norm2(tokens))
        return tokens + (wider if self.gamma_2 is None else self.gamma_2 * wider)


class _Patches(nn.Module):
    def __init__(self, config: EvaConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch_px, stride=config.patch_px)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.proj(pixels).flatten(2).transpose(1, 2)


class EvaViT(nn.Module):
    """The transformer; its weights have the names of the published files."""

    def __init__(self, config: EvaConfig) -> None:
        super().__init__()
        self.config = config
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.side**2, config.width))
        self.patch_embed = _Patches(config)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.depth))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (N, 1 + patches, width) for pixels (N, 3, image_px, image_px)."""
        wanted = (3, self.config.image_px, self.config.image_px)
        if pixels.shape[1:] != wanted:
            raise EncoderError(
                f"this EVA transformer takes pixels (N, {', '.join(map(str, wanted))}), "
                f"got {tuple(pixels.shape)}",
                hint="resize the pictures, or read its weights for another image_px",
            )
        patches = self.patch_embed(pixels)
        first = self.cls_token.expand(len(patches), -1, -1)
        tokens = torch.cat([first, patches], dim=1) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        return tokens


def resize_positions(table: Tensor, *, side: int) -> Tensor:
    """Return a position table (1, 1 + n^2, width) for `side` patches along a side.

    Bicubic by size, class token kept, as upstream's `interpolate_pos_embed`.
    """
    old = math.isqrt(table.shape[1] - 1)
    if old == side:
        return table
    grid = table[:, 1:].float().reshape(1, old, old, -1).permute(0, 3, 1, 2)
    grid = interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    return torch.cat([table[:, :1].float(), grid.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def round_to_half(model: nn.Module) -> None:
    """Round the weights and biases of linear and convolution layers to float16, in place.

    The published ViT computes with such weights; norms, positions, the class token and the biases
    of queries and values stay as they are. The type stays, only the values are rounded.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.half().to(parameter.dtype)


@cache
def _relative_index(side: int) -> Tensor:
    """Return (1 + n^2, 1 + n^2): which row of the bias table each pair of tokens takes.

    Rows 0 to (2 side - 1)^2 - 1 are offsets between patches; the last three are class token to
    patch, patch to class token, class token to itself.
    """
    span = 2 * side - 1
    places = torch.cartesian_prod(torch.arange(side), torch.arange(side))
    offsets = places[:, None] - places[None] + side - 1
    index = torch.empty(1 + side**2, 1 + side**2, dtype=torch.long)
    index[1:, 1:] = offsets[..., 0] * span + offsets[..., 1]
    index[0], index[:, 0], index[0, 0] = span**2, span**2 + 1, span**2 + 2
    return index
