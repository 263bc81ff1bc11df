"""`textreel data export` and `data diversity`: what a mix looks like to others, and to a reader."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textreel.cli.output import JsonOption, emit

if TYPE_CHECKING:
    from textreel.data.diversity import Diversity

Mix = Annotated[Path, typer.Argument(metavar="MIX", help="A mix's folder, or records (.jsonl).")]


def data_export(
    mix: Mix,
    to: Annotated[
        str,
        typer.Option(
            metavar="SHAPE", help="minicpm, messages, llava, sharegpt, qwen-vl, internvl."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Written whole or not at all.")],
    pictures: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Pages (`synth pages`) and frames, a folder each."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write records in the shape that another trainer reads."""
    from textreel.data.record_files import read_records
    from textreel.data.shapes import write_shape

    shape: Any = to  # whatever was typed: the writer checks it
    made = write_shape(read_records(mix), out, shape=shape, pictures=tuple(pictures or ()))
    text = f"{made.out}: {made.records} records, {made.pictures} pictures, {made.videos} videos"
    emit(made, as_json=as_json, text=text)


def data_diversity(
    mix: Mix,
    encoder: Annotated[
        str | None, typer.Option(metavar="NAME", help="A sentence encoder; else hashed n-grams.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Picture: .png, .svg or .pdf.")
    ] = None,
    sample: Annotated[
        int, typer.Option(metavar="N", help="Instructions of each source at most.")
    ] = 5000,
    clusters: Annotated[int, typer.Option(metavar="N", help="How many.")] = 32,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the clusters.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Say how different the instructions of each source are, and draw where they lie."""
    from textreel.data.diversity import (
        Embed,
        hash_embed,
        instructions_by_source,
        measure_diversity,
    )
    from textreel.data.diversity_plot import check_ending, plot_diversity
    from textreel.data.record_files import read_records

    if plot is not None:
        check_ending(plot)
    asked = instructions_by_source(read_records(mix), sample=sample)
    embed: Embed = hash_embed
    if encoder is not None:
        from textreel.models.sentences import load_sentence_encoder

        embed = load_sentence_encoder(encoder)
    name = encoder or "hashed n-grams"
    made = measure_diversity(asked, embed=embed, encoder=name, clusters=clusters, seed=seed)
    if plot is not None:
        plot_diversity(made, plot)
    figures = {"encoder": made.encoder, "clusters": made.clusters, "sources": made.sources}
    emit(figures | {"plot": plot}, as_json=as_json, text=describe(made, plot=plot))


def describe(made: "Diversity", *, plot: Path | None) -> str:
    """Return figures as lines for people."""
    lines = [f"{made.clusters} clusters by {made.encoder}"]
    lines += [
        f"  {source.name}: {source.instructions} instructions, cluster entropy "
        f"{source.cluster_entropy:.3f}, template share {source.template_share:.3f}, mean "
        f"similarity {source.mean_similarity:.3f}"
        for source in made.sources
    ]
    return "\n".join([*lines, *([f"  {plot}"] if plot is not None else [])])
