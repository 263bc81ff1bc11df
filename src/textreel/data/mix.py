"""`mix`: samples of several sources in one file, by number or ratio, and a list of what is in it.

    DIR/mix.jsonl         records, shuffled
    DIR/mix.json          seed, sources with their hashes and counts, and every id in order
    DIR/quarantine.jsonl  rows that were no samples

What is taken, and in which order, depends on contents alone: samples are ranked by the hash of seed
and content, so a source whose rows stand in another order, or have other ids, gives the same mix,
and what is taken of a stratum holds what fewer of it would be. A sample that occurs twice, in one
source or in two, counts where it comes first, in the order of sources and rows. An id that a
different sample taken before has is replaced by a hash of the content: pages are found by id.
Memory holds an id and a stratum per sample; texts stay on disk.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, ClassVar, Literal, get_args

from textreel.data.corpora import CorpusCount, CorpusFile, read_corpus
from textreel.data.errors import HintedError
from textreel.data.files import atomic_directory, atomic_file, content_hash, make_header
from textreel.data.long_text import content_key
from textreel.data.quarantine import BadSample, Quarantine
from textreel.data.record import Record

Strata = Literal["none", "length", "instruction"]
RECORDS_FILE, MANIFEST_FILE, QUARANTINE_FILE = "mix.jsonl", "mix.json", "quarantine.jsonl"
_KIND = "mix"
T2VID_30K = {
    "sharegemini": 10_000,
    "video-chatgpt": 10_000,
    "longalpaca": 5_000,
    "longqlora": 5_000,
}
"""Two parts video, one part pages: 15% of 200,000 (arXiv 2411.19951, section 5.1)."""
PRESETS: dict[str, Mapping[str, int]] = {"t2vid-30k": T2VID_30K}


class MixError(HintedError, ValueError):
    """A mix that cannot be made of these sources."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One source of a mix.

    Attributes:
        name: unique in the mix.
        file: what to read.
        count: how many samples to take.
    """

    name: str
    file: CorpusFile
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceReport:
    """What became of one source; rows = rejected + duplicates + unique, and taken <= unique.

    Attributes:
        name: in the mix.
        corpus: how it was read.
        path: of the file.
        sha256: of the file.
        beside: hashes of further files that belong to it, by name.
        rows: in the file.
        rejected: rows set aside, by reason.
        duplicates: samples that came before, here or in an earlier source.
        unique: samples to choose from.
        taken: samples in the mix.
        strata: of those taken, by name.
        licences: of those taken, by name; empty name: unknown.
    """

    name: str
    corpus: str
    path: Path
    sha256: str
    beside: Mapping[str, str]
    rows: int
    rejected: Mapping[str, int]
    duplicates: int
    unique: int
    taken: int
    strata: Mapping[str, int]
    licences: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class MixReport:
    """What was made.

    Attributes:
        out: the folder.
        samples: in the mix.
        seed: of the draw.
        stratify: what strata are made of.
        sources: one report each.
    """

    out: Path
    samples: int
    seed: int
    stratify: Strata
    sources: tuple[SourceReport, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Candidate:
    key: str
    id: str
    stratum: str


def counts_by_ratio(ratios: Mapping[str, float], *, total: int) -> dict[str, int]:
    """Return whole numbers in the proportion of `ratios` that add up to `total`.

    Each gets the whole part of its share; what is left goes to the largest remainders, ties by
    order.

    >>> counts_by_ratio({"video": 2, "pages": 1}, total=100)
    {'video': 67, 'pages': 33}

    Raises:
        MixError: a ratio that is not above 0 or is infinite, or a total below the number of
            sources.
    """
    if not ratios or not all(ratio > 0 for ratio in ratios.values()):
        raise MixError(f"ratios {dict(ratios)} must all be above 0")
    if not math.isfinite(sum(ratios.values())):
        raise MixError(f"ratios {dict(ratios)} add up to no finite number")
    if total < len(ratios):
        raise MixError(f"a total of {total} for {len(ratios)} sources leaves some without a sample")
    scale = total / sum(ratios.values())
    shares = {name: ratio * scale for name, ratio in ratios.items()}
    counts = {name: int(share) for name, share in shares.items()}
    by_rest = sorted(shares, key=lambda name: counts[name] - shares[name])
    for name in by_rest[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def make_mix(
    sources: Sequence[Source],
    out: Path | str,
    *,
    seed: int = 0,
    stratify: Strata = "instruction",
    max_bad: int | str | None = None,
    show: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> MixReport:
    """Draw a mix and write it, whole or not at all.

    Args:
        sources: in the order in which duplicates are settled.
        out: folder to make.
        seed: of the draw and of the order.
        stratify: take of each `length` (powers of two of the characters) or beginning of an
            `instruction` (the first two words of what the user says) as many as its share of the
            source is, or `none`.
        max_bad: how many rows may be set aside: a number, a share such as "1%", None: any.
        show: told a source's name, how many sources are read, and how many there are.

    Raises:
        MixError: two sources of one name, a source with fewer samples than wanted, no such strata.
        TooManyBadError: more rows are bad than `max_bad` allows.
        TakenError: `out` is there.
        CorpusError, TextualDataError: a file that cannot be read.
    """
    _refuse_impossible(sources, stratify)
    with atomic_directory(out) as draft:
        quarantine = Quarantine(draft / QUARANTINE_FILE, max_bad=max_bad)
        seen: set[str] = set()
        chosen: list[dict[str, _Candidate]] = []
        reports = []
        for number, source in enumerate(sources):
            show(source.name, number, len(sources))
            taken, report = _choose(source, seen, quarantine, seed=seed, stratify=stratify)
            chosen.append(taken)
            reports.append(report)
        show("write", len(sources), len(sources))
        quarantine.check(sum(report.rows for report in reports))
        ids, licences = _write(draft / RECORDS_FILE, sources, chosen, seed=seed)
        reports = [
            SourceReport(**{**_shallow(report), "licences": dict(licences[report.name])})
            for report in reports
        ]
        made = MixReport(
            out=Path(out), samples=len(ids), seed=seed, stratify=stratify, sources=tuple(reports)
        )
        manifest = asdict(made) | {"ids": ids}
        header = make_header(_KIND, **{k: v for k, v in manifest.items() if k != "out"})
        with atomic_file(draft / MANIFEST_FILE) as file:
            file.write(json.dumps(header, indent=1, default=str).encode() + b"\n")
    return made


def _shallow(report: SourceReport) -> dict[str, Any]:
    return {name: getattr(report, name) for name in SourceReport.__slots__}


def _refuse_impossible(sources: Sequence[Source], stratify: str) -> None:
    if stratify not in get_args(Strata):
        raise MixError(f"strata {stratify!r} are none of {', '.join(get_args(Strata))}")
    names = [source.name for source in sources]
    if not names or len(set(names)) < len(names):
        raise MixError(f"{len(names)} sources, {len(set(names))} different names: {names}")
    for source in sources:
        if source.count < 1:
            raise MixError(
                f"{source.count} samples of {source.name}: at least 1 must be taken",
                hint="leave the source out, or take more in all",
            )


def _choose(
    source: Source, seen: set[str], quarantine: Quarantine, *, seed: int, stratify: Strata
) -> tuple[dict[str, _Candidate], SourceReport]:
    """Return what is taken of a source, by content key, and its report without licences."""
    count = CorpusCount()
    candidates = []
    before = len(quarantine)
    for record in read_corpus(source.file, quarantine=quarantine, count=count):
        key = content_key(record)
        if key not in seen:
            seen.add(key)
            candidates.append(
                _Candidate(key=key, id=record.id, stratum=stratum_of(record, stratify))
            )
    if len(candidates) < source.count:
        raise _too_few(source, len(candidates), count, list(quarantine)[before:])
    taken = draw(candidates, count=source.count, seed=seed)
    report = SourceReport(
        name=source.name,
        corpus=source.file.corpus,
        path=source.file.path,
        sha256=content_hash(source.file.path),
        beside={path.name: content_hash(path) for path in source.file.beside},
        rows=count.rows,
        rejected=dict(count.reasons.most_common()),
        duplicates=count.records - len(candidates),
        unique=len(candidates),
        taken=len(taken),
        strata=dict(Counter(c.stratum for c in taken).most_common()),
        licences={},
    )
    return {candidate.key: candidate for candidate in taken}, report


def _too_few(source: Source, found: int, count: CorpusCount, bad: Sequence[BadSample]) -> MixError:
    """Say what a source lacks; the list of its bad rows is not kept, so the first is told here."""
    told = f"{source.name} has {found} different samples ({count.rows} rows, {count.rejected}"
    if not bad:
        return MixError(
            f"{told} set aside), {source.count} wanted", hint="take fewer, or give a larger file"
        )
    reasons = ", ".join(f"{number} {code}" for code, number in count.reasons.most_common())
    return MixError(
        f"{told} set aside: {reasons}), {source.count} wanted; first bad: {bad[0].id}, read as "
        f"{source.file.corpus!r}: {bad[0].message}",
        hint=f"mend the rows, take fewer, or read it otherwise (--as {source.name}=CORPUS, or "
        f"--fields {source.name}=CONTEXT,INSTRUCTION,ANSWER, or "
        f"--fields {source.name}=video=F,question=F,answer=F)",
    )


def draw(candidates: Sequence[_Candidate], *, count: int, seed: int) -> list[_Candidate]:
    """Return `count` candidates, of each stratum in proportion, ranked by hash within.

    A share that is no whole number is rounded down or up by chance, up as often as its fraction
    says (systematic sampling), so small strata lose nothing on average, not even those of one.
    """
    strata: dict[str, list[_Candidate]] = {}
    for candidate in candidates:
        strata.setdefault(candidate.stratum, []).append(candidate)
    number = len(candidates)
    reached = int.from_bytes(_rank(seed, "start", "")) % number
    wanted = {}
    for name in sorted(strata, key=lambda name: _rank(seed, "stratum", name)):
        before, reached = reached, reached + count * len(strata[name])
        wanted[name] = reached // number - before // number
    return [
        candidate
        for name, members in sorted(strata.items())
        for candidate in sorted(members, key=lambda c: _rank(seed, "draw", c.key))[: wanted[name]]
    ]


def stratum_of(record: Record, stratify: Strata) -> str:
    """Return the name of a record's stratum."""
    if stratify == "none":
        return "all"
    parts = [part for message in record.messages for part in message.parts]
    if stratify == "length":
        characters = sum(len(part.value) for part in parts if part.kind in ("pages", "text"))
        return f"below {1 << characters.bit_length()} characters"
    said = [part for message in record.messages if message.role == "user" for part in message.parts]
    asked = next((part.value for part in said if part.kind == "text"), "")
    return " ".join(asked.split()[:2]).casefold().rstrip(".,:;")


