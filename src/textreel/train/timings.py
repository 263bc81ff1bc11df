"""What a step costs on this machine, remembered, so that equal jobs choose equally.

Two arithmetics may be nearly as fast, and then noise would choose: two runs of one job would end
with other last bits. The first measurement of a kind of job on a machine is kept in the cache, and
later runs of that kind take it. Deleting the cache is safe: a run keeps its choice in its folder.
"""

import json
import logging
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from textreel.data.cache import cache_dir
from textreel.data.files import fingerprint, make_header, write_atomic
from textreel.train.contracts import AnyBatch, TrainableModel
from textreel.train.digest import model_shapes
from textreel.train.precision import ComputePath

_log = logging.getLogger("textreel.train")
_KIND = "step timings"


def job_kind(model: TrainableModel, batch: AnyBatch, *, threads: int) -> str:
    """Name all that the speed of a step depends on: machine, threads, shapes."""
    rows = len(batch.ids)
    return fingerprint(
        {
            "machine": [platform.node(), platform.machine(), str(torch.__version__)],
            "threads": threads,
            "device": str(next(p.device for _, p in model.named_parameters())),
            "model": model_shapes(model),
            "batch": [rows, (batch.num_tokens // rows).bit_length()],
        }
    )


def recall(kind: str, paths: Sequence[ComputePath]) -> dict[ComputePath, float]:
    """Return the remembered seconds of every path, or nothing if one of them is not known."""
    path = _file(kind)
    if not path.exists():
        return {}
    known = json.loads(path.read_text(encoding="utf-8"))["seconds"]
    return {p: known[str(p)] for p in paths} if all(str(p) in known for p in paths) else {}


def remember(kind: str, seconds: Mapping[ComputePath, float]) -> None:
    """Keep measured seconds; a cache that cannot be written costs a measurement, and is logged."""
    text = json.dumps(make_header(_KIND, seconds={str(p): s for p, s in seconds.items()}))
    try:
        write_atomic(_file(kind), text + "\n")
    except OSError as error:
        _log.info("step timings not remembered: %s", error)


def _file(kind: str) -> Path:
    return cache_dir() / "timings" / f"{kind}.json"
