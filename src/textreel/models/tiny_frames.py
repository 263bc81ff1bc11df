"""The tiny frame encoder: what BLIP-2's Q-Former over EVA is to Video-LLaMA, in the world.

    frames uint8 (N, 3, H, W)  --the tiny picture tower's last map-->  patches (N, 36, 128)
        + position of each patch  --Q-Former, P queries-->  (N, P, width)

The tower comes with its weights and stays as it is; the Q-Former learns to say, through a linear
map that nothing reads afterwards, what is in a picture. It has no text side, like the original.

A folder holds config.json, model.safetensors (tower and Q-Former) and preprocessor_config.json.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoImageProcessor, AutoModel

from textreel.models.checkpoint import check_tensors
from textreel.models.encoder_errors import EncoderError
from textreel.models.encoder_files import EncoderFiles
from textreel.models.frame_encoder import FrameEncoder
from textreel.models.qformer_connector import QFormerConnector, QFormerConnectorConfig
from textreel.models.tiny_towers import PictureTower, TinyTowers, TinyTowersConfig

KIND = "textreel-tiny-frames"
_CONFIG, _WEIGHTS, _PIXELS = "config.json", "model.safetensors", "preprocessor_config.json"


class TinyFrames(nn.Module):
    """The tiny picture tower without its head, and the Q-Former that reads its last map.

    Args:
        towers: the tiny dual encoder's configuration.
        queries: P, vectors of a frame.
        width: of a vector.
        words: width of what the linear map writes in training.
        generator: draws the Q-Former's start values.
    """

    def __init__(
        self,
        towers: TinyTowersConfig,
        *,
        queries: int,
        width: int,
        words: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.towers = towers
        self.blocks = PictureTower(towers).blocks
        side = towers.image_size // 2 ** (len(towers.image_channels) - 1)
        shape = QFormerConnectorConfig(
            feature_dim=towers.image_channels[-1],
            vectors_per_step=1,
            queries=queries,
            width=width,
            heads=4,
            mlp_hidden=4 * width,
            max_steps=side**2,
            dropout=0.0,
        )
        self.reader = QFormerConnector(shape, model_dim=words, generator=generator)

    def patches(self, pixel_values: Tensor) -> Tensor:
        """Return (N, 36, 1, C), the last map, row by row."""
        return self.blocks(pixel_values).flatten(2).mT[:, :, None]

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Return (N, P, width)."""
        return self.reader.hidden(self.patches(pixel_values))


def new_tiny_frames(
    towers: str | Path, *, queries: int, width: int, words: int, generator: torch.Generator
) -> TinyFrames:
    """Build a frame encoder around the picture tower of a tiny dual encoder.

    Args:
        towers: its folder.
        queries: vectors of a frame.
        width: of a vector.
        words: width of what the linear map writes in training.
        generator: draws the start values.

    Raises:
        EncoderError: another kind of model.
    """
    loaded = AutoModel.from_pretrained(towers)
    if not isinstance(loaded, TinyTowers):
        raise EncoderError(
            f"{towers} is a {type(loaded).__name__}; a tiny frame encoder is built around the "
            f"tiny towers",
            hint="give embedded:tiny/towers",
        )
    model = TinyFrames(
        loaded.config, queries=queries, width=width, words=words, generator=generator
    )
    model.blocks.load_state_dict(loaded.picture.blocks.state_dict())
    model.blocks.requires_grad_(False)
    return model.eval()


def save_tiny_frames(model: TinyFrames, folder: Path, *, towers: Path) -> None:
    """Write a frame encoder.

    Args:
        model: trained.
        folder: made if needed.
        towers: folder whose pixel settings it shares.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / _WEIGHTS, metadata={"format": "pt"})
    shutil.copyfile(towers / _PIXELS, folder / _PIXELS)
    shape = model.reader.config
    values = {
        "model_type": KIND,
        "towers": model.towers.to_dict(),
        "queries": shape.queries,
        "width": shape.width,
        "words": model.reader.project.out_features,
    }
    (folder / _CONFIG).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def is_tiny_frames(folder: Path) -> bool:
    """Return whether a folder holds a tiny frame encoder."""
    path = folder / _CONFIG
    return path.is_file() and json.loads(path.read_text("utf-8")).get("model_type") == KIND


def load_tiny_frames(files: EncoderFiles, *, device: torch.device | str = "cpu") -> FrameEncoder:
    """Load a frame encoder that `save_tiny_frames` wrote.

    Raises:
        CheckpointError: tensors are missing, left over or of another shape.
    """
    values = json.loads((files.path / _CONFIG).read_text("utf-8"))
    model = TinyFrames(
        TinyTowersConfig(**values["towers"]),
        queries=values["queries"],
        width=values["width"],
        words=values["words"],
        generator=torch.Generator().manual_seed(0),
    )
    found = load_file(files.path / _WEIGHTS)
    check_tensors(found, model.state_dict(), where=str(files.path / _WEIGHTS))
    model.load_state_dict(found)
    processor = AutoImageProcessor.from_pretrained(files.path, backend="pil")
    shape = model.reader.config
    return FrameEncoder(
        model.eval().requires_grad_(False).to(device),
        files=files,
        processor=processor,
        shape=(shape.queries, shape.width),
    )