def _write(
    path: Path, sources: Sequence[Source], chosen: Sequence[dict[str, _Candidate]], *, seed: int
) -> tuple[list[str], dict[str, Counter[str]]]:
    """Write chosen records in shuffled order; read the sources a second time for their texts."""
    places: dict[str, tuple[int, int, str]] = {}
    taken: set[str] = set()
    licences: dict[str, Counter[str]] = {source.name: Counter() for source in sources}
    with TemporaryFile(dir=path.parent) as spool:
        for source, wanted in zip(sources, chosen, strict=True):
            for record in _read_again(source):
                key = content_key(record)
                if key not in wanted or key in places:
                    continue
                if record.id in taken:
                    record = replace(record, id=key[:16])
                taken.add(record.id)
                line = json.dumps(record.to_json(), ensure_ascii=False).encode() + b"\n"
                places[key] = (spool.tell(), len(line), record.id)
                spool.write(line)
                licences[source.name][record.licence] += 1
        order = sorted(places, key=lambda key: _rank(seed, "order", key))
        with atomic_file(path) as file:
            _copy(spool, file, [places[key][:2] for key in order])
    return [places[key][2] for key in order], licences


def _read_again(source: Source) -> Iterator[Record]:
    return read_corpus(source.file, quarantine=Quarantine(max_bad=None))


def _copy(spool: IO[bytes], file: IO[bytes], spans: Sequence[tuple[int, int]]) -> None:
    for start, length in spans:
        spool.seek(start)
        file.write(spool.read(length))


def _rank(seed: int, what: str, key: str) -> bytes:
    return hashlib.sha256(f"{seed}:{what}:{key}".encode()).digest()
