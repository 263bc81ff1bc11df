"""The training loop: batches in, weights out, exactly the same weights after any kill.

    train(model, data, config, run_dir, evaluate=..., progress=...)

A step depends on nothing but the weights, the optimizer, torch's generator and `data.batch(step)`;
the first three are in the checkpoint, the last is a pure function. So the same call goes on where
a killed one stopped, redoes what came after the last checkpoint, and ends with the same bits; on an
accelerator as far as its kernels repeat themselves, for some add in another order each time.

    run_dir/train.json      settings, fingerprints of model and data, machine (`manifest`)
           /log.jsonl       loss, rate, speed every `log_every` steps; evaluations
           /checkpoints/    the newest two (`checkpoint`)
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from textreel.data.locks import run_lock
from textreel.train import checkpoint, manifest, timings
from textreel.train.config import TrainConfig, learning_rate
from textreel.train.contracts import BatchT, Evaluate, ModelWithLoss, Progress, TrainingData
from textreel.train.digest import batch_digest, model_digest, weights_sha256
from textreel.train.errors import non_finite
from textreel.train.interrupt import Interrupts
from textreel.train.manifest import Machine, Manifest
from textreel.train.optimizer import build_optimizer, keep_masters, set_learning_rate
from textreel.train.precision import ComputePath, arithmetic, candidates, fastest, measure, take
from textreel.train.prefetch import Prefetcher
from textreel.train.result import TrainResult
from textreel.train.run_log import RunLog
from textreel.train.staged import StartedData


def train(
    model: ModelWithLoss[BatchT],
    data: TrainingData[BatchT],
    config: TrainConfig,
    run_dir: Path,
    *,
    evaluate: Evaluate | None = None,
    progress: Callable[[Progress], None] | None = None,
    inexact: bool = False,
) -> TrainResult:
    """Train the parameters of `model` that require gradients; safe to kill and to call again.

    The caller's generator, thread count and gradients are as before when it returns; the model is
    in evaluation mode. Trained parameters are in float32 from the start.

    Args:
        model: built the same way in every call on one folder; the trained weights are left in it.
        data: batches, pure in the step; `StartedData` begins with something else.
        config: settings, the same in every call.
        run_dir: folder of the run. An unfinished run in it goes on, a finished one is only read.
        evaluate: measured before the first step, every `evaluate_every` steps and at the end.
        progress: called after every step and every evaluation.
        inexact: go on although another machine, thread count or arithmetic gives other last bits.

    Returns:
        The end of the run.

    Raises:
        RunChangedError: the folder holds another run.
        NonFiniteError: the loss or the gradient is no finite number; the state is saved.
        CheckpointError: a checkpoint cannot be read.
        TrainConfigError: nothing to train, or settings without effect.
        KeyboardInterrupt, SystemExit: SIGINT or SIGTERM came; the state is saved.
    """
    device = next(p.device for _, p in model.named_parameters())
    run_dir.mkdir(parents=True, exist_ok=True)
    with run_lock(run_dir), _private_torch(device), Interrupts() as interrupts:
        keep_masters(model)
        optimizer = build_optimizer(model, config)
        machine = _machine(model, data, config, run_dir, inexact=inexact)
        take(machine.path, model)
        torch.set_num_threads(machine.threads)
        torch.manual_seed(config.seed)
        run = _Run(model, data, config, run_dir, optimizer=optimizer, machine=machine)
        run.watch(evaluate, progress)
        return run.finish(interrupts)


@contextmanager
def _private_torch(device: torch.device) -> Iterator[None]:
    """Leave the caller's thread count and generators as they were."""
    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        torch.set_num_threads(threads)


def _machine(
    model: ModelWithLoss[BatchT],
    data: TrainingData[BatchT],
    config: TrainConfig,
    run_dir: Path,
    *,
    inexact: bool,
) -> Machine:
    """Return the machine that the run uses: the recorded one, or one measured now and recorded."""
    device = next(p.device for _, p in model.named_parameters())
    found = manifest.read(run_dir)
    paths = candidates(model, precision=config.precision, attention=config.attention)
    first, last = (
        data.batch(0),
        data.batch(config.steps * config.accumulate - 1),
    )  # may come in stages
    seconds: dict[ComputePath, float] = {}
    if found is None:
        threads = config.threads or torch.get_num_threads()
        torch.set_num_threads(threads)
        seconds = _step_seconds(model, first.to(device), paths, threads=threads)
        path = fastest(paths, seconds)
    else:
        threads = config.threads or found.machine.threads
        path = found.machine.path if found.machine.path in paths else paths[0]
    now = Manifest(
        config=manifest.config_json(config),
        model=model_digest(model),
        data=f"{len(data)} samples, {batch_digest(first)}, {batch_digest(last)}",
        machine=manifest.this_machine(path, threads=threads, device=device),
        step_seconds={str(tried): value for tried, value in seconds.items()},
    )
    return manifest.open_run(run_dir, found, now, inexact=inexact).machine


