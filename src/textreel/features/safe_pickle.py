"""Reading pickled arrays and tensors without running what else a pickle may hold.

A pickle is a program: it names functions of any module and has them called. Here a name is looked
up in a short table and nowhere else, so nothing is imported, and whatever the table does not hold
is refused by its name. Not even numpy's and torch's own functions are called: each name in the
table stands for a few lines below that check their arguments first, because those functions trust
theirs (a forged dtype makes numpy take bytes for addresses). What they make stays sealed until the
pickle has ended, so no later instruction can alter it.

    dict, list, tuple, text, numbers         as they are
    numpy.ndarray of floats or integers      numpy.ndarray, which may be read-only
    torch.Tensor, torch.nn.Parameter         torch.Tensor on the CPU, without gradient

A hostile pickle can still ask for much memory.
"""

import io
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from textreel.features.errors import FeatureImportError, UnsafePickleError

_DAMAGE = (
    *(pickle.UnpicklingError, EOFError, AttributeError, LookupError, TypeError, ValueError),
    *(OverflowError, RuntimeError, MemoryError),
)
"""What reading a damaged or forged pickle raises, the recursion limit included."""
_SAFE_HINT = (
    "a pickle can run any program; if you trust where it comes from, save its arrays as .npy "
    "files, or as tensors with torch.save, with the code that made it"
)
Pickled = Any
"""Whatever the pickle says."""
_PLAIN = (str, int, float, bytes, bytearray, type(None))


def load_pickle(path: Path | str) -> Pickled:
    """Return what a pickle holds: arrays, tensors and plain containers of them.

    Raises:
        UnsafePickleError: it asks for anything else; the message says for what.
        FeatureImportError: it cannot be read, or is damaged.
    """
    try:
        with Path(path).open("rb") as file:
            return _opened(_Unpickler(file).load(), {})
    except _RefusedError as error:
        raise UnsafePickleError(
            f"{path} is refused: its pickle asks for {error}; nothing of it was run",
            hint=_SAFE_HINT,
        ) from None
    except (OSError, *_DAMAGE) as error:
        raise FeatureImportError(
            f"{path} is no pickle that can be read: {type(error).__name__}: {error}",
            hint="fetch the file again",
        ) from error


class _RefusedError(Exception):
    """Something that no pickle of arrays needs."""


class _Admitted:
    """Stands for one name in a pickle: it can be called and do nothing else."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., object]) -> None:
        self._make = make

    def __call__(self, *arguments: object) -> object:
        return self._make(*arguments)

    def __setstate__(self, state: object) -> None:
        raise _RefusedError("a function to be altered")


class _Piece:
    """A value that the pickle has made and can no longer alter."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __setstate__(self, state: object) -> None:
        raise _RefusedError(f"a finished {type(self.value).__name__} to be altered")


class _Dtype(_Piece):
    """A plain number type; its byte order comes afterwards."""

    __slots__ = ()

    def __init__(self, code: object, *_: object) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"[fiub][1248]", code):
            raise _RefusedError(f"an array of {code!r} values")
        super().__init__(np.dtype(code))

    def __setstate__(self, state: Pickled) -> None:
        _, order, *structure = state[:5]
        if order not in ("<", ">", "|", "=") or structure != [None] * 3:
            raise _RefusedError("an array of structured values")
        assert isinstance(self.value, np.dtype)
        self.value = self.value.newbyteorder(order)


class _Array(_Piece):
    """An array of which only the type is known; shape and values come afterwards, once."""

    __slots__ = ()

    def __init__(self, *_: object) -> None:
        super().__init__(None)

    def __setstate__(self, state: Pickled) -> None:
        if self.value is not None:
            super().__setstate__(state)
        _, shape, dtype, in_columns, raw = state
        self.value = _array(raw, dtype, shape, "F" if in_columns else "C")


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._table = _table()  # of this pickle alone

    def find_class(self, module: str, name: str) -> Pickled:
        """Return what stands for a name."""
        found = self._table.get((module, name))
        if found is None:
            raise _RefusedError(f"{module}.{name}, which is no part of an array")
        return found


