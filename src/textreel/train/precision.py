"""Which arithmetic is fastest here: one step of each kind is timed, the choice recorded.

bf16 means autocast over float32 weights: matrix products in bfloat16, norms, softmax and loss
in float32, trained parts and their gradients in float32. Frozen weights may be stored in
bfloat16 as well; then float32 arithmetic is not offered.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from textreel.models.attention import Kernel
from textreel.train.contracts import SwitchesAttention, TrainableModel
from textreel.train.errors import TrainConfigError

MARGIN = 0.05
"""Another path than the first must be this much faster, or timing noise would choose."""

_ROUNDS = 3
"""Timed once each in turn, after one untimed round; the least of them counts."""

Precision = Literal["fp32", "bf16"]
Attention = Kernel | Literal["own"]
"""How attention is computed; `own` where a model offers no choice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ComputePath:
    """One way to compute a step: type of arithmetic, and how attention is computed."""

    precision: Precision
    attention: Attention

    def __str__(self) -> str:
        return f"{self.precision}/{self.attention}"


def candidates(
    model: TrainableModel,
    *,
    precision: Literal["auto", "fp32", "bf16"],
    attention: Literal["auto", "sdpa", "eager"],
) -> list[ComputePath]:
    """Return the paths that `model` can take, the one to prefer in a draw first.

    Raises:
        TrainConfigError: fp32 is asked for, but frozen weights are stored in another type; or a
            way of computing attention is asked for, but the model offers no choice.
    """
    switches = isinstance(model, SwitchesAttention)
    if attention != "auto" and not switches:
        raise TrainConfigError(
            f"attention={attention}, but {type(model).__name__} has one way only",
            hint="take attention=auto",
        )
    other = {p.dtype for _, p in model.named_parameters() if p.is_floating_point()}
    other.discard(torch.float32)
    if precision == "fp32" and other:
        raise TrainConfigError(
            f"precision=fp32, but weights are stored in {', '.join(sorted(map(str, other)))}",
            hint="load the decoder in float32, or take precision=bf16",
        )
    precisions: tuple[Precision, ...] = ("fp32", "bf16") if precision == "auto" else (precision,)
    if other:
        precisions = ("bf16",)
    kernels: tuple[Attention, ...] = get_args(Kernel) if attention == "auto" else (attention,)
    return [
        ComputePath(precision=p, attention=a)
        for p in precisions
        for a in (kernels if switches else ("own",))
    ]


def take(path: ComputePath, model: TrainableModel) -> None:
    """Switch the attention of `model`, where it can be switched, to that of `path`."""
    if isinstance(model, SwitchesAttention) and path.attention != "own":
        model.kernel = path.attention


@contextmanager
def arithmetic(path: ComputePath, device: torch.device) -> Iterator[None]:
    """Compute everything within in the type of arithmetic of `path`."""
    enabled = path.precision == "bf16"
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled):
        yield


def device_seconds(device: torch.device) -> float:
    """Read a clock that counts this process's work.

    CPU seconds on a CPU, so that other programs disturb little; wall seconds after the queue
    has emptied elsewhere.
    """
    if device.type == "cpu":
        return time.process_time()
    torch.accelerator.synchronize(device)
    return time.perf_counter()


def measure(
    step: Callable[[ComputePath], object], paths: Sequence[ComputePath], *, device: torch.device
) -> dict[ComputePath, float]:
    """Time `step` on each of `paths`.

    Args:
        step: does the work of one training step, and leaves nothing behind.
        paths: to try.
        device: where `step` computes.

    Returns:
        Seconds of a step on each path (CPU seconds on a CPU).
    """
    for path in paths:
        step(path)
    seconds = dict.fromkeys(paths, float("inf"))
    for _ in range(_ROUNDS):
        for path in paths:
            start = device_seconds(device)
            step(path)
            seconds[path] = min(seconds[path], device_seconds(device) - start)
    return seconds


def fastest(paths: Sequence[ComputePath], seconds: dict[ComputePath, float]) -> ComputePath:
    """Return the first of `paths`, or one that is faster than it by more than `MARGIN`."""
    best = min(paths, key=lambda path: seconds.get(path, 0.0))
    limit = seconds.get(paths[0], 0.0) * (1 - MARGIN)
    return best if seconds.get(best, 0.0) < limit else paths[0]
