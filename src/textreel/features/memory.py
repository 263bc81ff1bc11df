"""The memory: text vectors that a frame is expressed by when it crosses the modality gap.

    vectors (N, F)  --build_memory-->  memory (M, F)  --save_memory-->  memory.safetensors

Rows are unit vectors, no two alike, chosen with a seed from all that are given. What they were
made of (captions alone, or fused frames as in training) is written into the file, and a memory of
another encoder is refused: its rows mean something else.

Source: TOPA, arXiv:2405.13911, Eq. 2; DeCap, arXiv:2303.03032 (500,000 captions). TOPA's released
memory has no build script, and its rows are of unknown make-up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Generator, Tensor
from torch.nn.functional import normalize

from textreel.data.errors import FingerprintError, FormatError, HintedError
from textreel.data.files import atomic_file, check_header, make_header

_KIND = "memory"


class MemoryBuildError(HintedError, ValueError):
    """A memory cannot be made of these vectors."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Memory:
    """A memory and where it comes from.

    Attributes:
        vectors: float16 (M, F), unit-norm rows.
        encoder: name of the encoder.
        revision: the encoder's revision.
        make_up: what a row is, in words, such as `caption+objects of 8000 world scenes, seed 0`.
    """

    vectors: Tensor
    encoder: str
    revision: str
    make_up: str

    def __repr__(self) -> str:
        return f"Memory({tuple(self.vectors.shape)}, {self.encoder}, {self.make_up!r})"


def build_memory(vectors: Tensor, size: int, *, generator: Generator) -> Tensor:
    """Choose `size` distinct rows with a seed.

    Args:
        vectors: (N, F), of any length but zero; rows equal after rounding to float16 count once.
        size: rows wanted, M.
        generator: decides which; the rows keep the order in which they were given.

    Returns:
        float16 (M, F), unit-norm to the precision of float16.

    Raises:
        MemoryBuildError: a row is zero or not finite, or fewer than `size` are distinct.
    """
    if vectors.ndim != 2 or size < 1:
        raise MemoryBuildError(
            f"a memory of {size} rows cannot be made of vectors {tuple(vectors.shape)}: "
            f"size must be at least 1 and vectors (N, F)"
        )
    usable = vectors.isfinite().all(-1) & (vectors != 0).any(-1)
    if bad := int((~usable).sum()):
        raise MemoryBuildError(f"{bad} of {len(vectors)} vectors are zero or not finite (padding?)")
    units = normalize(vectors.float(), dim=-1).half() + 0.0  # + 0.0 makes -0.0 equal 0.0
    distinct = _first_of_each(units)
    if len(distinct) < size:
        raise MemoryBuildError(
            f"only {len(distinct)} of {len(vectors)} vectors are distinct, {size} were asked for",
            hint=f"ask for at most {len(distinct)}, or give more texts",
        )
    chosen = torch.randperm(len(distinct), generator=generator)[:size]
    return units[distinct[chosen].sort().values]


def save_memory(
    path: Path | str, vectors: Tensor, *, encoder: str, revision: str, make_up: str
) -> None:
    """Write a memory (M, F), atomically."""
    header = make_header(_KIND, encoder=encoder, revision=revision, make_up=make_up)
    metadata = {key: str(value) for key, value in header.items()}
    with atomic_file(path) as file:
        file.write(save({"memory": vectors.half().contiguous()}, metadata))


def load_memory(path: Path | str, *, revision: str | None = None) -> Memory:
    """Read a memory.

    Args:
        path: the file.
        revision: of the encoder whose vectors shall cross; None to only look.

    Raises:
        FormatError: no memory of ours, or written by a newer textreel.
        FingerprintError: a memory of another encoder.
    """
    header, vectors = _read(Path(path))
    if revision is not None and header["revision"] != revision:
        raise FingerprintError(
            f"{path} is a memory of {header['encoder']} ({header['revision']}), but the vectors "
            f"come from an encoder of revision {revision}",
            hint="build a memory with the encoder in use: `textreel memory build`",
        )
    return Memory(
        vectors=vectors,
        encoder=header["encoder"],
        revision=header["revision"],
        make_up=header["make_up"],
    )


def _read(path: Path) -> tuple[Mapping[str, Any], Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            known = {**metadata, "format": _number(metadata.get("format"))}
            header = check_header(known, kind=_KIND, path=path)
            return header, file.get_tensor("memory")
    except SafetensorError as error:
        raise FormatError(
            f"{path} is no memory file of textreel: {error}", hint="check the path"
        ) from error


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _first_of_each(rows: Tensor) -> Tensor:
    """Return the index of the first of each set of equal float16 rows, ascending."""
    raw = np.ascontiguousarray(rows.numpy())
    whole = raw.view(np.dtype((np.void, raw.shape[1] * raw.itemsize)))[:, 0]
    _, first = np.unique(whole, return_index=True)
    return torch.from_numpy(np.sort(first))
