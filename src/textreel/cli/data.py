"""`textreel data`: look at data, and mix it, before anything is trained on it."""

import typer

from textreel.cli.data_check import data_check
from textreel.cli.data_export import data_diversity, data_export
from textreel.cli.data_mix import data_mix

data = typer.Typer(name="data", help="Look at data and mix it.", rich_markup_mode=None)


@data.callback()
def _group() -> None:
    """Look at data and mix it."""


data.command("check")(data_check)
data.command("mix")(data_mix)
data.command("export")(data_export)
data.command("diversity")(data_diversity)
