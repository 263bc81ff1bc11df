"""Checkpoints of TOPA's released code: which tensors they hold, and what ours are called.

    adapter_query.weight (n * A, D)          adapter.prompts (n, A, D)
    layers.i.attention.gate1 (1, H, 1, 1)    adapter.gates[i - first] (H,)
    layers.i.attention.gate2 (1, H, 1, 1)    adapter.video_bias[i - first] (H,)
    visual_proj.weight (D, F)                connector.project.weight (D, F)
    temporal_emb.weight (T, D)               connector.slots.weight (T, D)

Only the last n layers are run there; gates of earlier ones are in the file, but nothing reads them.
The file is a pickle with an `argparse.Namespace` in it. It is read by torch's restricted
unpickler, to which that one class is made known; anything else in it is refused.

Source: dhg-wei/TOPA@609c482, util/misc.py `save_model`, llama/model.py.
"""

import argparse
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from textreel.models.errors import CheckpointError

_GATE = re.compile(r"layers\.(\d+)\.attention\.gate([12])")
_PROMPTS, _PROJECT, _SLOTS = "adapter_query.weight", "visual_proj.weight", "temporal_emb.weight"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TopaCheckpoint:
    """What a published checkpoint holds.

    Attributes:
        tensors: our names to float32 tensors.
        num_layers: n, layers that the published code runs.
        skipped_layers: layers whose gates are in the file, but which it does not run.
        llama3: whether the base is a Llama-3.
        epoch: of training, from 0.
    """

    tensors: Mapping[str, Tensor]
    num_layers: int
    skipped_layers: int
    llama3: bool
    epoch: int

    @property
    def length(self) -> int:
        """A, prompt vectors per layer."""
        return int(self.tensors["adapter.prompts"].shape[1])

    @property
    def max_frames(self) -> int:
        """T, frames of a video."""
        return int(self.tensors["connector.slots.weight"].shape[0])

    @property
    def feature_dim(self) -> int:
        """F, width of a feature."""
        return int(self.tensors["connector.project.weight"].shape[1])

    @property
    def model_dim(self) -> int:
        """D, width of the decoder."""
        return int(self.tensors["connector.project.weight"].shape[0])


def read_topa_checkpoint(path: Path | str) -> TopaCheckpoint:
    """Read a checkpoint of TOPA's released code.

    Raises:
        CheckpointError: no file, not a checkpoint, one that holds other kinds of objects than
            tensors and options, or tensors that do not fit together.
    """
    values = _load(Path(path))
    state, options = values.get("model"), values.get("args")
    if not isinstance(state, Mapping) or not isinstance(options, argparse.Namespace):
        raise CheckpointError(
            f"{path}: no 'model' and 'args' in it, so this is no checkpoint of TOPA's code",
            hint="give a checkpoint_N.pth that its training script wrote",
        )
    tensors = {str(name): tensor.detach().float() for name, tensor in state.items()}
    length = int(getattr(options, "adapter_len", 0))
    renamed, num_layers, skipped = _rename(tensors, length=length, path=Path(path))
    return TopaCheckpoint(
        tensors=renamed,
        num_layers=num_layers,
        skipped_layers=skipped,
        llama3=bool(getattr(options, "llama3", False)),
        epoch=int(values.get("epoch", 0)),
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        with (
            warnings.catch_warnings(action="ignore"),  # torch's remarks on odd pickles
            torch.serialization.safe_globals([argparse.Namespace]),
        ):
            values = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such checkpoint", hint="check the path") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{path}: not a checkpoint that is safe to read: {reason}",
            hint="only tensors, plain values and an argparse.Namespace are read from it",
        ) from error
    return values if isinstance(values, dict) else {}


def _rename(
    tensors: Mapping[str, Tensor], *, length: int, path: Path
) -> tuple[dict[str, Tensor], int, int]:
    """Return tensors under our names, the layers that are run, and those that are not."""
    gates: dict[str, dict[int, Tensor]] = {"1": {}, "2": {}}
    rest = {}
    for name, tensor in tensors.items():
        if match := _GATE.fullmatch(name):
            gates[match[2]][int(match[1])] = tensor.flatten()
        else:
            rest[name] = tensor
    total = len(gates["1"])
    wanted = {_PROMPTS, _PROJECT, _SLOTS}
    if rest.keys() != wanted or any(g.keys() != set(range(total)) for g in gates.values()):
        missing, surplus = sorted(wanted - rest.keys()), sorted(rest.keys() - wanted)
        raise CheckpointError(
            f"{path}: gates of {total} and {len(gates['2'])} layers, tensors missing {missing}, "
            f"left over {surplus[:3]}",
            hint="older checkpoints of that code had other parts",
        )
    rows = len(rest[_PROMPTS])
    count = rows // length if length else 0
    if not 1 <= count <= total or rows % length:
        raise CheckpointError(
            f"{path}: {rows} prompt vectors, {length} a layer, do not fit {total} layers"
        )
    run = range(total - count, total)
    renamed = {
        "adapter.prompts": rest[_PROMPTS].view(count, length, -1),
        "adapter.gates": torch.stack([gates["1"][i] for i in run]),
        "adapter.video_bias": torch.stack([gates["2"][i] for i in run]),
        "connector.project.weight": rest[_PROJECT],
        "connector.slots.weight": rest[_SLOTS],
    }
    return renamed, count, total - count