def _step_seconds(
    model: ModelWithLoss[BatchT], batch: BatchT, paths: Sequence[ComputePath], *, threads: int
) -> dict[ComputePath, float]:
    """Return what a step costs on each path, remembered or measured; nothing for a single path."""
    if len(paths) < 2:
        return {}
    kind = timings.job_kind(model, batch, threads=threads)
    if seconds := timings.recall(kind, paths):
        return seconds
    step = partial(_try_step, model, batch)
    device = next(p.device for _, p in model.named_parameters())
    seconds = measure(step, paths, device=device)
    timings.remember(kind, seconds)
    return seconds


def _try_step(model: ModelWithLoss[BatchT], batch: BatchT, path: ComputePath) -> None:
    """Do the work of a step on `path`, and leave the weights alone."""
    take(path, model)
    model.train()
    device = next(p.device for _, p in model.named_parameters())
    with arithmetic(path, device):
        loss = model.loss(batch)
    torch.autograd.backward(loss)
    for _, parameter in model.named_parameters():
        parameter.grad = None


@dataclass(kw_only=True, slots=True)
class _Window:
    """Sums since the last line in the log."""

    steps: int = 0
    loss: float = 0.0
    tokens: int = 0
    seconds: float = 0.0
    wait_s: float = 0.0

    def line(self, step: int, *, lr: float, grad_norm: float) -> dict[str, Any]:
        """Return the log's line after `step` updates."""
        return {
            "step": step,
            "loss": self.loss / self.steps,
            "lr": lr,
            "grad_norm": grad_norm,
            "step_s": self.seconds / self.steps,
            "tokens_per_s": self.tokens / self.seconds,
            "wait_share": self.wait_s / self.seconds,
        }


