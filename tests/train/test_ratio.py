from collections import Counter
from dataclasses import dataclass

import pytest
import torch

from textreel.train.config import TrainConfig, learning_rate
from textreel.train.digest import batch_digest
from textreel.train.errors import TrainConfigError
from textreel.train.ratio import RatioData


class Counted:
    """Batches that say whose they are and which."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __len__(self) -> int:
        return 5

    def batch(self, step: int):
        return (self.name, step)


def test_data_sets_are_drawn_by_ratio_and_each_goes_on_where_it_was() -> None:
    data = RatioData([Counted("a"), Counted("b")], [100, 24], seed=3)
    drawn = [data.batch(step) for step in range(2000)]
    counts = Counter(name for name, _ in drawn)
    assert counts["a"] / 2000 == pytest.approx(100 / 124, abs=0.03)
    for name in "ab":
        assert [step for n, step in drawn if n == name] == list(range(counts[name]))
    again = RatioData([Counted("a"), Counted("b")], [100, 24], seed=3)
    assert [again.batch(step) for step in (1999, 0, 777)] == [drawn[s] for s in (1999, 0, 777)]
    assert len(data) == 10
    other = RatioData([Counted("a"), Counted("b")], [100, 24], seed=4)
    assert [other.batch(s) for s in range(50)] != drawn[:50]


@pytest.mark.parametrize(("count", "ratios"), [(0, []), (2, [1.0]), (2, [1.0, 0.0])])
def test_ratios_that_draw_nothing_are_refused(count: int, ratios: list[float]) -> None:
    with pytest.raises(TrainConfigError, match="data sets with ratios"):
        RatioData([Counted("a")] * count, ratios, seed=0)


def test_the_published_rate_drops_where_warm_up_ends() -> None:
    """Values of Video-LLaMA's four stages, right before and after warm-up."""
    for lr, low, warmup, steps, after in (
        (1e-4, 8e-5, 2500, 12_500, 9.81e-5),
        (1e-4, 8e-5, 5000, 25_000, 9.81e-5),
        (3e-5, 1e-5, 1000, 3000, 2.50e-5),
        (3e-5, 1e-5, 400, 3000, 2.91e-5),
    ):
        config = TrainConfig(
            steps=steps, warmup=warmup, lr=lr, min_lr=low, warmup_lr=1e-6, schedule="unshifted"
        )
        assert learning_rate(0, config) == pytest.approx(1e-6)
        last = 1e-6 + (lr - 1e-6) * (warmup - 1) / warmup
        assert learning_rate(warmup - 1, config) == pytest.approx(last)
        assert learning_rate(warmup, config) == pytest.approx(after, rel=2e-3)
        assert learning_rate(steps, config) == pytest.approx(low)
    shifted = TrainConfig(steps=3000, warmup=1000, lr=3e-5, min_lr=1e-5)
    assert learning_rate(1000, shifted) == pytest.approx(3e-5)
    assert learning_rate(3000, shifted) == pytest.approx(1e-5)
    with pytest.raises(TrainConfigError, match=r"min_lr=2.0 must be from 0 to lr=1.0"):
        TrainConfig(steps=1, lr=1.0, min_lr=2.0)


@dataclass(frozen=True)
class Inner:
    values: torch.Tensor


@dataclass(frozen=True)
class Outer:
    ids: tuple[str, ...]
    track: Inner | None


def test_a_fingerprint_covers_the_parts_of_a_batch() -> None:
    one = Outer(("a",), Inner(torch.zeros(2)))
    assert batch_digest(one) == batch_digest(Outer(("a",), Inner(torch.zeros(2))))
    assert batch_digest(one) != batch_digest(Outer(("a",), Inner(torch.ones(2))))
    assert batch_digest(one) != batch_digest(Outer(("a",), None))
