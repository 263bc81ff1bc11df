"""`StoreWriter`: adds features to a store shard by shard; a kill costs one shard at most."""

import hashlib
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import torch
from safetensors.torch import save

from textreel.data.files import write_atomic
from textreel.data.journal import Journal
from textreel.features.errors import FeatureStoreError
from textreel.features.store import INDEX_KIND
from textreel.models.batch import Features

if TYPE_CHECKING:
    from textreel.features.store import FeatureStore


class StoreWriter:
    """The one writer of a store, or of part i of n of it. Use it as a context manager.

    Tracks are gathered in memory and committed as a shard when there are enough of them, on
    `commit`, and at the end of the `with` block, with or without an error in it. What was not
    committed when the process is killed is simply not there; adding it again is the way to resume.

    Args:
        store: it learns of every shard as it is committed.
        shard: (i, n), when n processes write into one store; each writes files of its own.
        tracks_per_shard: commit after that many tracks.
        bytes_per_shard: commit when the gathered values have reached this size.

    Raises:
        LockedError: another process writes the same part.
    """

    def __init__(
        self,
        store: "FeatureStore",
        *,
        shard: tuple[int, int] = (0, 1),
        tracks_per_shard: int = 500,
        bytes_per_shard: int = 2**28,
    ) -> None:
        self.store = store
        self.num_skipped = 0
        self._part = f"{shard[0]}-of-{shard[1]}"
        self._tracks_per_shard, self._bytes_per_shard = tracks_per_shard, bytes_per_shard
        self._pending: dict[str, Features] = {}
        self._pending_bytes = 0
        self._index = Journal.open(
            store.path / f"index-{self._part}.jsonl",
            kind=INDEX_KIND,
            fingerprint=store.identity.fingerprint,
        )
        for litter in (store.path / "shards").glob(f".{self._part}-*.tmp-*"):
            litter.unlink()
        for litter in store.path.glob(".store.json.tmp-*"):  # a creation that was killed
            litter.unlink(missing_ok=True)
        store.refresh()

    def add(self, id: str, features: Features) -> bool:
        """Add one clip's features, or skip an id that is stored (or waiting) already.

        Returns:
            Whether they were new; `num_skipped` counts the others.

        Raises:
            FeatureMismatchError: of another encoder, revision or width than the store's.
            FeatureStoreError: not float16, or some values are NaN or infinite.
        """
        own = self.store.identity
        self.store.refuse_other(
            {
                "encoder": features.encoder,
                "revision": features.revision,
                "feature_dim": features.values.shape[-1],
            }
        )
        if id in self:
            self.num_skipped += 1
            return False
        if features.values.dtype != torch.float16:
            raise FeatureStoreError(
                f"features of {id!r} are {features.values.dtype}, a store holds torch.float16",
                hint="convert them with .half()",
            )
        if bad := int((~features.values.isfinite()).sum()):
            raise FeatureStoreError(
                f"features of {id!r} by {own.encoder}: {bad} of {features.values.numel()} values "
                "are NaN or infinite",
                hint="check the clip, and the encoder's precision (float16 ends at 65504)",
            )
        self._pending[id] = features
        self._pending_bytes += features.values.nbytes
        if len(self._pending) >= self._tracks_per_shard or (
            self._pending_bytes >= self._bytes_per_shard
        ):
            self.commit()
        return True

    def __contains__(self, id: object) -> bool:
        return id in self._pending or id in self.store

    def commit(self) -> None:
        """Write what has been gathered as one shard; from then on the store has it."""
        if not self._pending:
            return
        tracks = list(self._pending.values())
        content = save(
            {
                "values": torch.cat([t.values.detach().cpu().flatten(0, 1) for t in tracks]),
                "times_s": torch.cat([t.times_s.detach().cpu().double() for t in tracks]),
            }
        )
        name = f"{self._part}-{len(self._index):05d}.safetensors"
        write_atomic(self._shard_path(name), content)
        entry: dict[str, Any] = {
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "tracks": [
                [id, *track.values.shape[:2], track.modality] for id, track in self._pending.items()
            ],
        }
        self._index.record(name, entry)
        self.store.take_up(name, entry)
        self._pending, self._pending_bytes = {}, 0

    def close(self) -> None:
        """Commit, and let others write; closing twice is allowed."""
        try:
            self.commit()
        finally:
            self._index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _shard_path(self, name: str) -> Path:
        return self.store.path / "shards" / name
