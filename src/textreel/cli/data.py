"""`textreel data`: look at data before anything is trained on it."""

import typer

from textreel.cli.data_check import data_check

data = typer.Typer(name="data", help="Look at data before training on it.", rich_markup_mode=None)


@data.callback()
def _group() -> None:
    """Look at data before training on it."""


data.command("check")(data_check)