class _Run(Generic[BatchT]):
    """One run under way: its weights, where it stands, what it has to report."""

    def __init__(
        self,
        model: ModelWithLoss[BatchT],
        data: TrainingData[BatchT],
        config: TrainConfig,
        run_dir: Path,
        *,
        optimizer: Optimizer,
        machine: Machine,
    ) -> None:
        """Go back to the newest checkpoint, if there is one."""
        self.model, self.data, self.config = model, data, config
        self.optimizer, self.machine = optimizer, machine
        self.folder = run_dir / "checkpoints"
        self.trained = [p for _, p in model.named_parameters() if p.requires_grad]
        self.device = self.trained[0].device
        self.evaluate: Evaluate | None = None
        self.progress: Callable[[Progress], None] | None = None
        self.step, self.seconds = 0, 0.0
        self.last_loss, self.last_s = math.nan, 0.0
        self.resumed_at: int | None = None
        self.window = _Window()
        self.evaluation: Mapping[str, float] = {}
        self._resume()
        self.log = RunLog(run_dir / "log.jsonl", step=-1 if self.resumed_at is None else self.step)

    def _resume(self) -> None:
        checkpoint.sweep(self.folder)
        found = checkpoint.latest(self.folder)
        if found is None:
            return
        rng = checkpoint.restore(found.tensors, self.model, self.optimizer)
        checkpoint.set_rng_state(rng, self.device)
        self.step = self.resumed_at = found.step
        self.window = _Window(**found.scalars["window"])
        self.seconds = found.scalars["seconds"]
        self.evaluation = found.scalars["evaluation"]

    def watch(self, evaluate: Evaluate | None, progress: Callable[[Progress], None] | None) -> None:
        """Set who measures and who is told."""
        self.evaluate, self.progress = evaluate, progress

    def finish(self, interrupts: Interrupts) -> TrainResult:
        """Take the steps that are left."""
        if self.resumed_at is None:
            self._evaluate()
            if isinstance(self.data, StartedData):
                self.data.start()
        depth = self.config.prefetch
        with Prefetcher(
            self.data,
            first_step=self.step * self.config.accumulate,
            last_step=self.config.steps * self.config.accumulate,
            depth=depth,
        ) as batches:
            self.model.train()
            while self.step < self.config.steps:
                self._step(batches)
                if self._due(self.config.checkpoint_every) or interrupts.signal:
                    self._save(checkpoint.rng_state(self.device))
                interrupts.leave()
        self.model.train(False)
        return self._result()

    def _due(self, every: int) -> bool:
        """Return whether something that comes every so many steps, and last, comes now."""
        last = self.step == self.config.steps
        return last or (every > 0 and self.step % every == 0)

    def _step(self, batches: Prefetcher[BatchT]) -> None:
        start_s, waited_s = time.perf_counter(), batches.wait_s
        lr = learning_rate(self.step, self.config)
        loss, grad_norm, tokens = self._update(batches, lr)
        step_s = time.perf_counter() - start_s
        self.step += 1
        self.seconds += step_s
        self.window.steps += 1
        self.window.loss += loss
        self.window.tokens += tokens
        self.window.seconds += step_s
        self.window.wait_s += batches.wait_s - waited_s
        if self._due(self.config.log_every):
            self.log.append(self.window.line(self.step, lr=lr, grad_norm=grad_norm))
            self.window = _Window()
        self.last_loss, self.last_s = loss, step_s
        self._tell(lr)
        if self._due(self.config.evaluate_every):
            self._evaluate()

    def _update(self, batches: Prefetcher[BatchT], lr: float) -> tuple[float, float, int]:
        """Make one update; return the loss before it, the norm of its gradient, and its tokens."""
        rng = checkpoint.rng_state(self.device)
        set_learning_rate(self.optimizer, lr)
        value, tokens, parts = 0.0, 0, self.config.accumulate
        for _ in range(parts):
            batch = batches.next_batch().to(self.device)
            with arithmetic(self.machine.path, self.device):
                loss = self.model.loss(batch) / parts
            part = loss.item()
            self._require_finite("the loss", part, batch, rng)
            torch.autograd.backward(loss)
            value, tokens = value + part, tokens + batch.num_tokens
        grad_norm = clip_grad_norm_(self.trained, self.config.clip_norm or math.inf).item()
        self._require_finite("the gradient's norm", grad_norm, batch, rng)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return value, grad_norm, tokens

    def _require_finite(
        self, what: str, value: float, batch: BatchT, rng: Mapping[str, Tensor]
    ) -> None:
        if not math.isfinite(value):
            self._save(rng)
            raise non_finite(what, value=value, step=self.step, ids=batch.ids)

    def _evaluate(self) -> None:
        if self.evaluate is None:
            return
        self.model.train(False)
        with (
            _private_torch(self.device),
            torch.no_grad(),
            arithmetic(self.machine.path, self.device),
        ):
            self.evaluation = dict(self.evaluate())
        self.model.train()
        self.log.append({"step": self.step, "evaluation": self.evaluation})
        self._tell(learning_rate(max(0, self.step - 1), self.config))

    def _tell(self, lr: float) -> None:
        if self.progress is not None:
            self.progress(
                Progress(
                    step=self.step,
                    steps=self.config.steps,
                    loss=self.last_loss,
                    lr=lr,
                    step_s=self.last_s,
                    evaluation=self.evaluation,
                )
            )

    def _save(self, rng: Mapping[str, Tensor]) -> None:
        self.log.flush()
        scalars = {
            "window": asdict(self.window),
            "seconds": self.seconds,
            "evaluation": dict(self.evaluation),
        }
        tensors = checkpoint.capture(self.model, self.optimizer, rng)
        checkpoint.save(
            self.folder, checkpoint.Snapshot(step=self.step, tensors=tensors, scalars=scalars)
        )

    def _result(self) -> TrainResult:
        lines = self.log.lines()
        evaluations = [line for line in lines if "evaluation" in line]
        return TrainResult(
            steps=self.step,
            loss=[line["loss"] for line in lines if "loss" in line][-1],
            evaluations=tuple({"step": e["step"], **e["evaluation"]} for e in evaluations),
            weights_sha256=weights_sha256(self.model),
            precision=self.machine.precision,
            attention=self.machine.attention,
            threads=self.machine.threads,
            checkpoint=f"checkpoints/step-{self.step:08d}",
            resumed_at=self.resumed_at,
            seconds=self.seconds,
        )
