"""The mean picture and the mean text of a dual encoder, stored beside its weights.

Mean-shift, the cheapest bridge over the modality gap, needs where each tower's vectors lie on
average. Whoever built the towers can measure that once and ship it with them.
"""

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from textreel.models.encoder_errors import EncoderError

STATISTICS_FILE = "statistics.safetensors"
_KEYS = ("image_mean", "text_mean")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncoderStatistics:
    """Means of unit vectors, themselves shorter than 1.

    Attributes:
        image_mean: float32 (F,).
        text_mean: float32 (F,).
        sound_mean: float32 (F,), or None where there is no sound tower.
    """

    image_mean: Tensor
    text_mean: Tensor
    sound_mean: Tensor | None = None


def save_statistics(folder: Path, statistics: EncoderStatistics) -> None:
    """Write `statistics.safetensors` into an encoder's folder, atomically."""
    tensors = {"image_mean": statistics.image_mean, "text_mean": statistics.text_mean}
    if statistics.sound_mean is not None:
        tensors["sound_mean"] = statistics.sound_mean
    part = folder / f"{STATISTICS_FILE}.part"
    save_file({k: v.float().contiguous() for k, v in tensors.items()}, part)
    part.replace(folder / STATISTICS_FILE)


def load_statistics(folder: Path, *, dim: int) -> EncoderStatistics | None:
    """Return what is stored beside an encoder of width `dim`, or None where there is nothing.

    Raises:
        EncoderError: a mean is missing or has another width.
    """
    path = folder / STATISTICS_FILE
    if not path.is_file():
        return None
    tensors = load_file(path)
    if missing := [key for key in _KEYS if key not in tensors]:
        raise EncoderError(f"{path} lacks {', '.join(missing)}")
    if wrong := [k for k, v in tensors.items() if tuple(v.shape) != (dim,)]:
        raise EncoderError(
            f"{path}: {wrong[0]} has shape {tuple(tensors[wrong[0]].shape)}, but the encoder's "
            f"vectors have {dim} numbers"
        )
    return EncoderStatistics(
        image_mean=tensors["image_mean"],
        text_mean=tensors["text_mean"],
        sound_mean=tensors.get("sound_mean"),
    )
