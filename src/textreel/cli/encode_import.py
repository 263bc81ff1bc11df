"""`textreel encode import`: features that another project has computed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textreel.cli.errors import OptionError
from textreel.cli.output import JsonOption, emit
from textreel.cli.progress import Display

if TYPE_CHECKING:
    from textreel.data.quarantine import Quarantine
    from textreel.features.imports import ImportReport


def encode_import(
    source: Annotated[Path, typer.Argument(metavar="PATH", help="A file, or a folder of files.")],
    encoder: Annotated[str, typer.Option(metavar="NAME", help="Encoder that made them.")],
    revision: Annotated[str, typer.Option(metavar="REV", help="Its revision or weight hash.")],
    out: Annotated[Path, typer.Option(metavar="STORE", help="An unfinished import goes on.")],
    format: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="clip-pth, npy or textvid-pickle; else by the endings."),
    ] = None,
    modality: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="image, text or sound; else text for pickles, or image."),
    ] = None,
    normalize: Annotated[bool, typer.Option("--normalize", help="Give vectors length 1.")] = False,
    keep_norms: Annotated[
        bool, typer.Option("--keep-norms", help="Take vectors of any length as they are.")
    ] = False,
    fps: Annotated[
        float | None, typer.Option(metavar="X", help="Frames per second; else 1, and so reported.")
    ] = None,
    duration_from: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="Seconds of each id; frames are its slices' centres."),
    ] = None,
    textvid: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="TextVid itself: how many rows a frame has."),
    ] = None,
    rows_are_frames: Annotated[
        bool, typer.Option("--rows-are-frames", help="In pickles, every row is a frame.")
    ] = False,
    max_bad: Annotated[
        str, typer.Option(metavar="N", help="How many may be set aside: 20, or 1%.")
    ] = "1%",
    as_json: JsonOption = False,
) -> None:
    """Put computed features into a store: torch dictionaries, .npy, or TextVid's pickles."""
    from textreel.features.import_plan import ImportPlan, read_durations
    from textreel.features.imports import import_features

    if normalize and keep_norms:
        raise OptionError("--normalize and --keep-norms contradict each other")
    choices: dict[str, Any] = {"modality": modality}  # whatever was typed: the plan checks it
    plan = ImportPlan(
        encoder=encoder,
        revision=revision,
        norms="normalize" if normalize else "keep" if keep_norms else "unit",
        fps=fps,
        durations_s=None if duration_from is None else read_durations(duration_from),
        textvid=textvid,
        rows_are_frames=rows_are_frames,
        **choices,
    )
    quarantine = _fresh_quarantine(out.with_name(f"{out.name}.quarantine.jsonl"), max_bad)
    with Display() as display:
        report = import_features(
            source, out, plan, format=format, quarantine=quarantine, show=display.update
        )
    emit(report, as_json=as_json, text=describe(report))


def describe(report: "ImportReport") -> str:
    """Return `report` as lines for people."""
    lengths = {
        "unit": "left as they are",
        "normalize": "made 1",
        "keep": "left as they are, as you asked",
    }[report.norms]
    found = "by its files' names" if report.detected else "as you said"
    lines = [
        f"{report.out}: {report.clips} clips, {report.frames} frames of width "
        f"{report.feature_dim}; {report.stored} stored now, {report.skipped} were there",
        f"  format   {report.format}, {found}; {report.modality}, {report.sampling}",
        f"  lengths  {report.shortest:.4f} to {report.longest:.4f}, {lengths}",
        f"  times    {report.clock}",
    ]
    if report.without_features:
        lines.append(f"  missing  {report.without_features} records have no usable features")
    if report.bad:
        counts = ", ".join(f"{count} {code}" for code, count in report.bad.items())
        lines.append(f"  bad      {counts}; see {report.quarantine}")
    return "\n".join(lines)


def _fresh_quarantine(path: Path, max_bad: str) -> "Quarantine":
    """Make one without the entries of an earlier import, which looked at everything as well."""
    from textreel.data.errors import FormatError
    from textreel.data.quarantine import Quarantine

    try:
        if len(Quarantine(path, max_bad=max_bad)):
            path.unlink()
        return Quarantine(path, max_bad=max_bad)
    except FormatError:
        raise
    except ValueError as error:
        raise OptionError(f"--max-bad: {error}") from error
