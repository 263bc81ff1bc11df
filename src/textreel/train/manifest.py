"""`train.json`: what a run is made of, so that going on with it is going on with the same run.

Other settings, another model or other data are always refused. Another machine (torch version,
processor features, thread count, arithmetic) gives other last bits: it is refused unless the run
may go on inexactly, and then the earlier machine stays on record.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from textreel.data.files import check_header, make_header, write_atomic
from textreel.train.config import TrainConfig
from textreel.train.errors import RunChangedError
from textreel.train.precision import Attention, ComputePath, Precision

FILE = "train.json"
_KIND = "training run"
_NEW_FOLDER = "start a new run in another folder, or take the settings of this run"
_INEXACT = "the last bits of the weights would differ; --inexact goes on all the same"
_DEFAULTS = json.loads(json.dumps(asdict(TrainConfig(steps=1))))
_MAY_DIFFER = ("threads", "precision", "attention")
"""Settings that change last bits only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """All that decides the last bits of the weights, besides settings, model and data.

    Attributes:
        torch: version.
        device: type, such as `cpu`; of CUDA with the name of the GPU.
        cpu_capability: vector instructions that torch's kernels use, such as `AVX512`.
        threads: of torch.
        precision: of the arithmetic.
        attention: how attention is computed.
    """

    torch: str
    device: str
    cpu_capability: str
    threads: int
    precision: Precision
    attention: Attention

    @property
    def path(self) -> ComputePath:
        """How a step is computed."""
        return ComputePath(precision=self.precision, attention=self.attention)


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A run, as recorded.

    Attributes:
        config: the settings, JSON values.
        model: fingerprint of the model before training.
        data: fingerprint of the data.
        machine: where it runs.
        step_seconds: seconds of a step on each compute path; empty where there was no choice.
        earlier: machines on which the run began, where it went on inexactly.
    """

    config: Mapping[str, Any]
    model: str
    data: str
    machine: Machine
    step_seconds: Mapping[str, float]
    earlier: tuple[Machine, ...] = ()


def this_machine(path: ComputePath, *, threads: int, device: torch.device) -> Machine:
    """Return the machine that this process runs on."""
    return Machine(
        torch=str(torch.__version__),
        device=_device_name(device),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        threads=threads,
        precision=path.precision,
        attention=path.attention,
    )


def _device_name(device: torch.device) -> str:
    if device.type != "cuda":
        return device.type
    return f"cuda ({torch.cuda.get_device_name(device)})"


def read(run_dir: Path) -> Manifest | None:
    """Return the run recorded in a folder, or None.

    Raises:
        FormatError: another kind of file, or one of a newer version.
    """
    path = run_dir / FILE
    if not path.exists():
        return None
    raw = check_header(json.loads(path.read_text(encoding="utf-8")), kind=_KIND, path=path)
    return Manifest(
        config=raw["config"],
        model=raw["model"],
        data=raw["data"],
        machine=Machine(**raw["machine"]),
        step_seconds=raw["step_seconds"],
        earlier=tuple(Machine(**machine) for machine in raw["earlier"]),
    )


def config_json(config: TrainConfig) -> dict[str, Any]:
    """Return the settings as JSON gives them back (lists for tuples)."""
    return json.loads(json.dumps(asdict(config)))


def open_run(run_dir: Path, found: Manifest | None, now: Manifest, *, inexact: bool) -> Manifest:
    """Record a new run, or make sure that the recorded one can go on.

    Args:
        run_dir: folder of the run.
        found: what is recorded in it; None for a new run.
        now: what the caller has.
        inexact: go on although the last bits will differ.

    Returns:
        What is recorded now.

    Raises:
        RunChangedError: it is not the same run; names the first difference, with both values.
    """
    if found is None:
        _write(run_dir, now)
        return now
    _refuse_other_job(found, now, run_dir=run_dir, inexact=inexact)
    if found.machine == now.machine and found.config == now.config:
        return found
    if not inexact:
        _refuse_other_machine(found.machine, now.machine, run_dir=run_dir)
    changed = replace(now, earlier=(*found.earlier, found.machine))
    _write(run_dir, changed)
    return changed


def _write(run_dir: Path, manifest: Manifest) -> None:
    """Record a run."""
    text = json.dumps(make_header(_KIND, **asdict(manifest)), indent=1)
    write_atomic(run_dir / FILE, text + "\n")


def _refuse_other_job(found: Manifest, now: Manifest, *, run_dir: Path, inexact: bool) -> None:
    """Refuse to go on with other settings, another model or other data.

    Raises:
        RunChangedError: names the first setting that differs, with both values.
    """
    for name, value in now.config.items():
        before = found.config.get(name, _DEFAULTS[name])  # settings of later versions
        if before == value or (inexact and name in _MAY_DIFFER):
            continue
        raise RunChangedError(
            f"{run_dir} was started with {name}={before!r}, this is {name}={value!r}",
            hint=_INEXACT if name in _MAY_DIFFER else _NEW_FOLDER,
        )
    for what in ("model", "data"):
        before, value = getattr(found, what), getattr(now, what)
        if before != value:
            raise RunChangedError(
                f"{run_dir} was started with another {what}: fingerprint {before}, this is {value}",
                hint=_NEW_FOLDER,
            )


def _refuse_other_machine(found: Machine, now: Machine, *, run_dir: Path) -> None:
    """Refuse to go on where the last bits would differ.

    Raises:
        RunChangedError: names the first difference, with both values.
    """
    for name, before in asdict(found).items():
        value = getattr(now, name)
        if before != value:
            raise RunChangedError(
                f"{run_dir} was started with {name}={before!r}, this is {name}={value!r}",
                hint=_INEXACT,
            )
