"""`FeatureStore`: features of many clips, one encoder, in few files, read at random.

    store/
      store.json                         whose features these are: encoder, revision, sampling
      index-0-of-1.jsonl                 a journal: one line per shard, with checksum and ids
      shards/0-of-1-00000.safetensors    about 500 tracks, one after the other:
                                           values   float16 (sum of T * P, F)
                                           times_s  float64 (sum of T,)

A track is found by its id alone (a content hash, or a textual video's id); encoder, revision and
sampling belong to the store as a whole. A shard counts only once its index line is written, which
happens after the shard is whole on disk, so a reader never sees part of one. Shards stay mapped
into memory; a read copies just the rows it asks for.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from safetensors import SafetensorError, safe_open
from torch import Tensor

from textreel.data.errors import TakenError
from textreel.data.files import check_header, fingerprint, is_draft, make_header, write_atomic
from textreel.data.journal import read_journal
from textreel.features.errors import (
    FeatureMismatchError,
    FeatureStoreError,
    MissingFeaturesError,
)
from textreel.models.batch import Features, Modality

if TYPE_CHECKING:
    from textreel.features.store_writer import StoreWriter

_log = logging.getLogger("textreel.features")
INDEX_KIND = "feature-store-index"
_MAX_MAPPED_SHARDS = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreIdentity:
    """Whose features a store holds.

    Attributes:
        encoder: name of the encoder; for patches instead of pooled vectors it ends in `#patches`.
        revision: its revision or weight hash.
        sampling: fingerprint of the `SamplingSpec`; empty for textual videos, which have no frames
            to choose.
        feature_dim: F, the width of a vector.
    """

    encoder: str
    revision: str
    sampling: str
    feature_dim: int

    @property
    def fingerprint(self) -> str:
        """Return a short name of all four."""
        return fingerprint(asdict(self))


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreProblem:
    """What is wrong with one shard."""

    shard: str
    message: str


class StoreTotals(NamedTuple):
    """How much a store holds; `bytes` is the size of its shards as written."""

    shards: int
    tracks: int
    frames: int
    bytes: int


class _Track(NamedTuple):
    shard: str
    row: int
    time: int
    num_frames: int
    num_vectors: int
    modality: Modality


class _Shard(NamedTuple):
    num_rows: int
    num_times: int
    num_bytes: int
    sha256: str


class FeatureStore:
    """A folder of features, open for reading; `writer()` adds to it.

    Attributes:
        path: the folder.
        identity: whose features these are.
    """

    def __init__(self, path: Path, identity: StoreIdentity) -> None:
        self.path = path
        self.identity = identity
        self._tracks: dict[str, _Track] = {}
        self._shards: dict[str, _Shard] = {}
        self._mapped = lru_cache(_MAX_MAPPED_SHARDS)(self._map_shard)
        self.refresh()

    @classmethod
    def create(
        cls, path: Path | str, *, encoder: str, revision: str, sampling: str, feature_dim: int
    ) -> Self:
        """Make an empty store.

        Args:
            path: an empty or missing folder.
            encoder: name of the encoder.
            revision: its revision or weight hash.
            sampling: fingerprint of the `SamplingSpec`, empty for textual videos.
            feature_dim: width of a vector.

        Raises:
            TakenError: something is at `path` already.
        """
        path = Path(path)
        if path.exists() and not (path.is_dir() and all(map(is_draft, path.iterdir()))):
            raise TakenError(
                f"{path} already exists and is not an empty folder; nothing was written",
                hint="choose another folder, or open the store that is there",
            )
        identity = StoreIdentity(
            encoder=encoder, revision=revision, sampling=sampling, feature_dim=feature_dim
        )
        header = make_header("feature-store", **asdict(identity))
        write_atomic(path / "store.json", json.dumps(header, indent=2) + "\n")
        return cls(path, identity)

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a store that is there.

        Raises:
            FeatureStoreError: no store at `path`.
            FormatError: written by a newer textreel.
        """
        path = Path(path)
        try:
            text = (path / "store.json").read_text(encoding="utf-8")
        except OSError as error:
            raise FeatureStoreError(
                f"{path} is no feature store: {path / 'store.json'} cannot be read "
                f"({error.strerror})",
                hint="check the path; `textreel encode run` makes a store",
            ) from error
        return cls(path, _read_identity(text, path=path / "store.json"))

    @classmethod
    def open_or_create(
        cls, path: Path | str, *, encoder: str, revision: str, sampling: str, feature_dim: int
    ) -> Self:
        """Open the store at `path` if there is one, else make it; for jobs that are repeated.

        Raises:
            FeatureMismatchError: the store that is there holds other features.
        """
        if not (Path(path) / "store.json").exists():
            return cls.create(
                path,
                encoder=encoder,
                revision=revision,
                sampling=sampling,
                feature_dim=feature_dim,
            )
        store = cls.open(path)
        store.require(encoder=encoder, revision=revision, sampling=sampling)
        store.refuse_other({"feature_dim": feature_dim})
        return store

    def require(
        self,
        *,
        encoder: str | None = None,
        revision: str | None = None,
        sampling: str | None = None,
    ) -> None:
        """Refuse features a run cannot use; what is None may be anything.

        Raises:
            FeatureMismatchError: names what differs, on both sides.
        """
        wanted = {"encoder": encoder, "revision": revision, "sampling": sampling}
        self.refuse_other({name: value for name, value in wanted.items() if value is not None})

    def refuse_other(self, wanted: Mapping[str, object]) -> None:
        """Raise FeatureMismatchError where the store's identity differs from `wanted`."""
        own = asdict(self.identity)
        if other := [name for name, value in wanted.items() if own[name] != value]:
            what = "of other frames" if other == ["sampling"] else "made by another encoder"
            sides = ", ".join(
                f"{name} {own[name]!r} in the store but {wanted[name]!r} here" for name in other
            )
            raise FeatureMismatchError(
                f"{self.path} holds features {what}: {sides}",
                hint="encode again into another store, or use the encoder and sampling of this one",
            )

    def writer(
        self,
        *,
        shard: tuple[int, int] = (0, 1),
        tracks_per_shard: int = 500,
        bytes_per_shard: int = 2**28,
    ) -> "StoreWriter":
        """Open the store for adding; see `StoreWriter`."""
        from textreel.features.store_writer import StoreWriter

        return StoreWriter(
            self, shard=shard, tracks_per_shard=tracks_per_shard, bytes_per_shard=bytes_per_shard
        )

    def __len__(self) -> int:
        return len(self._tracks)

    def __contains__(self, id: object) -> bool:
        return id in self._tracks

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._tracks))

    @property
    def modalities(self) -> frozenset[Modality]:
        """What was encoded: pictures, sounds, texts; nothing in an empty store."""
        return frozenset(track.modality for track in self._tracks.values())

    def ids(self) -> tuple[str, ...]:
        """Return every id, in the order in which they were stored."""
        return tuple(self._tracks)

    def __getitem__(self, id: str) -> Features:
        """Return one clip's features.

        Raises:
            MissingFeaturesError: it has none.
            FeatureStoreError: its shard is damaged or gone.
        """
        return self.read(id)

    def read(self, id: str, *, frames: slice = slice(None)) -> Features:
        """Return some frames of one clip, reading no others.

        Args:
            id: name of the clip.
            frames: which frames, as in a list of them; the step must be positive.

        Raises:
            ValueError: the step is not positive.
            MissingFeaturesError, FeatureStoreError: as for `store[id]`.
        """
        if frames.step is not None and frames.step < 1:
            raise ValueError(
                f"frames={frames}: features are in order of time, the step must be > 0"
            )
        track = self._tracks.get(id)
        if track is None:
            raise MissingFeaturesError.of([id], wanted=1, store=self.path)
        values, times_s = self._mapped(track.shard)
        first, end, step = frames.indices(track.num_frames)
        count, per_frame = max(0, end - first), track.num_vectors
        # `narrow_copy` does in one call what slicing and cloning do in two
        rows = values.narrow_copy(0, track.row + first * per_frame, count * per_frame)
        rows = rows.view((count, per_frame, self.identity.feature_dim))
        times_s = times_s.narrow_copy(0, track.time + first, count)
        if step > 1:
            rows, times_s = rows[::step].clone(), times_s[::step].clone()
        return Features(
            values=rows,
            times_s=times_s,
            modality=track.modality,
            encoder=self.identity.encoder,
            revision=self.identity.revision,
        )

    def read_many(self, ids: Sequence[str]) -> list[Features]:
        """Return the features of many clips, in the order of `ids`.

        Raises:
            MissingFeaturesError: says how many are missing, before anything is read.
        """
        if missing := [id for id in ids if id not in self._tracks]:
            raise MissingFeaturesError.of(missing, wanted=len(ids), store=self.path)
        return [self.read(id) for id in ids]

    def check(self) -> list[StoreProblem]:
        """Read every shard and return what is wrong: gone, of another length, or changed."""
        problems = []
        for name, shard in self._shards.items():
            if message := _check_shard(self.path / "shards" / name, shard):
                problems.append(StoreProblem(shard=name, message=message))
        return problems

    def totals(self) -> StoreTotals:
        """Return how much there is."""
        frames = sum(track.num_frames for track in self._tracks.values())
        num_bytes = sum(shard.num_bytes for shard in self._shards.values())
        return StoreTotals(len(self._shards), len(self), frames, num_bytes)

    def refresh(self) -> None:
        """Take up shards that were added since the store was opened."""
        for index in sorted(self.path.glob("index-*.jsonl")):
            for entry in read_journal(index, kind=INDEX_KIND):
                if entry.key not in self._shards:
                    self.take_up(entry.key, entry.value)

    def take_up(self, name: str, value: Mapping[str, Any]) -> None:
        """Add one shard's index line to what this object knows."""
        row = time = doubled = 0
        for id, num_frames, num_vectors, modality in value["tracks"]:
            track = _Track(name, row, time, num_frames, num_vectors, modality)
            doubled += self._tracks.setdefault(id, track) is not track
            row += num_frames * num_vectors
            time += num_frames
        self._shards[name] = _Shard(row, time, value["bytes"], value["sha256"])
        if doubled:
            _log.info(
                "%s: %d tracks of %s are stored in an earlier shard", self.path, doubled, name
            )

    def _map_shard(self, name: str) -> tuple[Tensor, Tensor]:
        path = self.path / "shards" / name
        try:
            with safe_open(path, framework="pt") as file:
                values, times_s = file.get_tensor("values"), file.get_tensor("times_s")
        except (OSError, SafetensorError) as error:
            raise FeatureStoreError(
                f"{path} is in the index but cannot be read: {error}",
                hint=f"`textreel encode check {self.path}` lists all damage",
            ) from error
        shard = self._shards[name]
        wanted = ((shard.num_rows, self.identity.feature_dim), (shard.num_times,))
        if (tuple(values.shape), tuple(times_s.shape)) != wanted:
            raise FeatureStoreError(
                f"{path} holds {tuple(values.shape)} values and {tuple(times_s.shape)} times, "
                f"its index says {wanted[0]} and {wanted[1]}",
                hint=f"`textreel encode check {self.path}` lists all damage",
            )
        return values, times_s

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).open, (self.path,)

    def __repr__(self) -> str:
        own = self.identity
        return f"FeatureStore({str(self.path)!r}, {len(self)} tracks, {own.encoder}@{own.revision})"


def _read_identity(text: str, *, path: Path) -> StoreIdentity:
    try:
        raw = json.loads(text)
    except ValueError:
        raw = None
    header = check_header(raw, kind="feature-store", path=path)
    try:
        return StoreIdentity(
            encoder=header["encoder"],
            revision=header["revision"],
            sampling=header["sampling"],
            feature_dim=header["feature_dim"],
        )
    except KeyError as error:
        raise FeatureStoreError(
            f"{path} does not say which {error.args[0]} its features have",
            hint="restore the file from a copy",
        ) from error


def _check_shard(path: Path, shard: _Shard) -> str | None:
    try:
        num_bytes = path.stat().st_size
        if num_bytes != shard.num_bytes:
            return f"has {num_bytes} bytes, {shard.num_bytes} were written"
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if found == shard.sha256 else f"has changed: sha256 {found}, written {shard.sha256}"
