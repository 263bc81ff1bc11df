"""The tiny dual encoder: picture, text and sound towers that share one space.

    pixel_values (N, 3, 48, 48)  -> image embeds (N, F)
    input_ids (N, L)             -> text embeds  (N, F)
    input_features (N, S, M)     -> audio embeds (N, F)     S mel frames, M mel bands

It is a Hugging Face model like any other (`AutoModel.from_pretrained` once this file is imported),
with CLIP's method names, so that the tiny towers and CLIP differ only by name.

Choices. The picture tower flattens its last 6 x 6 map instead of pooling it: where a thing is must
survive. The text tower is a convolution over words and a two-layer pre-norm transformer with mean
pooling. Embeddings are returned before normalisation, as CLIP's are.
"""

from itertools import pairwise

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel


@strict
class TinyTowersConfig(PreTrainedConfig):  # type: ignore[misc]
    """Sizes of the three towers; the defaults are those of the shipped one.

    Attributes:
        vocab_size: words of the tokenizer.
        projection_dim: F, the width of the shared space.
        image_size: side of the square pictures, pixels.
        image_channels: channels after each 3x3 convolution; all but the first halve the side.
        image_hidden: width between the two linear layers of the picture tower.
        text_width: width of the text tower.
        text_layers: its transformer blocks.
        text_heads: its attention heads.
        text_kernel: how many neighbouring words are mixed before the first block; odd.
        max_position_embeddings: the longest text, in tokens.
        num_mel_bins: M, mel bands of a spectrogram.
        audio_channels: channels of the sound tower's convolutions.
        sampling_rate: of the sound, in Hz.
    """

    model_type = "textreel-tiny-towers"

    vocab_size: int = 214
    projection_dim: int = 256
    image_size: int = 48
    image_channels: tuple[int, ...] | list[int] = (32, 64, 96, 128)
    image_hidden: int = 448
    text_width: int = 160
    text_layers: int = 2
    text_heads: int = 4
    text_kernel: int = 7
    max_position_embeddings: int = 48
    num_mel_bins: int = 64
    audio_channels: int = 64
    sampling_rate: int = 16_000
    pad_token_id: int | None = 0


class PictureTower(nn.Module):
    """Four 3x3 convolutions (the first at full resolution), flatten, two linear layers."""

    def __init__(self, config: TinyTowersConfig) -> None:
        super().__init__()
        widths = (3, *config.image_channels)
        blocks: list[nn.Module] = []
        for i, (width_in, width_out) in enumerate(pairwise(widths)):
            stride = 1 if i == 0 else 2
            blocks += [
                nn.Conv2d(width_in, width_out, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(width_out),
                nn.ReLU(),
            ]
        self.blocks = nn.Sequential(*blocks)
        side = config.image_size // 2 ** (len(config.image_channels) - 1)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(side * side * widths[-1], config.image_hidden),
            nn.GELU(),
            nn.LayerNorm(config.image_hidden),
            nn.Linear(config.image_hidden, config.projection_dim),
        )

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, F)."""
        return self.head(self.blocks(pixel_values).contiguous())


class TextBlock(nn.Module):
    """One pre-norm transformer block over (N, L, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attend where `mask` (N, 1, 1, L) is true."""
        n, length, width = x.shape
        split = (n, length, 3, self.heads, width // self.heads)
        q, k, v = self.qkv(self.norm1(x)).view(split).permute(2, 0, 3, 1, 4)
        attended = scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.out(attended.transpose(1, 2).reshape(n, length, width))
        return x + self.down(gelu(self.up(self.norm2(x))))


class TextTower(nn.Module):
    """A convolution over neighbouring words, a small transformer, a mean over the real tokens.

    Attention with learned positions is slow to find out which colour stands beside which shape; the
    convolution sees neighbours from the start.
    """

    def __init__(self, config: TinyTowersConfig) -> None:
        super().__init__()
        self.tokens = nn.Embedding(config.vocab_size, config.text_width)
        self.positions = nn.Embedding(config.max_position_embeddings, config.text_width)
        width, kernel = config.text_width, config.text_kernel
        self.neighbours = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.blocks = nn.ModuleList(
            TextBlock(config.text_width, config.text_heads) for _ in range(config.text_layers)
        )
        self.norm = nn.LayerNorm(config.text_width)
        self.head = nn.Linear(config.text_width, config.projection_dim)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Map (N, L) ids and their mask to (N, F)."""
        real = attention_mask.bool()
        x = self.tokens(input_ids) + self.positions.weight[: input_ids.shape[1]]
        weight = real.to(x.dtype)[..., None]
        x = x + gelu(self.neighbours((x * weight).transpose(1, 2))).transpose(1, 2)
        for block in self.blocks:
            x = block(x, real[:, None, None, :])
        return self.head((self.norm(x) * weight).sum(1) / weight.sum(1).clamp(min=1))


class SoundTower(nn.Module):
    """Three convolutions over a log-mel spectrogram, mean- and max-pooled over time."""

    def __init__(self, config: TinyTowersConfig) -> None:
        super().__init__()
        width = config.audio_channels
        self.norm = nn.LayerNorm(config.num_mel_bins)
        self.blocks = nn.Sequential(
            nn.Conv1d(config.num_mel_bins, width, 5, stride=2, padding=2),
            nn.GELU(),
            nn.Conv1d(width, width, 5, stride=2, padding=2),
            nn.GELU(),
            nn.Conv1d(width, width, 5, stride=2, padding=2),
            nn.GELU(),
        )
        self.head = nn.Linear(2 * width, config.projection_dim)

    def forward(self, input_features: Tensor) -> Tensor:
        """Map (N, S, M) log-mel frames to (N, F)."""
        x = self.blocks(self.norm(input_features).transpose(1, 2))
        return self.head(torch.cat([x.mean(-1), x.amax(-1)], dim=-1))


class TinyTowers(PreTrainedModel):  # type: ignore[misc]
    """Picture, text and sound towers with one shared space."""

    config_class = TinyTowersConfig
    base_model_prefix = "tiny_towers"
    main_input_name = "pixel_values"

    def __init__(self, config: TinyTowersConfig) -> None:
        super().__init__(config)
        self.picture = PictureTower(config)
        self.text = TextTower(config)
        self.sound = SoundTower(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Keep torch's own initialisation, except for embeddings (std 0.02, as CLIP's tokens)."""
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """Map pictures (N, 3, S, S), normalised, to (N, F)."""
        return self.picture(pixel_values)

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Map texts (N, L) to (N, F)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return self.text(input_ids, mask)

    def get_audio_features(self, input_features: Tensor) -> Tensor:
        """Map log-mel spectrograms (N, S, M) to (N, F)."""
        return self.sound(input_features)


AutoConfig.register(TinyTowersConfig.model_type, TinyTowersConfig)
AutoModel.register(TinyTowersConfig, TinyTowers)
