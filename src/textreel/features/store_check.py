"""Is a feature store whole? Every shard is read, and every file must have its features."""

from dataclasses import dataclass
from pathlib import Path

from textreel.features.errors import FeatureStoreError
from textreel.features.file_index import read_file_index
from textreel.features.store import FeatureStore, StoreProblem


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreReport:
    """What is in a store. JSON values only.

    Attributes:
        store: the folder.
        encoder: whose features they are.
        revision: its revision or weight hash.
        sampling: fingerprint of the rule by which frames were chosen.
        feature_dim: F, the width of a vector.
        shards: files of features.
        tracks: clips.
        frames: their frames.
        bytes: size of the shards as they were written.
        files: media files that the store's index names.
        problems: what is damaged; empty for a whole store.
    """

    store: str
    encoder: str
    revision: str
    sampling: str
    feature_dim: int
    shards: int
    tracks: int
    frames: int
    bytes: int
    files: int
    problems: tuple[StoreProblem, ...]

    def require_whole(self) -> None:
        """Refuse a damaged store.

        Raises:
            FeatureStoreError: says how much is damaged, and what is first.
        """
        if self.problems:
            first = self.problems[0]
            raise FeatureStoreError(
                f"{self.store} is damaged in {len(self.problems)} places (first: {first.shard} "
                f"{first.message})",
                hint="restore those files from a copy, or encode again into another store",
            )


def check_store(path: Path | str) -> StoreReport:
    """Read a whole store and report what is in it, and what is wrong with it.

    Raises:
        FeatureStoreError: there is no store.
        JournalError: an index of it is damaged.
        FormatError: written by a newer textreel.
    """
    store = FeatureStore.open(path)
    problems = store.check()
    files = read_file_index(path)
    if lost := [name for name, id in files.items() if id not in store]:
        message = f"names features that are not there, of {len(lost)} files (first: {lost[0]})"
        problems.append(StoreProblem(shard="its file index", message=message))
    own, totals = store.identity, store.totals()
    return StoreReport(
        store=str(path),
        encoder=own.encoder,
        revision=own.revision,
        sampling=own.sampling,
        feature_dim=own.feature_dim,
        shards=totals.shards,
        tracks=totals.tracks,
        frames=totals.frames,
        bytes=totals.bytes,
        files=len(files),
        problems=tuple(problems),
    )
