"""The optimizer of the trained parameters: AdamW as TOPA groups them, or Muon with AdamW."""

import torch
from torch.nn import Parameter
from torch.optim import AdamW, Muon, Optimizer

from textreel.train.config import TrainConfig
from textreel.train.contracts import TrainableModel
from textreel.train.errors import TrainConfigError

MUON_MOMENTUM = 0.95


def keep_masters(model: TrainableModel) -> None:
    """Store trained parameters in float32: half precision would lose small updates."""
    for _, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


class MuonWithAdamW(Optimizer):
    """Muon for matrices, AdamW for everything else, behind one optimizer's face.

    Muon orthogonalises the momentum of each matrix (K. Jordan et al., 2024,
    https://kellerjordan.github.io/posts/muon); embeddings, norms, biases and vectors stay with
    AdamW, as its authors advise. In each group, `rate` is what the schedule's learning rate is
    multiplied by.
    """

    def __init__(self, muon: Muon, adamw: AdamW) -> None:
        self.parts = (muon, adamw)
        super().__init__(muon.param_groups + adamw.param_groups, {})
        self.param_groups = muon.param_groups + adamw.param_groups
        adamw.state = muon.state = self.state

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all parameters."""
        for part in self.parts:
            part.step()  # type: ignore[no-untyped-call]


def build_optimizer(model: TrainableModel, config: TrainConfig) -> Optimizer:
    """Return the optimizer of the trained parameters.

    AdamW with weight decay on matrices only (dhg-wei/TOPA, util/misc.py), or Muon with AdamW.

    Raises:
        TrainConfigError: nothing in the model is to be trained.
    """
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not trained:
        raise TrainConfigError("no parameter of the model requires a gradient: nothing to train")
    hidden = {
        name
        for name, p in trained
        if config.optimizer == "muon" and p.ndim == 2 and "embed" not in name
    }
    matrices = [p for name, p in trained if p.ndim > 1 and name not in hidden]
    others = [p for _, p in trained if p.ndim <= 1]
    adamw = _adamw(matrices, others, config)
    if not hidden:
        return adamw
    muon = Muon(
        [p for name, p in trained if name in hidden],
        lr=config.muon_lr,
        momentum=MUON_MOMENTUM,
        weight_decay=config.weight_decay,
    )
    for group in muon.param_groups:
        group["rate"] = config.muon_lr / config.lr
    return MuonWithAdamW(muon, adamw)


def _adamw(matrices: list[Parameter], others: list[Parameter], config: TrainConfig) -> AdamW:
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return AdamW(
        [group for group in groups if group["params"]] or [{"params": others}],
        lr=config.lr,
        betas=config.betas,
        fused=all(p.device.type in ("cpu", "cuda") for p in (*matrices, *others)),
    )


def set_learning_rate(optimizer: Optimizer, lr: float) -> None:
    """Use `lr` for the next update, times the group's own `rate` where it has one."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("rate", 1.0)
