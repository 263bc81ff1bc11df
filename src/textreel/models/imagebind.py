"""ImageBind's picture, sound and text towers: three senses, one space.

    pixels (N, 3, 224, 224)        --image-->  (N, F)     a still is shown twice; or (N, 3, 2, H, W)
    mels (..., 1, 128, 204)        --sound-->  (..., F)   one vector per two-second clip
    ids (N, 77)                    --text-->   (N, F)     causal, read at the end-of-text token

N items, F = 1024 in `imagebind_huge`. Each tower: stem, class token and positions, pre-norm blocks,
then norm, first token, linear map. Epsilon is 1e-6 everywhere but in the norm of the sound stem
(1e-5). The sound blocks attend to one more learned key and value (`bias_k`, `bias_v`).

Vectors have unit length. Published sound vectors are 20 times as long: a temperature that was baked
into the tower. `sound_vectors` must be told which are wanted. The published `forward` averages the
clips of one sound; Video-LLaMA keeps them apart, and so does this module: `.mean(-2)` averages.

Depth, thermal and motion towers are not built.

Source: arXiv:2305.05665; facebookresearch/ImageBind@53680b0, imagebind/models.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from textreel.models.encoder_errors import EncoderError

Sense = Literal["image", "sound", "text"]
SENSES: tuple[Sense, ...] = ("image", "sound", "text")
SoundScale = Literal["unit", "published"]
"""Length of sound vectors: 1, or as published (20)."""

EPS = 1e-6
PATCH_PX, STILL_FRAMES = 14, 2
IMAGE_PX = 224
NUM_MELS, MEL_FRAMES = 128, 204
MEL_KERNEL, MEL_STRIDE = 16, 10
VOCABULARY, MAX_TEXT_TOKENS = 49_408, 77
MAX_LOGIT_SCALE = 100.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TowerShape:
    """Width, depth and heads of one tower."""

    width: int
    blocks: int
    heads: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageBindConfig:
    """Shapes of the towers. The defaults are `imagebind_huge`.

    Attributes:
        image: the picture tower.
        sound: the sound tower.
        text: the text tower.
        dim: F, width of the shared space.
    """

    image: TowerShape = TowerShape(width=1280, blocks=32, heads=16)
    sound: TowerShape = TowerShape(width=768, blocks=12, heads=12)
    text: TowerShape = TowerShape(width=1024, blocks=24, heads=16)
    dim: int = 1024


class _Block(nn.Module):
    """Pre-norm self-attention and a four times wider GELU layer."""

    def __init__(self, shape: TowerShape, *, extra_key: bool) -> None:
        super().__init__()
        width = shape.width
        self.norm_1 = nn.LayerNorm(width, eps=EPS)
        self.attn = nn.MultiheadAttention(
            width, shape.heads, add_bias_kv=extra_key, batch_first=True
        )
        self.norm_2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = nn.Sequential(
            OrderedDict(
                fc1=nn.Linear(width, 4 * width), act=nn.GELU(), fc2=nn.Linear(4 * width, width)
            )
        )

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        seen = self.norm_1(tokens)
        heard, _ = self.attn(seen, seen, seen, need_weights=False, attn_mask=mask)
        tokens = tokens + heard
        return tokens + self.mlp(self.norm_2(tokens))


class _Tower(nn.Module):
    """Blocks and a head; what comes before them is the subclass's `embed`."""

    def __init__(self, shape: TowerShape, *, dim: int, extra_key: bool = False) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(shape, extra_key=extra_key) for _ in range(shape.blocks))
        self.norm = nn.LayerNorm(shape.width, eps=EPS)
        self.project = nn.Linear(shape.width, dim, bias=False)

    def trunk(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return (N, L, width) of the last block."""
        for block in self.blocks:
            tokens = block(tokens, mask)
        return tokens


class _SenseTower(_Tower):
    """A tower over patches with a class token in front."""

    def __init__(
        self, shape: TowerShape, *, dim: int, num_patches: int, extra_key: bool = False
    ) -> None:
        super().__init__(shape, dim=dim, extra_key=extra_key)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.positions = nn.Parameter(torch.zeros(1, 1 + num_patches, shape.width))

    def embed(self, inputs: Tensor) -> Tensor:
        """Return tokens (N, 1 + patches, width), positions added."""
        patches = self._patches(inputs).flatten(2).transpose(1, 2)
        patches = self._after_stem(patches)
        first = self.cls_token.expand(len(patches), -1, -1)
        return torch.cat([first, patches], dim=1) + _resized(self.positions, patches.shape[1])

    def feature(self, inputs: Tensor) -> Tensor:
        """Return (N, width): the normalised class token, before the linear map."""
        return self.norm(self.trunk(self.embed(inputs))[:, 0])

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (N, F), not normalised."""
        return self.project(self.feature(inputs))

    def _patches(self, inputs: Tensor) -> Tensor:
        raise NotImplementedError

    def _after_stem(self, patches: Tensor) -> Tensor:
        return patches


class ImageTower(_SenseTower):
    """Stills, or pairs of frames, in patches of 14 px over 2 frames."""

    def __init__(self, shape: TowerShape, *, dim: int) -> None:
        super().__init__(shape, dim=dim, num_patches=(IMAGE_PX // PATCH_PX) ** 2)
        kernel = (STILL_FRAMES, PATCH_PX, PATCH_PX)
        self.stem = nn.Conv3d(3, shape.width, kernel, stride=kernel, bias=False)
        self.pre_norm = nn.LayerNorm(shape.width, eps=EPS)

    def trunk(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return (N, L, width) of the last block."""
        return super().trunk(self.pre_norm(tokens), mask)

    def _patches(self, inputs: Tensor) -> Tensor:
        height, width = inputs.shape[-2:]
        if height != width or height % PATCH_PX:
            raise EncoderError(
                f"ImageBind takes square pictures of a multiple of {PATCH_PX} px, "
                f"got {height} x {width}"
            )
        if inputs.ndim == 4:
            inputs = inputs[:, :, None].expand(-1, -1, STILL_FRAMES, -1, -1)
        return self.stem(inputs)


class SoundTower(_SenseTower):
    """Mel pictures of two seconds in overlapping patches of 16 x 16, every 10."""

    log_scale: Tensor

    def __init__(self, shape: TowerShape, *, dim: int) -> None:
        rows, columns = ((n - MEL_KERNEL) // MEL_STRIDE + 1 for n in (NUM_MELS, MEL_FRAMES))
        super().__init__(shape, dim=dim, num_patches=rows * columns, extra_key=True)
        self.stem = nn.Conv2d(1, shape.width, MEL_KERNEL, stride=MEL_STRIDE, bias=False)
        self.stem_norm = nn.LayerNorm(shape.width)  # 1e-5, as published
        self.register_buffer("log_scale", torch.tensor(math.log(20.0)))

    def _patches(self, inputs: Tensor) -> Tensor:
        if inputs.shape[1:] != (1, NUM_MELS, MEL_FRAMES):
            raise EncoderError(
                f"ImageBind hears mel pictures (1, {NUM_MELS}, {MEL_FRAMES}), "
                f"got {tuple(inputs.shape[1:])}"
            )
        return self.stem(inputs)

    def _after_stem(self, patches: Tensor) -> Tensor:
        return self.stem_norm(patches)


class TextTower(_Tower):
    """CLIP's kind of text tower: causal, read at the token with the highest id."""

    log_scale: Tensor

    def __init__(self, shape: TowerShape, *, dim: int) -> None:
        super().__init__(shape, dim=dim)
        self.tokens = nn.Embedding(VOCABULARY, shape.width)
        self.positions = nn.Parameter(torch.zeros(1, MAX_TEXT_TOKENS, shape.width))
        self.register_buffer("log_scale", torch.tensor(0.0))

    def forward(self, ids: Tensor) -> Tensor:
        """Return (N, F), not normalised; ids (N, L) with L <= 77, zeros after the end."""
        length = ids.shape[1]
        if length > MAX_TEXT_TOKENS:
            raise EncoderError(f"ImageBind reads {MAX_TEXT_TOKENS} tokens, got rows of {length}")
        mask = torch.full((length, length), -torch.inf, device=ids.device).triu(1)
        tokens = self.trunk(self.tokens(ids) + self.positions[:, :length], mask)
        ends = tokens[torch.arange(len(ids), device=ids.device), ids.argmax(-1)]
        return self.project(self.norm(ends))


class ImageBind(nn.Module):
    """The towers of the senses that were asked for.

    Args:
        config: their shapes.
        senses: which towers to build; the sound tower alone is 86 of 1,200 million weights.
    """

    def __init__(self, config: ImageBindConfig, *, senses: Sequence[Sense] = SENSES) -> None:
        super().__init__()
        self.config = config
        self.senses: tuple[Sense, ...] = tuple(sense for sense in SENSES if sense in senses)
        if "image" in senses:
            self.image = ImageTower(config.image, dim=config.dim)
        if "sound" in senses:
            self.sound = SoundTower(config.sound, dim=config.dim)
        if "text" in senses:
            self.text = TextTower(config.text, dim=config.dim)

    def image_vectors(self, pixels: Tensor) -> Tensor:
        """Return unit-norm (..., F) for stills (..., 3, H, W) or pairs (..., 3, 2, H, W)."""
        parts = 3 if pixels.shape[-3] == 3 else 4
        lead = pixels.shape[:-parts]
        vectors = self.image(pixels.reshape(-1, *pixels.shape[-parts:]))
        return normalize(vectors, dim=-1).reshape(*lead, -1)

    def sound_vectors(self, mels: Tensor, *, scale: SoundScale) -> Tensor:
        """Return (..., F) for mel pictures (..., 1, 128, 204), of length 1 or as published."""
        lead = mels.shape[:-3]
        vectors = normalize(self.sound(mels.reshape(-1, *mels.shape[-3:])), dim=-1)
        if scale == "published":
            vectors = vectors * self.sound.log_scale.exp().clamp(max=MAX_LOGIT_SCALE)
        return vectors.reshape(*lead, -1)

    def text_vectors(self, ids: Tensor) -> Tensor:
        """Return unit-norm (N, F) for token ids (N, L)."""
        return normalize(self.text(ids), dim=-1)


def _resized(positions: Tensor, num_patches: int) -> Tensor:
    """Return the table for another number of patches, bicubic by the ratio of the sides.

    The ratio rather than the size: PyTorch then samples at slightly other places, as published.
    """
    own = positions.shape[1] - 1
    if own == num_patches:
        return positions
    side, dim = math.isqrt(own), positions.shape[2]
    grid = positions[:, 1:].reshape(1, side, side, dim).permute(0, 3, 1, 2)
    grid = interpolate(grid, scale_factor=math.sqrt(num_patches / own), mode="bicubic")
    return torch.cat([positions[:, :1], grid.permute(0, 2, 3, 1).reshape(1, -1, dim)], dim=1)
