"""`textreel train`: run a recipe or a study by name, or repeat the recipe of a run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textreel.cli.errors import OptionError
from textreel.cli.loading import Device, check_device
from textreel.cli.output import JsonOption, emit
from textreel.cli.progress import Display

if TYPE_CHECKING:
    from textreel.recipes.frame_arms import FrameStudyReport
    from textreel.recipes.senses_recipe import SensesRecipe
    from textreel.recipes.senses_study import SensesReport
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
    stage: Annotated[
        str, typer.Option(metavar="NAME", help="Only this stage, of a recipe that has stages.")
    ] = "",
    inexact: Annotated[
        bool, typer.Option("--inexact", help="Go on though other last bits must be expected.")
    ] = False,
    device: Device = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Train as a recipe says, or make a study's table; safe to kill and to call again."""
    from textreel.recipes.find_senses import find_senses_recipe
    from textreel.recipes.frame_training import find_frame_recipe, run_frame_recipe
    from textreel.recipes.training import find_recipe, run_recipe

    settings = set_ or []
    check_device(device)
    if (found := _find_study(recipe, settings)) is not None:
        if inexact or stage or device != "cpu":
            raise OptionError("--inexact, --stage and --device have no effect on a study")
        study, run, describe = found
        with Display() as display:
            report = run(study, out, show=display.update)
        emit(report, as_json=as_json, text=describe(report))
        return
    if (senses := find_senses_recipe(recipe, settings=settings)) is not None:
        results = _train_senses(senses, out, stage=stage, inexact=inexact, device=device)
        _emit_stages(senses.name, results, out, stage=stage, as_json=as_json)
        return
    if stage:
        raise OptionError(f"--stage {stage}: {recipe} has no stages")
    frames = find_frame_recipe(recipe, settings=settings)
    with Display() as display:
        if frames is not None:
            name, update = frames.name, display.update
            result = run_frame_recipe(frames, out, show=update, inexact=inexact, device=device)
        else:
            resolved = find_recipe(recipe, settings=settings)
            name = resolved.name
            update = display.update
            result = run_recipe(resolved, out, show=update, inexact=inexact, device=device)
    emit(result, as_json=as_json, text=describe_run(name, result, out))


def _find_study(
    name: str, settings: Sequence[str]
) -> tuple[Any, Callable[..., Any], Callable[[Any], str]] | None:
    """Return the study `name`, what runs it and what describes its table; None: no such study."""
    from textreel.recipes.find_senses import find_senses_study
    from textreel.recipes.run_frame_study import find_frame_study, run_frame_study
    from textreel.recipes.run_study import find_study, run_study
    from textreel.recipes.senses_study import run_senses_study

    kinds: tuple[tuple[Callable[..., Any], Callable[..., Any], Callable[[Any], str]], ...] = (
        (find_study, run_study, describe_study),
        (find_frame_study, run_frame_study, describe_arms),
        (find_senses_study, run_senses_study, describe_senses),
    )
    for find, run, describe in kinds:
        if (study := find(name, settings=settings)) is not None:
            return study, run, describe
    return None


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


def describe_senses(report: "SensesReport") -> str:
    """Return the table of a study of two senses as lines for people."""
    lines = [f"{report.study}: {report.questions} questions"]
    width = max((len(f"{row.arm} | {row.look}") for row in report.rows), default=0)
    for row in report.rows:
        kinds = " ".join(f"{k} {v:.2f}{_of(row.errors[k], 2)}" for k, v in row.by_type.items())
        macro = "" if row.macro is None else f"{row.macro:.3f}{_of(row.macro_error, 3)}"
        lines.append(f"{f'{row.arm} | {row.look}':<{width}}  {macro:<14} {kinds}")
    lines += [
        f"{c.what}: {c.value:+.3f}" + ("" if c.half_width is None else f" +- {c.half_width:.3f}")
        for c in report.comparisons
    ]
    lines += [f"{arm}: trained in {cpu_s:.0f} CPU-s" for arm, cpu_s in report.trained_cpu_s.items()]
    return "\n".join([*lines, *report.remarks])


def _of(error: float | None, digits: int) -> str:
    """Return a standard error in brackets; nothing where a single video tells none."""
    return "" if error is None else f" ({error:.{digits}f})"


def _train_senses(
    recipe: "SensesRecipe", out: Path, *, stage: str, inexact: bool, device: str
) -> dict[str, "TrainResult"]:
    from textreel.recipes.senses_training import run_senses

    with Display() as display:
        show = display.update
        return run_senses(recipe, out, stage=stage, show=show, inexact=inexact, device=device)


def _emit_stages(
    recipe: str, results: "dict[str, TrainResult]", out: Path, *, stage: str, as_json: bool
) -> None:
    from dataclasses import asdict

    lines = [
        f"{recipe}, {name}: loss {result.loss:.3f} after {result.steps} steps"
        for name, result in results.items()
    ]
    told = {"ok": True, "out": str(out), "stages": {n: asdict(r) for n, r in results.items()}}
    done = f"stage {stage} of {out}" if stage else str(out)
    text = "\n".join([*lines, f"-> {out}"]) if lines else f"{done} is finished already"
    emit(told, as_json=as_json, text=text)


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
    if row.mean is None or row.gap is None:
        return f"{name:<{width}}  {row.why}"
    error = "" if row.stderr is None else f" (stderr {row.stderr:.3f})"
    spread = "" if row.half_width is None else f" +- {row.half_width:.3f}"
    kinds = " ".join(f"{kind} {value:.2f}" for kind, value in row.by_type.items())
    return (
        f"{name:<{width}}  {row.mean:.3f}{spread}{error}"
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
        each = ": " + " ".join(f"{value:.3f}" for value in row.by_seed) if row.seeds > 1 else ""
        lines.append(
            f"{row.arm:<{width}}  {row.trained:.3f}{error}  temporal {row.temporal:.3f} "
            f"(shuffled {row.shuffled:.3f}, reversed {row.reversed:.3f})  static {row.static:.3f}  "
            f"unseen {row.unseen:.3f}  long {row.long:.3f}  long only {row.long_only:.3f}  "
            f"reads {row.page_words:.3f}  {row.seeds} seed{'s' * (row.seeds > 1)}{each}"
        )
    for found in report.differences:
        each = ", ".join(f"{value:+.3f}" for value in found.by_seed)
        each = f" ({each} by seed)" if len(found.by_seed) > 1 else ""
        good = ", as good as" if found.as_good else ""
        least = "unknown" if found.detectable is None else f"{found.detectable:.3f}"
        lines.append(
            f"{found.one} - {found.other}, {found.about}: {found.value:+.3f}{each} "
            f"[{found.low:+.3f}, {found.high:+.3f}]{good}; could have seen {least}"
        )
    return "\n".join([*lines, *report.remarks])