def _table() -> dict[tuple[str, str], _Admitted]:
    table: dict[tuple[str, str], Callable[..., object]] = {
        ("__builtin__", "bytes"): _no_bytes,
        ("_codecs", "encode"): _latin_bytes,
        ("collections", "OrderedDict"): dict,
        ("numpy", "ndarray"): _array_itself,
        ("numpy", "dtype"): _Dtype,
        ("torch.storage", "_load_from_bytes"): _storage,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch._utils", "_rebuild_parameter"): _parameter,
    }
    for core in ("numpy.core", "numpy._core"):  # before numpy 2, and since
        table[f"{core}.multiarray", "_reconstruct"] = _Array
        table[f"{core}.numeric", "_frombuffer"] = _array_from_buffer
    return {name: _Admitted(make) for name, make in table.items()}


def _latin_bytes(text: Pickled, encoding: object) -> bytes:
    """Bytes, as pickles before protocol 3 write them."""
    if encoding != "latin1":
        raise _RefusedError(f"text in the encoding {encoding!r}")
    return bytes(text, "latin-1")


def _no_bytes(*arguments: object) -> bytes:
    """No bytes, as pickles before protocol 3 write them."""
    if arguments:
        raise _RefusedError("bytes made of something")
    return b""


def _array_itself(*_: object) -> object:
    raise _RefusedError("an array without values")


def _array_from_buffer(
    raw: Pickled, dtype: Pickled, shape: Pickled, order: Pickled, axes: Pickled = None
) -> _Piece:
    """Make an array of protocol 5; `axes` is how a transposed one is written."""
    array = _array(raw, dtype, shape, "C" if order == "K" else order)
    return _Piece(array if axes is None else array.transpose(axes))


def _array(raw: Pickled, dtype: Pickled, shape: Pickled, order: Pickled) -> np.ndarray[Any, Any]:
    if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes | bytearray):
        raise _RefusedError("an array of other things than numbers")
    plain: Pickled = dtype.value
    return np.frombuffer(raw, dtype=plain).reshape(shape, order=order)


def _storage(raw: Pickled) -> _Piece:
    """Numbers of tensors, a file of torch's own inside the pickle."""
    try:
        made = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _RefusedError(f"a tensor's values that hold more ({short_reason(error)})") from error
    if not isinstance(made, torch.storage.TypedStorage):
        raise _RefusedError(f"a {type(made).__name__} where a tensor's values are due")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "TypedStorage is deprecated"
        values: torch.UntypedStorage = made.untyped()  # type: ignore[no-untyped-call]
        return _Piece(torch.empty(0, dtype=made.dtype).set_(values))


def _tensor(
    values: Pickled, offset: Pickled, shape: Pickled, strides: Pickled, *_: object
) -> _Piece:
    """Look at `values` as a tensor; `as_strided` checks that it stays inside of them."""
    if type(values) is not _Piece or not isinstance(values.value, torch.Tensor):
        raise _RefusedError("a tensor of other things than numbers")
    flat = values.value
    made = flat.as_strided(shape, strides, offset)
    if made.numel() > flat.numel():
        raise _RefusedError(f"{made.numel()} numbers out of {flat.numel()}")
    return _Piece(made)


def _parameter(tensor: Pickled, *_: object) -> object:
    return tensor


def _opened(value: Pickled, done: dict[int, Any]) -> Pickled:
    """Return `value` with every piece replaced by what is in it; `done`: what was met before."""
    if isinstance(value, _PLAIN):
        return value
    if id(value) not in done:
        done[id(value)] = None  # under way
        done[id(value)] = _unsealed(value, done)
    if done[id(value)] is None:
        raise _RefusedError("a container that holds itself")
    return done[id(value)]


def _unsealed(value: Pickled, done: dict[int, Any]) -> Pickled:
    if type(value) in (_Piece, _Array):
        if isinstance(value.value, np.ndarray | torch.Tensor):
            return value.value
    elif type(value) is dict:
        return {_opened(key, done): _opened(item, done) for key, item in value.items()}
    elif type(value) in (list, tuple):
        return type(value)(_opened(item, done) for item in value)
    raise _RefusedError(f"a {type(value).__name__.strip('_').lower()} by itself")


def short_reason(error: Exception) -> str:
    """Return the part of torch's long refusals that says what was asked for."""
    text = str(error)
    named = re.search(r"GLOBAL ([\w.]+)", text)
    return named[1] if named else text.strip().splitlines()[0] if text.strip() else "no reason"
