"""What can be said of a decoder without loading it: its width, and whether it is one.

Vicuna's first weights were released as differences to LLaMA's, to be added. A folder of them loads
without complaint and speaks nonsense. Every number in it is near zero, the gains of the last norm
too, which are about 1 or more in a trained decoder.
"""

import json
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from textreel.models.decoder import read_config
from textreel.models.errors import CheckpointError
from textreel.models.published_files import read_weights

_NORM = "model.norm.weight"
_SMALLEST_GAIN = 0.1


def config_width(name: str) -> int:
    """Return D, the width of a decoder's embeddings, from its config alone.

    Args:
        name: see `decoder.locate`.

    Raises:
        DecoderNotFoundError: nothing of that name here, and it cannot be fetched.
    """
    return int(read_config(name).get_text_config().hidden_size)


def refuse_delta(folder: str | Path) -> None:
    """Look at the last norm of the decoder in a local folder; other places are not looked at.

    Raises:
        CheckpointError: its gains are near zero: these are differences, not weights.
    """
    gains = _last_norm(Path(folder))
    if gains is not None and (mean := float(gains.float().abs().mean())) < _SMALLEST_GAIN:
        raise CheckpointError(
            f"{folder} holds differences, not weights: the gains of its last norm are {mean:.3g} "
            f"on average",
            hint="add them to LLaMA's weights first (fastchat.model.apply_delta)",
        )


def _last_norm(folder: Path) -> Tensor | None:
    for stem in ("model.safetensors", "pytorch_model.bin"):
        path = folder / stem
        index = folder / f"{stem}.index.json"
        if index.is_file():
            placed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            path = folder / placed.get(_NORM, stem)
        if path.is_file():
            return _tensor(path)
    return None


def _tensor(path: Path) -> Tensor | None:
    if path.suffix != ".safetensors":
        return read_weights(path, what="a decoder").get(_NORM)
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(_NORM) if _NORM in file.keys() else None
