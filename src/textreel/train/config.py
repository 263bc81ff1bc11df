"""`TrainConfig`, and the learning rate it gives each step."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from textreel.train.errors import TrainConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """How long, how fast and how exactly to train; JSON values only.

    "Every" is counted in steps; a step is one update of the weights.

    Attributes:
        steps: updates in the whole run.
        batch_size: most samples in a batch; whoever makes the batches reads it.
        accumulate: batches whose gradients make one update, each by its mean loss; the effective
            batch has `accumulate * batch_size` samples.
        lr: highest learning rate.
        warmup: steps over which the rate rises linearly to `lr`.
        schedule: `cosine` falls to `min_lr` at `steps`; `unshifted` is the same half cosine counted
            from the first step, so that the rate drops where warm-up ends (Video-LLaMA's, after
            LAVIS); `constant` stays at `lr`.
        min_lr: where the cosines end.
        warmup_lr: where `unshifted` warms up from.
        restarts: shares of the steps, ascending, at which warm-up and schedule begin anew, for
            training in stages (warm restarts: SGDR, arXiv:1608.03983).
        weight_decay: of matrices; vectors and scalars (norms, biases, gates) never decay.
        betas: AdamW's.
        clip_norm: greatest norm of the gradient of all trained parts together; None for no limit.
        optimizer: `adamw`; or `muon` for hidden matrices, with AdamW for the rest.
        muon_lr: highest learning rate of those matrices; their updates have a spectral norm of
            about this. No effect with `adamw`.
        seed: of everything drawn while training (dropout; the data have their own).
        log_every: a line in `log.jsonl`.
        evaluate_every: 0 for at the start and the end only; otherwise these steps as well.
        checkpoint_every: a state from which the run goes on exactly.
        precision: of the arithmetic; trained parts stay float32. `auto` takes the faster.
        attention: how it is computed, for models that offer a choice. `auto` takes the faster.
        threads: of torch; None for as many as torch has at the start.
        prefetch: batches prepared in the background; 0 for none.
    """

    steps: int
    batch_size: int = 32
    accumulate: int = 1
    lr: float = 1e-3
    warmup: int = 0
    schedule: Literal["cosine", "constant", "unshifted"] = "cosine"
    min_lr: float = 0.0
    warmup_lr: float = 0.0
    restarts: tuple[float, ...] = ()
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    clip_norm: float | None = 1.0
    optimizer: Literal["adamw", "muon"] = "adamw"
    muon_lr: float = 0.02
    seed: int = 0
    log_every: int = 10
    evaluate_every: int = 0
    checkpoint_every: int = 100
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    attention: Literal["auto", "sdpa", "eager"] = "auto"
    threads: int | None = None
    prefetch: int = 2

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate", "log_every", "checkpoint_every"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("evaluate_every", "prefetch"):
            self._require(name, getattr(self, name) >= 0, "0 or more")
        self._require("threads", self.threads is None or self.threads >= 1, "at least 1, or None")
        self._require("warmup", 0 <= self.warmup < self.steps, f"from 0 to {self.steps - 1}")
        rising = all(a < b for a, b in pairwise((0.0, *self.restarts, 1.0)))
        self._require("restarts", rising, "ascending shares between 0 and 1")
        self._require("lr", 0 < self.lr < math.inf, "above 0")
        for name in ("min_lr", "warmup_lr"):
            self._require(name, 0 <= getattr(self, name) <= self.lr, f"from 0 to lr={self.lr}")
        self._require("optimizer", self.optimizer in ("adamw", "muon"), "adamw or muon")
        self._require("muon_lr", 0 < self.muon_lr < math.inf, "above 0")
        self._require("weight_decay", 0 <= self.weight_decay < math.inf, "0 or more")
        self._require("betas", all(0 <= b < 1 for b in self.betas), "two numbers in [0, 1)")
        self._require("clip_norm", self.clip_norm is None or self.clip_norm > 0, "above 0, or None")

    def _require(self, name: str, ok: bool, wanted: str) -> None:
        if not ok:
            raise TrainConfigError(f"TrainConfig: {name}={getattr(self, name)} must be {wanted}")


def learning_rate(step: int, config: TrainConfig) -> float:
    """Return the rate of the update that follows `step` earlier ones.

    Linear warm-up, then half a cosine that would reach `min_lr` at update `config.steps`; TOPA's
    schedule (dhg-wei/TOPA, util/lr_sched.py), by step. `unshifted`: Video-LLaMA@64888c0,
    common/optims.py. With `restarts`, each stretch by itself.

    >>> [learning_rate(s, TrainConfig(steps=4, warmup=2, lr=1.0)) for s in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    bounds = [0, *(round(share * config.steps) for share in config.restarts), config.steps]
    start, end = next((a, b) for a, b in pairwise(bounds) if step < b or b == config.steps)
    step, steps = step - start, end - start
    if config.schedule == "unshifted":
        if step < config.warmup:
            return config.warmup_lr + (config.lr - config.warmup_lr) * step / config.warmup
        return _fallen(step / steps, config)
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    if config.schedule == "constant":
        return config.lr
    return _fallen((step - config.warmup) / (steps - config.warmup), config)


def _fallen(done: float, config: TrainConfig) -> float:
    """Return the rate of a half cosine from `lr` to `min_lr` of which a share is done."""
    return config.min_lr + (config.lr - config.min_lr) * 0.5 * (1.0 + math.cos(math.pi * done))
