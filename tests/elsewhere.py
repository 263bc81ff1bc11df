"""A second device that every machine has: its tensors compute on the processor, and mix with none.

`elsewhere` gives a device of the type `meta` whose tensors hold numbers all the same. An operation
on tensors of both devices fails, as it does where there is an accelerator: what forgets to move a
tensor is found without one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta", 0)
aten = torch.ops.aten
MOVES = {aten._to_copy.default, aten.copy_.default}
TAKES_INDICES = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}
"""Their indices may lie on the processor, on CUDA too."""


class Elsewhere(Tensor):
    """A tensor of `DEVICE`; `inner` holds its numbers."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "Elsewhere":
        return Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
        )

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    def __repr__(self) -> str:
        return f"Elsewhere({self.inner!r})"

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None) -> Any:
        if func is Tensor.numpy:
            raise TypeError(f"cannot convert a tensor of {DEVICE} to numpy")
        if func is Tensor.tolist:
            return args[0].inner.tolist()
        if func in (Tensor.__getitem__, Tensor.__setitem__):
            args = (args[0], _as_tensors(args[1]), *args[2:])
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None) -> Any:
        return _compute(func, args, kwargs or {})


class _Factories(TorchDispatchMode):
    """Sees the operations that take no tensor, such as `zeros`."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:
        return _compute(func, args, kwargs or {})


class _TensorOfList(TorchFunctionMode):
    """`torch.tensor(..., device=meta)` has no numbers that could be kept."""

    def __torch_function__(self, func, types, args=(), kwargs=None) -> Any:
        kwargs = kwargs or {}
        if func is torch.tensor and kwargs.get("device") == DEVICE:
            return torch.tensor(*tree_map(_inner, args), **(kwargs | {"device": "cpu"})).to(DEVICE)
        return func(*args, **kwargs)


def _inner(leaf: Any) -> Any:
    return leaf.inner if isinstance(leaf, Elsewhere) else leaf


def _as_tensors(index: Any) -> Any:
    """Write lists in an index as tensors, which torch would make without numbers."""
    if isinstance(index, list):
        return torch.tensor(index, dtype=None if index else torch.long)
    return tuple(map(_as_tensors, index)) if isinstance(index, tuple) else index


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Compute on the processor what all belongs to one device."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, Elsewhere)]
    here = [t for t in tensors if not isinstance(t, Elsewhere) and t.ndim]
    taken = func in TAKES_INDICES and isinstance(args[0], Elsewhere)
    if there and here and func not in MOVES:
        assert taken and all(t.device.type == "cpu" for t in here), f"{func}: two devices"
    place, wraps = kwargs.get("device"), bool(there)
    if place is not None:
        wraps = torch.device(place) == DEVICE
        kwargs = kwargs | {"device": torch.device("cpu") if wraps else place}
    elif func is aten.copy_.default:
        wraps = isinstance(args[0], Elsewhere)
    owners = {id(tensor.inner): tensor for tensor in there}

    def back(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        return owners[id(leaf)] if id(leaf) in owners else Elsewhere(leaf) if wraps else leaf

    return tree_map(back, func(*tree_map(_inner, args), **tree_map(_inner, kwargs)))


@contextmanager
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """Let tensors be on a second device; modules go there and back as the same parameters."""
    autocast = torch.autocast
    with monkeypatch.context() as patch:
        patch.setattr(torch, "inference_mode", torch.no_grad)  # wrapped tensors cannot be in it
        patch.setattr(torch, "autocast", lambda _, **how: autocast("cpu", **how))
        torch.__future__.set_swap_module_params_on_conversion(True)
        try:
            with _Factories(), _TensorOfList():
                yield DEVICE
        finally:
            torch.__future__.set_swap_module_params_on_conversion(False)
