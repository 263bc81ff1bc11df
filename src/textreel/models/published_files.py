"""Weight files as their authors published them: read whole, or refused with one message.

    file.pth  --read_weights-->  {their name: tensor}  --fit-->  {our name: tensor}

Every weight that is wanted must be there in its shape, and none may be left over, except those
that the caller names as not needed. Pickles are read with `weights_only=True`: none is run.
"""

import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from textreel.models.encoder_errors import EncoderError

_WRAPPERS = ("model", "state_dict", "module")
"""Keys under which training scripts store the weights."""
_ZIP_START = b"PK\x03\x04"
_NOT_READABLE = (
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    SafetensorError,
    pickle.UnpicklingError,
    struct.error,
    # what the unpickler trips over in bytes that are no pickle:
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    MemoryError,
)

Rename = Callable[[str], str | None]
"""From their name to ours; None for a weight that is known and not needed."""


class PublishedFileError(EncoderError):
    """A published weight file is missing, damaged, or of another model."""


def read_weights(path: str | Path, *, what: str) -> dict[str, Tensor]:
    """Read every tensor of a `.pth` or `.safetensors` file; mapped, so only what is used is read.

    Args:
        path: the file.
        what: whose weights it should hold, for messages.

    Raises:
        PublishedFileError: no such file, a folder, a damaged file, or one without weights.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.suffix in {".pth", ".safetensors"})
        raise PublishedFileError(
            f"{path} is a folder; the weights of {what} are one file",
            hint=f"give a file in it, such as {inside[0]}" if inside else "give the file itself",
        )
    if not path.exists():
        raise PublishedFileError(
            f"no file {path}, which should hold the weights of {what}",
            hint="check the path; nothing is downloaded for a file name",
        )
    found = _load(path, what=what)
    for key in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
            break
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise PublishedFileError(f"{path} holds no table of weights, so it is not {what}")
    return {str(key): value for key, value in found.items()}


def _load(path: Path, *, what: str) -> object:
    with path.open("rb") as file:
        is_zip = file.read(len(_ZIP_START)) == _ZIP_START
    whole_zip = is_zip and zipfile.is_zipfile(path)
    try:
        if is_zip and not whole_zip:
            raise EOFError("the end of its archive is missing")
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=whole_zip)
    except _NOT_READABLE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, pickle.UnpicklingError):  # torch advises to run what is in the file
            reason = "it is no file of plain tensors, and nothing in it was run"
        raise PublishedFileError(
            f"{path} ({path.stat().st_size:,} bytes) cannot be read as {what}, it may be cut "
            f"short: {reason}",
            hint="fetch it again and compare its size and checksum with the published ones",
        ) from error


def fit(
    tensors: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    *,
    rename: Rename,
    path: str | Path,
    what: str,
) -> dict[str, Tensor]:
    """Return the weights under our names, every one that is wanted, none left over.

    Args:
        tensors: as read.
        wanted: a `state_dict`, for its names and shapes; it may be on the meta device.
        rename: from their names to ours.
        path: the file, for messages.
        what: whose weights these should be, for messages.

    Raises:
        PublishedFileError: weights are missing, left over, or of another shape.
    """
    names = {theirs: rename(theirs) for theirs in tensors}
    found = {ours: tensors[theirs] for theirs, ours in names.items() if ours is not None}
    missing = [name for name in wanted if name not in found]
    surplus = [theirs for theirs, ours in names.items() if ours and ours not in wanted]
    if missing or surplus:
        raise PublishedFileError(
            f"{path} does not fit {what}: {len(missing)} of {len(wanted)} weights are missing"
            f"{_first(missing)}, {len(surplus)} are left over{_first(surplus)}",
            hint="this is the file of another model, or of another size of it",
        )
    wrong = [name for name in wanted if found[name].shape != wanted[name].shape]
    if wrong:
        name = wrong[0]
        raise PublishedFileError(
            f"{path} does not fit {what}: {len(wrong)} weights have another shape (first: {name} "
            f"is {tuple(found[name].shape)}, not {tuple(wanted[name].shape)})",
            hint="this is the file of another size of the model",
        )
    return found


def _first(names: list[str]) -> str:
    return f" (first: {names[0]})" if names else ""
