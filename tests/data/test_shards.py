from collections.abc import Iterator
from pathlib import Path

import pytest

from textreel.data.errors import ShardError
from textreel.data.journal import Journal
from textreel.data.shards import gather, in_shard, parse_shard, run_shard

ITEMS = [(f"k{i}", i) for i in range(50)]
SPLIT = ["k0", "k8"]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "j.jsonl", kind="test", fingerprint="f") as journal:
        yield journal


def test_results_come_in_the_order_of_items_and_as_json(journal: Journal) -> None:
    assert list(run_shard(lambda i: (i, i * i), ITEMS, journal)) == [
        (f"k{i}", [i, i * i]) for i in range(50)
    ]


def test_finished_items_are_not_worked_on_again(journal: Journal) -> None:
    calls: list[int] = []

    def fails_once(item: int) -> int:
        calls.append(item)
        if item == 30 and calls.count(30) == 1:
            raise ConnectionError("the line went dead")
        return item + 1

    with pytest.raises(ConnectionError, match="dead"):
        list(run_shard(fails_once, ITEMS, journal))
    assert list(run_shard(fails_once, ITEMS, journal)) == [(k, i + 1) for k, i in ITEMS]
    assert calls == [*range(31), *range(30, 50)]


def test_a_result_is_worked_out_when_asked_for(journal: Journal) -> None:
    endless = ((str(i), i) for i in iter(int, 1))
    assert next(run_shard(lambda i: i, endless, journal)) == ("0", 0)
    assert len(journal) == 1


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_every_item_is_in_exactly_one_shard(count: int) -> None:
    parts = [{k for k, _ in ITEMS if in_shard(k, shard=(i, count))} for i in range(count)]
    assert sum(len(part) for part in parts) == 50
    assert set().union(*parts) == {k for k, _ in ITEMS}


def test_the_split_never_changes() -> None:
    assert [k for k, _ in ITEMS[:12] if in_shard(k, shard=(0, 3))] == SPLIT


def test_shards_together_give_what_one_run_gives(tmp_path: Path, journal: Journal) -> None:
    straight = list(run_shard(str, ITEMS, journal))
    journals = []
    for index in range(3):
        part = Journal.open(tmp_path / f"{index}.jsonl", kind="test", fingerprint="f")
        list(run_shard(str, ITEMS, part, shard=(index, 3)))
        journals.append(part)
    assert list(gather((key for key, _ in ITEMS), journals)) == straight
    with pytest.raises(
        ShardError, match=r"of 50 items have no result in 2 journals \(first: 'k"
    ) as caught:
        list(gather((key for key, _ in ITEMS), journals[:2]))
    assert "missing or unfinished" in caught.value.hint
    for part in journals:
        part.close()


def test_two_items_with_one_key_are_refused(journal: Journal) -> None:
    with pytest.raises(ShardError, match="two items share the key 'a'"):
        list(run_shard(str, [("a", 1), ("b", 2), ("a", 3)], journal))


@pytest.mark.parametrize("shard", [(-1, 4), (4, 4), (0, 0)])
def test_a_shard_that_does_not_exist_is_refused(journal: Journal, shard: tuple[int, int]) -> None:
    with pytest.raises(ShardError, match=f"there is no shard {shard[0]}/{shard[1]}: parts are"):
        list(run_shard(str, ITEMS, journal, shard=shard))


def test_a_shard_is_read_from_text() -> None:
    assert parse_shard(" 3/4 ") == (3, 4)
    for wrong in ("3", "a/b", "1/2/3", "-1/4", "³/4", ""):
        with pytest.raises(ShardError, match="is not of the form i/n"):
            parse_shard(wrong)
    with pytest.raises(ShardError, match="there is no shard 4/4"):
        parse_shard("4/4")
