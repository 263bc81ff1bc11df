"""`TrainResult`: how a run ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainResult:
    """A finished run. Two runs that did the same are equal, however often they were killed.

    Attributes:
        steps: updates made.
        loss: mean over the last lines' worth of steps in the log.
        evaluations: `{"step": ..., <name>: <number>, ...}`, in order; the first is at step 0.
        weights_sha256: of the trained parameters.
        precision: of the arithmetic.
        attention: how attention was computed.
        threads: of torch.
        checkpoint: folder of the final state, relative to the run's.
        resumed_at: step from which this call went on; None where it began the run.
        seconds: wall time of all steps that count, evaluations not included.
    """

    steps: int
    loss: float
    evaluations: tuple[Mapping[str, Any], ...]
    weights_sha256: str
    precision: str
    attention: str
    threads: int
    checkpoint: str
    resumed_at: int | None = field(compare=False)
    seconds: float = field(compare=False)
