import threading
import time

import pytest

from tests.train.training_job import data
from textreel.train.digest import batch_digest
from textreel.train.prefetch import Prefetcher


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_batches_come_in_order_whatever_the_depth(depth: int) -> None:
    source = data()
    with Prefetcher(source, first_step=2, last_step=9, depth=depth) as batches:
        got = [batch_digest(batches.next_batch()) for _ in range(2, 9)]
    assert got == [batch_digest(data().batch(step)) for step in range(2, 9)]


def test_nothing_is_prepared_beyond_the_last_step_or_the_depth() -> None:
    asked: list[int] = []

    class Source:
        def batch(self, step: int) -> int:
            asked.append(step)
            return step

    with Prefetcher(Source(), first_step=0, last_step=3, depth=2) as batches:
        batches.next_batch()
        time.sleep(0.05)
        assert asked == [0, 1, 2]
        batches.next_batch()
        assert batches.next_batch() == 2
    assert asked == [0, 1, 2]


@pytest.mark.parametrize("depth", [0, 2])
def test_an_error_in_the_data_is_raised_where_the_batch_is_asked_for(depth: int) -> None:
    class Source:
        def batch(self, step: int) -> int:
            if step == 1:
                raise KeyError("sample-7")
            return step

    before = threading.active_count()
    with Prefetcher(Source(), first_step=0, last_step=9, depth=depth) as batches:
        assert batches.next_batch() == 0
        with pytest.raises(KeyError, match="sample-7"):
            batches.next_batch()
    assert threading.active_count() == before


def test_waiting_is_counted() -> None:
    class Source:
        def batch(self, step: int) -> int:
            time.sleep(0.03)
            return step

    with Prefetcher(Source(), first_step=0, last_step=2, depth=0) as batches:
        batches.next_batch()
        assert batches.wait_s >= 0.03
