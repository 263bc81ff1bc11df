"""What training asks of a model, of its data and of those who watch."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import torch
from torch import Tensor
from torch.nn import Parameter

from textreel.models.attention import Kernel
from textreel.models.batch import AnyDataclass


class AnyBatch(AnyDataclass, Protocol):
    """A dataclass of tensors that a model's loss takes, such as `models.batch.Batch`."""

    @property
    def ids(self) -> tuple[str, ...]:
        """One name per sample."""

    @property
    def num_tokens(self) -> int:
        """How much there is to compute, in tokens or what stands for them; without padding."""

    def to(self, device: torch.device | str) -> Self:
        """Return the same batch with every tensor on `device`."""


BatchT = TypeVar("BatchT", bound=AnyBatch)
_BatchIn = TypeVar("_BatchIn", bound=AnyBatch, contravariant=True)
_BatchOut = TypeVar("_BatchOut", bound=AnyBatch, covariant=True)


class TrainableModel(Protocol):
    """An `nn.Module`. Parameters that require gradients are trained."""

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """See `nn.Module`."""

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """See `nn.Module`."""

    def state_dict(self) -> dict[str, Any]:
        """See `nn.Module`."""

    def train(self, mode: bool = True) -> object:
        """See `nn.Module`."""


@runtime_checkable
class SwitchesAttention(Protocol):
    """A model that can compute attention in more than one way, with the same numbers.

    Attributes:
        kernel: the way it takes.
    """

    kernel: Kernel


class ModelWithLoss(TrainableModel, Protocol[_BatchIn]):
    """What a run trains."""

    def loss(self, batch: _BatchIn) -> Tensor:
        """Return the mean loss over the targets of `batch`, a scalar."""


class TrainingData(Protocol[_BatchOut]):
    """Samples in batches. `batch` is pure: what it gives depends on `step` only.

    It may be called from another thread, for one step at a time, and must not draw from
    torch's global generator.
    """

    def __len__(self) -> int:
        """Return the number of samples."""

    def batch(self, step: int) -> _BatchOut:
        """Return the batch of update number `step`, from 0; any step, in any order."""


Evaluate = Callable[[], Mapping[str, float]]
"""Measures the model as it is: evaluation mode, no gradients, the run's precision."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where a run stands after `step` updates; handed to the `progress` callback.

    Attributes:
        step: updates made.
        steps: updates in the whole run.
        loss: of the last update; NaN before the first.
        lr: its learning rate.
        step_s: wall seconds of the last update.
        evaluation: latest evaluation, or empty.
    """

    step: int
    steps: int
    loss: float
    lr: float
    step_s: float
    evaluation: Mapping[str, float]
