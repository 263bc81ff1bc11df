"""Running a frozen tower over many items: budgets, order, memory that runs out.

A batch is a budget of positions, pixels or samples, not a number of items, and is halved when an
accelerator's memory does not hold it. Cheap items go first, items of one length go together, and
the order of the answer is that of the call.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from textreel.models.encoder_errors import EncoderError, EncoderMemoryError

Prepared = Mapping[str, Tensor]
"""A tower's inputs by name, each (N, ...)."""

_CPU_BUDGET = {
    "text": 4_096,  # token positions: 53 CLIP texts of full length
    "image": 32 * 3 * 224 * 224,  # values: 32 frames at CLIP's size
    "sound": 64 * 200 * 64,  # values: 64 two-second mel spectrograms at 100 frames per second
}
_ACCELERATOR_FACTOR = 16  # halved until it fits


class TowerRunner:
    """Runs the towers of one frozen model.

    Attributes:
        device: where the towers run; results come back to the CPU.
        budget: what a batch of each kind may cost at most.
    """

    def __init__(
        self, model: nn.Module, *, name: str, budget: Mapping[str, int] | None = None
    ) -> None:
        first = next(model.parameters())
        self.device, self.dtype = first.device, first.dtype
        self._name = name
        factor = 1 if self.device.type == "cpu" else _ACCELERATOR_FACTOR
        self.budget = {kind: factor * cost for kind, cost in (budget or _CPU_BUDGET).items()}

    def run_rows(
        self,
        kind: str,
        prepared: Prepared,
        *,
        main: str,
        tower: Callable[..., Tensor],
        dim: int | None = None,
    ) -> Tensor:
        """Run a tower over rows of one shape.

        Args:
            kind: key of `budget`.
            prepared: the inputs, not empty.
            main: the input whose size is a row's cost.
            tower: takes the inputs by name.
            dim: width that its vectors must have, None for any.
        """
        values = prepared[main]
        cost = values[0].numel()
        return self.run(
            kind,
            [cost] * len(values),
            make=lambda rows: {k: v[rows[0] : rows[-1] + 1] for k, v in prepared.items()},
            tower=tower,
            dim=dim,
        )

    def run(
        self,
        kind: str,
        costs: Sequence[int],
        *,
        make: Callable[[list[int]], Prepared],
        tower: Callable[..., Tensor],
        dim: int | None = None,
    ) -> Tensor:
        """Run a tower over all items, cheap ones first, and put the rows back in order.

        Args:
            kind: key of `budget`.
            costs: of each item; at least one.
            make: the inputs of the items of those numbers.
            tower: takes the inputs by name.
            dim: width that its vectors must have, None for any.

        Raises:
            EncoderMemoryError: not even one item fits into the device's memory.
            EncoderError: vectors that are not finite, or of another width.
        """
        order = sorted(range(len(costs)), key=costs.__getitem__)
        ascending = [costs[i] for i in order]
        parts: list[Tensor] = []
        done = 0
        while done < len(order):
            count = _num_that_fit(ascending, start=done, budget=self.budget[kind])
            rows = order[done : done + count]
            vectors = self._forward(make(rows), tower)
            if vectors is None:
                if count == 1:
                    raise EncoderMemoryError(
                        f"{self._name}: not even one {kind} fits into the memory of {self.device}",
                        hint="free that memory, load with a smaller dtype, or use device='cpu'",
                    )
                self.budget[kind] = costs[rows[-1]] * (count // 2)
                continue
            parts.append(vectors)
            done += count
        vectors = torch.cat(parts)
        self._check(vectors, kind, dim)
        return torch.empty_like(vectors).index_copy_(0, torch.tensor(order), vectors)

    def _forward(self, prepared: Prepared, tower: Callable[..., Tensor]) -> Tensor | None:
        """Return a tower's vectors on the CPU, or None when the device's memory ran out."""
        try:
            with torch.inference_mode():
                inputs = {k: self._to_device(v) for k, v in prepared.items()}
                vectors = tower(**inputs).cpu()
        except torch.OutOfMemoryError:
            return None
        return vectors.clone()  # outside inference mode: an ordinary tensor, fit for training

    def _to_device(self, values: Tensor) -> Tensor:
        dtype = self.dtype if values.is_floating_point() else values.dtype
        return values.to(self.device, dtype)

    def _check(self, vectors: Tensor, kind: str, dim: int | None) -> None:
        finite = vectors.isfinite().all(-1)
        if bad := int((~finite).sum()):
            raise EncoderError(
                f"{self._name}: {bad} of {finite.numel()} {kind} vectors are not finite "
                f"in {self.dtype}",
                hint="load it with dtype=torch.float32",
            )
        if dim is not None and vectors.shape[-1] != dim:
            raise EncoderError(
                f"{self._name}: {kind} vectors have {vectors.shape[-1]} numbers, text vectors "
                f"{dim}: its towers share no space"
            )


def unit_norm(tower: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return the tower with float32 vectors of unit length for its answer."""

    def unit(**inputs: Tensor) -> Tensor:
        return normalize(tower(**inputs).float(), dim=-1)

    return unit


def _num_that_fit(ascending: Sequence[int], *, start: int, budget: int) -> int:
    """Return how many costs from `start` on fit when each is padded to the largest; at least 1."""
    end = start + 1
    while end < len(ascending) and ascending[end] * (end + 1 - start) <= budget:
        end += 1
    return end - start
