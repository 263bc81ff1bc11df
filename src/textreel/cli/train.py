"""`textreel train`: run a recipe or a study by name, or repeat the recipe of a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textreel.cli.errors import OptionError
from textreel.cli.output import JsonOption, emit
from textreel.cli.progress import Display

if TYPE_CHECKING:
    from textreel.recipes.frame_arms import FrameStudyReport
    from textreel.recipes.study import StudyReport, StudyRow
    from textreel.train.result import TrainResult


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", help="A recipe's or study's name, or a run's recipe.json."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The run; an unfinished one goes on.")],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="FIELD=VALUE", help="Such as train.steps=50; again for more."
        ),
    ] = None,
    inexact: Annotated[
        bool, typer.Option("--inexact", help="Go on though other last bits must be expected.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train as a recipe says, or make a study's table; safe to kill and to call again."""
    from textreel.recipes.frame_training import find_frame_recipe, run_frame_recipe
    from textreel.recipes.run_frame_study import find_frame_study, run_frame_study
    from textreel.recipes.run_study import find_study, run_study
    from textreel.recipes.training import find_recipe, run_recipe

    settings = set_ or []
    study = find_study(recipe, settings=settings)
    frame_study = find_frame_study(recipe, settings=settings)
    if inexact and (study is not None or frame_study is not None):
        raise OptionError("--inexact has no effect on a study")
    if frame_study is not None:
        with Display() as display:
            arms = run_frame_study(frame_study, out, show=display.update)
        emit(arms, as_json=as_json, text=describe_arms(arms))
        return
    if study is not None:
        with Display() as display:
            report = run_study(study, out, show=display.update)
        emit(report, as_json=as_json, text=describe_study(report))
        return
    frames = find_frame_recipe(recipe, settings=settings)
    with Display() as display:
        if frames is not None:
            name, update = frames.name, display.update
            result = run_frame_recipe(frames, out, show=update, inexact=inexact)
        else:
            resolved = find_recipe(recipe, settings=settings)
            name = resolved.name
            result = run_recipe(resolved, out, show=display.update, inexact=inexact)
    emit(result, as_json=as_json, text=describe_run(name, result, out))


def describe_run(name: str, result: "TrainResult", out: Path) -> str:
    """Return the end of a training as a line for people, with what was measured last and first."""
    told = f"{name}: loss {result.loss:.3f} after {result.steps} steps"
    if measured := result.evaluations:
        first, last = measured[0], measured[-1]
        for key in sorted(last.keys() - {"step"}):
            label = "validation accuracy" if key == "validation" else key
            told += f", {label} {last[key]:.3f}"
            if len(measured) > 1 and key in first:
                told += f" ({first[key]:.3f} before the first)"
    return f"{told} -> {out}"


def describe_study(report: "StudyReport") -> str:
    """Return a study's table as lines for people."""
    width = max(len(f"{row.cell} | {row.look}") for row in report.rows)
    lines = [f"{report.study}: {len(report.seeds)} seeds, {report.questions} questions"]
    lines += [describe_row(row, width) for row in report.rows]
    for name, (mean, half) in report.differences.items():
        lines.append(f"{name}: {mean:+.3f}" + ("" if half is None else f" +- {half:.3f}"))
    return "\n".join([*lines, *report.remarks])


def describe_row(row: "StudyRow", width: int) -> str:
    """Return one line of a table: mean, interval over seeds, error over videos, gap and noise."""
    name = f"{row.cell} | {row.look}"
    if row.mean is None or row.stderr is None or row.gap is None:
        return f"{name:<{width}}  {row.why}"
    spread = "" if row.half_width is None else f" +- {row.half_width:.3f}"
    kinds = " ".join(f"{kind} {value:.2f}" for kind, value in row.by_type.items())
    return (
        f"{name:<{width}}  {row.mean:.3f}{spread} (stderr {row.stderr:.3f})"
        f"  gap {row.gap:.2f} noise {row.noise:g}  {kinds}"
    )


def describe_arms(report: "FrameStudyReport") -> str:
    """Return the table of T2Vid's comparison as lines for people."""
    width = max((len(row.arm) for row in report.rows), default=0)
    lines = [
        f"{report.study}: {report.questions} questions, {report.long_questions} about long videos; "
        f"the base reads {report.reads:.3f} of the words on its pages"
    ]
    for row in report.rows:
        error = "" if row.stderr is None else f" (stderr {row.stderr:.3f})"
        lines.append(
            f"{row.arm:<{width}}  {row.trained:.3f}{error}  temporal {row.temporal:.3f} "
            f"(shuffled {row.shuffled:.3f}, reversed {row.reversed:.3f})  static {row.static:.3f}  "
            f"unseen {row.unseen:.3f}  long {row.long:.3f}  reads {row.page_words:.3f}  "
            f"{row.seeds} seed{'s' * (row.seeds > 1)}"
        )
    for found in report.differences:
        good = ", as good as" if found.as_good else ""
        least = "unknown" if found.detectable is None else f"{found.detectable:.3f}"
        lines.append(
            f"{found.one} - {found.other}, {found.look}: {found.value:+.3f} "
            f"[{found.low:+.3f}, {found.high:+.3f}]{good}; could have seen {least}"
        )
    return "\n".join([*lines, *report.remarks])
