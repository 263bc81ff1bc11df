"""`textreel train`: run a recipe by name, or repeat the recipe of a run."""

from pathlib import Path
from typing import Annotated

import typer

from textreel.cli.output import JsonOption, emit
from textreel.cli.progress import Display


def train(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A recipe's name, or a run's recipe.json.")
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
    """Align a frozen decoder on textual videos; safe to kill and to call again."""
    from textreel.recipes.training import find_recipe, run_recipe

    resolved = find_recipe(recipe, settings=set_ or [])
    with Display() as display:
        result = run_recipe(resolved, out, show=display.update, inexact=inexact)
    emit(
        result,
        as_json=as_json,
        text=f"{resolved.name}: loss {result.loss:.3f} after {result.steps} steps -> {out}",
    )
