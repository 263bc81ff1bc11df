"""Features that another project has computed, checked one by one and put into a `FeatureStore`.

    files  --open_source-->  vectors (T, F) or (T, P, F)  --checked, timed-->  FeatureStore

Everything is read twice: the first time only to judge it, so that a refusal leaves no half-filled
store behind and a store's name (`import-FORMAT-FINGERPRINT`) is that of exactly what it holds. A
killed import is repeated as it was; what is stored already is not written again.

- An entry that is no array of finite floats, has another width than most, or holds a zero vector
  (padding) is set aside with its reason. Nothing stands in for it.
- Vectors of a joint space have length 1, and the bridge counts on it. Lengths are measured, and
  others are refused unless the user says what to do. Rounding to bfloat16 moves a length by 0.4% at
  most; 1,000 CLIP vectors in float16 were within 0.1%.
- TextVid's features hold one row per text of a frame, not per frame; how many, only its JSON says.
  They are fused as TOPA does (`fuse.average`).
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from textreel.data.quarantine import Quarantine
from textreel.features.errors import BadEntryError, FeatureImportError
from textreel.features.import_plan import ImportPlan, NormRule, Reader
from textreel.features.import_sources import Entry, ImportFormat, Source, open_source
from textreel.features.store import FeatureStore
from textreel.models.batch import Features, Modality

NORM_TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes:
        format: how the features were stored; `detected` where the files' names said so.
        sampling: the store's name for which frames these are.
        clips: usable ones; `stored` were written now, `skipped` were there.
        shortest: length of the shortest vector as it was read, `longest` that of the longest.
        norms: what was done about lengths.
        clock: how the frames got their times.
        bad: number of entries set aside, per kind; `quarantine` lists them.
        without_features: records of TextVid's JSON that have none; None without it.
    """

    source: str
    out: str
    format: ImportFormat
    detected: bool
    encoder: str
    revision: str
    modality: Modality
    sampling: str
    feature_dim: int
    clips: int
    frames: int
    vectors: int
    stored: int
    skipped: int
    shortest: float
    longest: float
    norms: NormRule
    clock: str
    bad: dict[str, int]
    quarantine: str | None
    without_features: int | None


@dataclass(kw_only=True, slots=True)
class _Tally:
    """What the clips of one width come to."""

    sources: dict[str, Path] = field(default_factory=dict)
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    frames: int = 0
    vectors: int = 0
    shortest: float = math.inf
    longest: float = 0.0
    off_unit: int = 0
    first_off: str = ""

    def take(self, entry: Entry, features: Features, lengths: Tensor) -> None:
        self.sources[entry.id] = entry.source
        self.digest.update(f"{entry.id}\0{tuple(features.values.shape)}".encode())
        self.digest.update(features.times_s.numpy().tobytes())
        self.digest.update(features.values.numpy().tobytes())
        self.frames += len(features.times_s)
        self.vectors += lengths.numel()
        self.shortest = min(self.shortest, float(lengths.min()))
        self.longest = max(self.longest, float(lengths.max()))
        off = int(((lengths - 1).abs() > NORM_TOLERANCE).sum())
        self.first_off = self.first_off or (entry.id if off else "")
        self.off_unit += off


def import_features(
    path: Path | str,
    out: Path | str,
    plan: ImportPlan,
    *,
    format: str | None = None,
    quarantine: Quarantine,
    show: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> ImportReport:
    """Import a file or folder of features into a store, which is made if it is not there.

    Args:
        path: the file or folder.
        out: the store.
        plan: whose features these are, and when their frames were.
        format: see `open_source`.
        quarantine: takes unusable entries; it stops the import before anything is written.
        show: told the phase, how many clips are done, and how many there are.

    Raises:
        FeatureImportError: nothing usable, or lengths other than 1 that nobody has spoken for.
        TooManyBadError: more is bad than the quarantine allows.
        FeatureMismatchError: the store that is there holds other features.
    """
    source = open_source(path, format=format)
    reader = Reader(plan, source)
    width, tally = _survey(reader, source, quarantine, show)
    if plan.norms == "unit":
        _refuse_lengths(tally, path)
    store = FeatureStore.open_or_create(
        out,
        encoder=plan.encoder,
        revision=plan.revision,
        sampling=f"import-{source.format}-{tally.digest.hexdigest()[:16]}",
        feature_dim=width,
    )
    stored = _write(reader, source, store, set(tally.sources), show)
    return ImportReport(
        source=str(path),
        out=str(out),
        format=source.format,
        detected=format is None,
        encoder=plan.encoder,
        revision=plan.revision,
        modality=reader.modality,
        sampling=store.identity.sampling,
        feature_dim=width,
        clips=len(tally.sources),
        frames=tally.frames,
        vectors=tally.vectors,
        stored=stored,
        skipped=len(tally.sources) - stored,
        shortest=tally.shortest,
        longest=tally.longest,
        norms=plan.norms,
        clock=plan.clock,
        bad=quarantine.summary(),
        quarantine=None if quarantine.path is None else str(quarantine.path),
        without_features=reader.count_without(tally.sources),
    )


def _refuse_lengths(tally: _Tally, path: Path | str) -> None:
    if tally.off_unit:
        raise FeatureImportError(
            f"{tally.off_unit} of {tally.vectors} vectors in {path} do not have length 1 (first: "
            f"in {tally.first_off!r}; shortest {tally.shortest:.4g}, longest {tally.longest:.4g}); "
            "nothing was written",
            hint="give --normalize if they come from a joint space such as CLIP's; --keep-norms "
            "takes them as they are",
        )


def _survey(
    reader: Reader,
    source: Source,
    quarantine: Quarantine,
    show: Callable[[str, int, int], None],
) -> tuple[int, _Tally]:
    """Look at every entry; return the width that most have, and what those come to."""
    tallies: dict[int, _Tally] = {}
    seen: set[str] = set()
    for done, entry in enumerate(source.entries(), start=1):
        try:
            if entry.id in seen:
                raise BadEntryError("has the id of an earlier entry", code="DuplicateId")
            seen.add(entry.id)
            features, lengths = reader.read(entry)
        except BadEntryError as error:
            quarantine.add(entry.id, source=str(entry.source), code=error.code, message=str(error))
            continue
        finally:
            show("checked", done, source.total)
        tallies.setdefault(features.values.shape[-1], _Tally()).take(entry, features, lengths)
    width = max(tallies, key=lambda width: len(tallies[width].sources), default=0)
    for other in tallies.keys() - {width}:
        for id, place in tallies[other].sources.items():
            message = f"has vectors of width {other}, most have {width}"
            quarantine.add(id, source=str(place), code="Width", message=message)
    quarantine.check(total=source.total)
    if not tallies:
        raise FeatureImportError(
            f"none of {source.total} entries can be used: {quarantine.summary()}",
            hint="the quarantine lists them with their reasons",
        )
    return width, tallies[width]


def _write(
    reader: Reader,
    source: Source,
    store: FeatureStore,
    wanted: set[str],
    show: Callable[[str, int, int], None],
) -> int:
    """Store the wanted entries that are not stored yet; return how many there were."""
    stored = 0
    with store.writer() as writer:
        for done, entry in enumerate(source.entries(), start=1):
            if entry.id in wanted and entry.id not in writer:
                try:
                    features, _ = reader.read(entry)
                except BadEntryError as error:
                    raise FeatureImportError(
                        f"{entry.source} was changed during its import: {entry.id!r} {error}",
                        hint="remove the store and import again",
                    ) from error
                stored += writer.add(entry.id, features)
            show("stored", done, source.total)
    return stored
