"""In which type the weights of a frozen model are held while it answers.

    auto   a run's decoder: float32 on a processor; as its files are stored on an accelerator, where
           16 bits are half of the memory and the faster arithmetic. An image-LLM: as stored, but
           float32 for float16 on a processor, which computes that slowly.
    fp32   float32
    bf16   bfloat16

Trained parts (connector, adapter, branches) are float32 whatever this says: they are small, and
what they make is cast where it meets the decoder.
"""

from typing import Any, Literal, get_args

import torch

from textreel.models import decoder as decoders
from textreel.models.errors import ModelConfigError

Precision = Literal["auto", "fp32", "bf16"]


def named_dtype(precision: Precision) -> torch.dtype | None:
    """Return what a precision names; None for `auto`.

    Raises:
        ModelConfigError: no precision of that name.
    """
    if precision not in get_args(Precision):
        raise ModelConfigError(
            f"there is no precision {precision!r}", hint=f"one of {', '.join(get_args(Precision))}"
        )
    named: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
    return named.get(precision)


def decoder_dtype(name: str, *, precision: Precision, device: torch.device | str) -> torch.dtype:
    """Return what a run's decoder is held in.

    Args:
        name: see `decoder.locate`.
        precision: what the user wants.
        device: where it computes.

    Raises:
        ModelConfigError: no precision of that name.
        DecoderNotFoundError: nothing of that name here, and it cannot be fetched.
    """
    if (dtype := named_dtype(precision)) is not None:
        return dtype
    if torch.device(device).type == "cpu":
        return torch.float32
    return stored_dtype(decoders.read_config(name))


def stored_dtype(config: Any) -> torch.dtype:  # noqa: ANN401 - of any family
    """Return the type of a model's weights as its config names it; float32 where it names none."""
    stored = getattr(config, "dtype", None)
    stored = getattr(torch, stored, None) if isinstance(stored, str) else stored
    return stored if isinstance(stored, torch.dtype) else torch.float32


def precision_note(dtype: torch.dtype) -> str:
    """Return what an answer says of its decoder's type; nothing of float32."""
    return "" if dtype == torch.float32 else f"decoder in {str(dtype).removeprefix('torch.')}"
