"""Fingerprints: is this the same model, the same data, the same result?"""

import hashlib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import torch
from torch import Tensor

from textreel.models.batch import AnyDataclass
from textreel.train.contracts import AnyBatch, TrainableModel

_SAMPLED = 256
"""Values read per frozen tensor: enough to tell other weights, cheap for 70 billion."""


def _bytes(tensor: Tensor) -> bytes:
    """Return the raw bytes of a tensor of any type, in order of its elements."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def model_shapes(model: TrainableModel) -> list[str]:
    """Return a line on every parameter: name, whether it is trained or its type, shape."""
    return [
        f"{name} {'trained' if p.requires_grad else p.dtype} {tuple(p.shape)}"
        for name, p in sorted(model.named_parameters())
    ]


def model_digest(model: TrainableModel) -> str:
    """Return the fingerprint of what a run starts from.

    Names, shapes and types of all parameters, and evenly spaced values of the frozen ones:
    the values of trained parts change, the rest must not.
    """
    digest = hashlib.sha256("\n".join(model_shapes(model)).encode())
    for _, parameter in sorted(model.named_parameters()):
        if not parameter.requires_grad:
            flat = parameter.detach().reshape(-1)
            digest.update(_bytes(flat[:: max(1, flat.numel() // _SAMPLED)]))
    return digest.hexdigest()


def batch_digest(batch: AnyBatch) -> str:
    """Return the fingerprint of a batch: every tensor, those of its parts too, and every id."""
    digest = hashlib.sha256("\n".join(batch.ids).encode())
    for name, value in _tensors(batch):
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def _tensors(batch: AnyDataclass) -> Iterator[tuple[str, Tensor]]:
    """Yield name and value of every tensor; a part's names begin with its own."""
    for field in fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, Tensor):
            yield field.name, value
        elif is_dataclass(value) and not isinstance(value, type):
            yield from ((f"{field.name}.{name}", tensor) for name, tensor in _tensors(value))


def weights_sha256(model: TrainableModel) -> str:
    """Return the sha256 of the trained parameters, names and bytes."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        if parameter.requires_grad:
            digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}\n".encode())
            digest.update(_bytes(parameter))
    return digest.hexdigest()
