"""States from which a run goes on exactly, written so that no kill can tear them.

    checkpoints/step-00000100/tensors.safetensors   trained parameters, AdamW state, generators
                             /state.json            step and running sums

A checkpoint is there whole or not at all. The newest two stay.
"""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from textreel.data.files import atomic_directory, check_header, make_header
from textreel.train.contracts import TrainableModel
from textreel.train.errors import CheckpointError

KEPT = 2
_KIND = "checkpoint"
_NAME = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Snapshot:
    """The state of a run between two steps.

    Attributes:
        step: updates made.
        tensors: by name; see `capture`.
        scalars: JSON values that the loop keeps.
    """

    step: int
    tensors: Mapping[str, Tensor]
    scalars: Mapping[str, Any]


def rng_state(device: torch.device) -> dict[str, Tensor]:
    """Return the states of torch's generators that a step on `device` draws from."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_rng_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Put generators back to `state`."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)


def _held(model: TrainableModel) -> dict[str, Tensor]:
    """Return what training can change in a model: trained parameters, persistent buffers."""
    saved = model.state_dict().keys()
    held = {name: p.data for name, p in model.named_parameters() if p.requires_grad}
    return held | {name: b for name, b in model.named_buffers() if name in saved}


def capture(
    model: TrainableModel, optimizer: Optimizer, rng: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return every tensor that a run needs to go on.

    Names: `model/<parameter or buffer>`, `optimizer/<parameter>/<exp_avg, ...>`, `rng/<device>`.
    The tensors share memory with the model: write them before the next step.
    """
    tensors = {f"model/{name}": tensor for name, tensor in _held(model).items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer/{name}/{key}"] = value
    return tensors | {f"rng/{name}": state for name, state in rng.items()}


def restore(
    tensors: Mapping[str, Tensor], model: TrainableModel, optimizer: Optimizer
) -> dict[str, Tensor]:
    """Put `capture`'s tensors back into a model and an optimizer built like the first ones.

    Values are copied into memory of torch's own allocation, for sums in some kernels depend on
    alignment.

    Returns:
        The states of the generators, for `set_rng_state`.

    Raises:
        CheckpointError: the tensors are not those of this model.
    """
    held = _held(model)
    names = {name.removeprefix("model/") for name in tensors if name.startswith("model/")}
    if names != held.keys():
        odd = sorted(names ^ held.keys())
        raise CheckpointError(
            f"checkpoint and model differ in {len(odd)} of {len(held)} tensors (first: {odd[0]})",
            hint="build the model with the settings of this run, or start a new run folder",
        )
    for name, tensor in held.items():
        tensor.copy_(tensors[f"model/{name}"])
    for name, parameter in model.named_parameters():
        prefix = f"optimizer/{name}/"
        state = {
            key.removeprefix(prefix): value.to(parameter.device, copy=True)
            for key, value in tensors.items()
            if key.startswith(prefix)
        }
        if state:
            optimizer.state[parameter] = state
    return {k.removeprefix("rng/"): v.clone() for k, v in tensors.items() if k.startswith("rng/")}


def save(folder: Path, snapshot: Snapshot) -> Path:
    """Write a checkpoint into `folder` and drop all but the newest `KEPT`.

    Returns:
        The folder of the checkpoint.
    """
    path = folder / f"step-{snapshot.step:08d}"
    if path.exists():
        return path
    tensors = {name: t.detach().cpu().contiguous() for name, t in snapshot.tensors.items()}
    state = make_header(_KIND, step=snapshot.step, scalars=dict(snapshot.scalars))
    with atomic_directory(path) as draft:
        save_file(tensors, draft / "tensors.safetensors")
        (draft / "state.json").write_text(json.dumps(state), encoding="utf-8")
    for old in _all(folder)[:-KEPT]:
        shutil.rmtree(old.rename(old.with_name(f".{old.name}.tmp-old")))
    return path


def sweep(folder: Path) -> None:
    """Remove what a killed run left half written or half removed."""
    for path in folder.glob(".step-*.tmp-*"):
        shutil.rmtree(path)


def latest(folder: Path) -> Snapshot | None:
    """Read the newest checkpoint in `folder`; None where there is none.

    Raises:
        CheckpointError: it cannot be read.
        FormatError: it was written by a newer version.
    """
    found = _all(folder)
    if not found:
        return None
    path = found[-1]
    hint = f"remove {path.name}; the run then goes on from the checkpoint before it"
    try:
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        tensors = load_file(path / "tensors.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error}", hint=hint) from error
    check_header(state, kind=_KIND, path=path / "state.json")
    return Snapshot(step=state["step"], tensors=tensors, scalars=state["scalars"])


def _all(folder: Path) -> list[Path]:
    """Return the folders of whole checkpoints, oldest first."""
    found = (
        (match, path) for path in folder.glob("step-*") if (match := _NAME.fullmatch(path.name))
    )
    return [path for _, path in sorted(found, key=lambda pair: int(pair[0][1]))]
