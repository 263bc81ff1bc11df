import pytest

from textreel.train.errors import TrainConfigError
from textreel.train.staged import StagedData, StartedData


class Named:
    """Batches that say what they are."""

    def __init__(self, name: str, count: int) -> None:
        self.name, self.count = name, count

    def __len__(self) -> int:
        return self.count

    def batch(self, step: int) -> str:
        return f"{self.name} {step}"


def test_each_part_counts_its_own_steps_from_zero() -> None:
    data = StagedData(Named("caption", 5), 2, Named("task", 7))  # type: ignore[arg-type]
    assert [data.batch(step) for step in range(4)] == ["caption 0", "caption 1", "task 0", "task 1"]
    assert len(data) == 12


def test_no_first_part_is_the_second_alone() -> None:
    data = StagedData(Named("caption", 5), 0, Named("task", 7))  # type: ignore[arg-type]
    assert data.batch(0) == "task 0"
    assert len(data) == 7


def test_a_negative_number_of_steps_is_refused() -> None:
    with pytest.raises(TrainConfigError, match="num_first=-1 must be 0 or more"):
        StagedData(Named("a", 1), -1, Named("b", 1))  # type: ignore[arg-type]


def test_started_data_are_the_same_batches() -> None:
    calls: list[str] = []
    data = StartedData(Named("task", 7), lambda: calls.append("started"))  # type: ignore[arg-type]
    assert (data.batch(3), len(data), calls) == ("task 3", 7, [])
    data.start()
    assert calls == ["started"]
