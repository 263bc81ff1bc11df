import pytest
import torch

from tests.train.training_job import data, rows
from textreel.train.buckets import POOL_BATCHES, BucketedBatches, BucketedData
from textreel.train.digest import batch_digest
from textreel.train.errors import TrainConfigError


def _lengths(count: int) -> list[int]:
    return torch.randint(50, 151, (count,), generator=torch.Generator().manual_seed(1)).tolist()


@pytest.mark.parametrize("count", [1, 7, 8, 9, 1000])
def test_every_sample_comes_once_an_epoch(count: int) -> None:
    batches = BucketedBatches(_lengths(count), batch_size=8, seed=0)
    for epoch in range(3):
        first = epoch * batches.batches_per_epoch
        seen = [batches.indices(first + i) for i in range(batches.batches_per_epoch)]
        assert sorted(i for batch in seen for i in batch) == list(range(count))
        sizes = {len(batch) for batch in seen}
        assert max(sizes) <= 8
        assert max(sizes) - min(sizes) <= 1


def test_batches_hold_similar_lengths() -> None:
    lengths = _lengths(2000)
    batches = BucketedBatches(lengths, batch_size=16, seed=0)
    padded = sum(
        len(batch) * max(lengths[i] for i in batch)
        for batch in map(batches.indices, range(batches.batches_per_epoch))
    )
    assert padded / sum(lengths) < 1.03


def test_any_step_can_be_asked_for_first() -> None:
    count = 8 * (2 * POOL_BATCHES + 3)
    forward = BucketedBatches(_lengths(count), batch_size=8, seed=5)
    backward = BucketedBatches(_lengths(count), batch_size=8, seed=5)
    steps = range(3 * forward.batches_per_epoch)
    one = [forward.indices(step) for step in steps]
    assert [backward.indices(step) for step in reversed(steps)] == one[::-1]


def test_seeds_and_epochs_have_orders_of_their_own() -> None:
    batches = BucketedBatches(_lengths(100), batch_size=8, seed=0)
    other = BucketedBatches(_lengths(100), batch_size=8, seed=1)
    n = batches.batches_per_epoch
    first = [batches.indices(i) for i in range(n)]
    assert first != [other.indices(i) for i in range(n)]
    assert first != [batches.indices(n + i) for i in range(n)]


def test_the_order_of_batches_does_not_follow_their_length() -> None:
    lengths = list(range(800))
    batches = BucketedBatches(lengths, batch_size=8, seed=0)
    firsts = [batches.indices(i)[0] for i in range(100)]
    assert firsts != sorted(firsts)


def test_collated_batches_depend_on_the_step_alone() -> None:
    one, two = data(), data()
    digests = [batch_digest(one.batch(step)) for step in range(14)]
    assert [batch_digest(two.batch(step)) for step in reversed(range(14))] == digests[::-1]
    assert len(set(digests)) == 14


def test_what_is_drawn_at_random_differs_between_epochs() -> None:
    drawn = BucketedData(
        rows(1), [3], lambda _, g: torch.rand(1, generator=g), batch_size=1, seed=0
    )
    assert len({float(drawn.batch(step)) for step in range(20)}) == 20
    assert len(drawn) == 1


def test_nothing_cannot_be_cut_into_batches() -> None:
    with pytest.raises(TrainConfigError, match="cannot cut 0 samples into batches of 8"):
        BucketedBatches([], batch_size=8, seed=0)
    with pytest.raises(TrainConfigError, match="cannot cut 1 samples into batches of 0"):
        BucketedBatches([1], batch_size=0, seed=0)
    with pytest.raises(TrainConfigError, match="2 samples but 1 lengths"):
        BucketedData([1, 2], [1], lambda _, g: None, batch_size=1, seed=0)
