"""`textreel data mix`: samples of several sources in one file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textreel.cli.corpus_words import CORPORA_HELP, FIELDS_HELP
from textreel.cli.errors import OptionError
from textreel.cli.output import JsonOption, emit
from textreel.cli.pairs import read_pairs
from textreel.cli.progress import Display
from textreel.cli.words import count_all

if TYPE_CHECKING:
    from textreel.data.mix import MixReport, Source

Pairs = list[str] | None


def data_mix(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to make.")],
    source: Annotated[
        Pairs,
        typer.Option(metavar="NAME=FILE", help="JSON list or lines, csv; any number of times."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="t2vid-30k: 10K sharegemini, 10K video-chatgpt, 5K ..."),
    ] = None,
    take: Annotated[
        Pairs, typer.Option(metavar="NAME=N", help="How many samples of a source.")
    ] = None,
    ratio: Annotated[
        Pairs, typer.Option(metavar="NAME=X", help="Its part of --total, beside the others'.")
    ] = None,
    total: Annotated[
        int | None, typer.Option(metavar="N", help="Samples in all; scales a preset.")
    ] = None,
    corpus: Annotated[
        Pairs,
        typer.Option(
            "--as",
            metavar="NAME=CORPUS",
            help=f"How to read it, if not by its name: {CORPORA_HELP}.",
        ),
    ] = None,
    fields: Annotated[Pairs, typer.Option(metavar="NAME=FIELDS", help=FIELDS_HELP)] = None,
    licence: Annotated[
        Pairs, typer.Option(metavar="NAME=TEXT", help="Of its rows, where they do not say.")
    ] = None,
    stratify: Annotated[
        str, typer.Option(metavar="WHAT", help="instruction, length or none.")
    ] = "instruction",
    seed: Annotated[int, typer.Option(metavar="N", help="Of the draw and the order.")] = 0,
    max_bad: Annotated[
        str | None, typer.Option(metavar="N", help="Rows that may be bad: 20, 1%; else any.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Mix sources by number or ratio: seeded, stratified, no sample twice, every id listed."""
    from textreel.data.mix import make_mix

    paths = read_pairs(source, option="--source", kind=Path)
    counts = _counts(list(paths), preset=preset, take=take, ratio=ratio, total=total)
    sources = _sources(
        paths,
        counts,
        corpora=read_pairs(corpus, option="--as", kind=str),
        fields=read_pairs(fields, option="--fields", kind=str),
        licences=read_pairs(licence, option="--licence", kind=str),
    )
    choice: Any = stratify  # whatever was typed: the mix checks it
    with Display() as display:
        made = make_mix(
            sources, out, seed=seed, stratify=choice, max_bad=max_bad, show=display.update
        )
    emit(made, as_json=as_json, text=describe(made))


def describe(made: "MixReport") -> str:
    """Return a report as lines for people."""
    lines = [f"{made.out}: {made.samples} samples, seed {made.seed}"]
    for source in made.sources:
        lines.append(
            f"  {source.name}: {source.taken} of {source.unique} different samples "
            f"({source.rows} rows, {source.duplicates} seen before"
            + (f"; set aside: {count_all(source.rejected)})" if source.rejected else ")")
        )
    return "\n".join(lines)


def _counts(
    names: list[str], *, preset: str | None, take: Pairs, ratio: Pairs, total: int | None
) -> dict[str, int]:
    from textreel.data.mix import PRESETS, counts_by_ratio

    takes = read_pairs(take, option="--take", kind=int)
    ratios = read_pairs(ratio, option="--ratio", kind=float)
    given = [
        name
        for name, value in (("--preset", preset), ("--take", takes), ("--ratio", ratios))
        if value
    ]
    if len(given) != 1:
        raise OptionError(
            f"say once how many samples to take: --preset, --take or --ratio (given: "
            f"{', '.join(given) or 'none'})"
        )
    if preset is not None and preset not in PRESETS:
        raise OptionError(f"there is no preset {preset!r}", hint=f"there are: {', '.join(PRESETS)}")
    if total is not None and takes:
        raise OptionError("--total goes with --ratio or --preset; --take already says how many")
    if ratios and total is None:
        raise OptionError("--ratio needs --total")
    counts = takes or dict(PRESETS[preset] if preset else {})
    if total is not None:
        counts = counts_by_ratio(ratios or counts, total=total)
    if set(counts) != set(names):
        raise OptionError(
            f"sources {', '.join(sorted(names)) or 'none'}, but numbers for "
            f"{', '.join(sorted(counts))}",
            hint="each needs a --source NAME=FILE and a number",
        )
    return counts


def _sources(
    paths: dict[str, Path],
    counts: dict[str, int],
    *,
    corpora: dict[str, str],
    fields: dict[str, str],
    licences: dict[str, str],
) -> "list[Source]":
    from textreel.data.corpora import CORPORA, CorpusFile
    from textreel.data.mix import Source
    from textreel.data.named_fields import read_field_names

    for option, names in (("--as", corpora), ("--fields", fields), ("--licence", licences)):
        if unknown := set(names) - set(paths):
            raise OptionError(f"{option} for {', '.join(sorted(unknown))}, which is no --source")
    sources = []
    for name, path in paths.items():
        columns = read_field_names(fields[name]) if name in fields else None
        default = "fields" if columns else name if name in CORPORA else "records"
        file = CorpusFile(
            path=path,
            corpus=corpora.get(name, default),
            licence=licences.get(name, ""),
            fields=columns,
        )
        sources.append(Source(name=name, file=file, count=counts[name]))
    return sources
