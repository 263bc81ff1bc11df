"""`run_shard`: a pure function over items, with a journal; the shape of every long job.

    for key, value in run_shard(fn, items, journal, shard=(2, 8)): ...

The local runner, `--shard i/n` under a batch scheduler, and engines for many machines call the same
function. An item's shard depends on its key alone, so shards may run anywhere, in any order, and
adding items moves none of the others. `gather` joins what the shards' journals hold.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from textreel.data.errors import ShardError
from textreel.data.files import Json
from textreel.data.journal import Journal

Item = TypeVar("Item")


def run_shard(
    fn: Callable[[Item], Json],
    items: Iterable[tuple[str, Item]],
    journal: Journal,
    *,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[tuple[str, Json]]:
    """Yield key and result of every item of one shard, in the order of the items.

    Lazy: an item is worked on when its result is asked for, so `items` may be endless. Results come
    from the journal even when they are new, so a resumed run yields exactly what a straight run
    does (tuples, for one, are lists in both). An error of `fn` ends the run; the same call later
    goes on with that item.

    Args:
        fn: pure: its JSON result depends on the item alone.
        items: (key, item); keys are unique.
        journal: open for writing, one per shard; items it holds are not worked on again.
        shard: (i, n), this is part i of n, 0 <= i < n.

    Raises:
        ShardError: no such shard, or two items share a key.
    """
    _refuse_impossible(shard)
    seen: set[str] = set()
    for key, item in items:
        if not in_shard(key, shard=shard):
            continue
        if key in seen:
            raise ShardError(
                f"two items share the key {key!r}, and would share one result",
                hint="give every item a key of its own",
            )
        seen.add(key)
        if key not in journal:
            journal.record(key, fn(item))
        yield key, journal[key]


def in_shard(key: str, *, shard: tuple[int, int]) -> bool:
    """Return whether a key belongs to part i of n: the first 64 bits of its sha256, modulo n."""
    index, count = shard
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % count == index


def parse_shard(text: str) -> tuple[int, int]:
    """Read `i/n`, part i of n counted from 0.

    >>> parse_shard("0/4")
    (0, 4)

    Raises:
        ShardError: not of this form, or not 0 <= i < n.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip(), re.ASCII)
    if found is None:
        raise ShardError(f"shard {text!r} is not of the form i/n", hint="such as 0/4 ... 3/4")
    shard = int(found[1]), int(found[2])
    _refuse_impossible(shard)
    return shard


def gather(keys: Iterable[str], journals: Sequence[Journal]) -> Iterator[tuple[str, Json]]:
    """Yield key and result of every key, in order, from the journals of all shards.

    Raises:
        ShardError: some keys are in no journal; says how many, before anything is yielded.
    """
    home = {key: journal for journal in journals for key in journal}
    wanted = list(keys)
    if missing := [key for key in wanted if key not in home]:
        raise ShardError(
            f"{len(missing)} of {len(wanted)} items have no result in {len(journals)} journals "
            f"(first: {missing[0]!r})",
            hint="run the shards that are missing or unfinished",
        )
    for key in wanted:
        yield key, home[key][key]


def _refuse_impossible(shard: tuple[int, int]) -> None:
    index, count = shard
    if not 0 <= index < count:
        raise ShardError(
            f"there is no shard {index}/{count}: parts are counted from 0 to n - 1",
            hint="such as 0/4 ... 3/4",
        )
