"""`FileIndex`: which file has which features, beside a store of features by content.

    store/files-0-of-1.jsonl     a journal: one line per file, its absolute path and its content's
                                 sha256, which is the id of its features

A line is written after the features themselves, so whatever it names can be read. Files of one
content have a line each and share one id. A file that has changed gets another line; the last one
holds.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from textreel.data.journal import Journal, read_journal
from textreel.features.store import FeatureStore

KIND = "feature-store-files"


class FileIndex:
    """The files of part i of n of a store, open for writing; see `open`."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @classmethod
    @contextmanager
    def open(cls, store: FeatureStore, *, shard: tuple[int, int]) -> Iterator[Self]:
        """Open the index of one part for the block; made if it is not there.

        Raises:
            LockedError: another process writes it.
        """
        path = store.path / f"files-{shard[0]}-of-{shard[1]}.jsonl"
        with Journal.open(path, kind=KIND, fingerprint=store.identity.fingerprint) as journal:
            yield cls(journal)

    def record(self, path: Path, id: str) -> None:
        """Note the id of a file's features; what is known already is not written again."""
        key = os.path.abspath(path)  # noqa: PTH100  (a link keeps its own name)
        if key not in self._journal or self._journal[key]["id"] != id:
            self._journal.record(key, {"id": id}, attempt=self._journal.attempt(key) + 1)


def read_file_index(store: Path | str) -> dict[str, str]:
    """Return absolute path to id of features, of all parts; empty where no file was encoded.

    Raises:
        JournalError: a line other than the last is damaged.
    """
    found = {}
    for part in sorted(Path(store).glob("files-*-of-*.jsonl")):
        for entry in read_journal(part, kind=KIND):
            found[entry.key] = entry.value["id"]
    return found
