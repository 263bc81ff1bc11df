"""The `textreel` application: groups, global options, and one place where a command ends.

Command functions import the rooms inside their bodies, so that `textreel --help` loads none.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from textreel.cli.ask import ask
from textreel.cli.bench import bench
from textreel.cli.caption import caption
from textreel.cli.chat import chat
from textreel.cli.convert import convert
from textreel.cli.data import data
from textreel.cli.demo import demo
from textreel.cli.encode import encode
from textreel.cli.env import show_env
from textreel.cli.errors import Boundary
from textreel.cli.media import media
from textreel.cli.memory import memory
from textreel.cli.output import logging_to_stderr
from textreel.cli.plan import plan
from textreel.cli.predict import predict
from textreel.cli.synth import synth
from textreel.cli.train import train

app = typer.Typer(
    name="textreel",
    help="Teach a language model to watch and listen, mostly from text.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo)
app.command("ask")(ask)
app.command("chat")(chat)
app.command("predict")(predict)
app.command("caption")(caption)
app.command("train")(train)
app.command("plan")(plan)
app.command("bench")(bench)
app.command("env")(show_env)
app.add_typer(synth)
app.add_typer(data)
app.add_typer(memory)
app.add_typer(media)
app.add_typer(encode)
app.add_typer(convert)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"textreel {version('textreel')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _global_options(
    context: typer.Context,
    verbose: Annotated[
        int, typer.Option("-v", "--verbose", count=True, help="Say more; -vv: everything.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Tracebacks of all errors.")] = False,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    context.with_resource(logging_to_stderr(verbose=verbose, quiet=quiet))
    if context.invoked_subcommand is None:
        print(context.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run one command line in this process and return its exit code.

    Args:
        arguments: what follows `textreel`, such as `["env", "--json"]`.

    Returns:
        0, or the exit code of the error that was written (`cli/errors.py` lists them). Bugs are
        raised.
    """
    command = typer.main.get_command(app)
    boundary = Boundary(as_json="--json" in arguments, debug="--debug" in arguments)
    with boundary, command.make_context("textreel", list(arguments)) as context:
        command.invoke(context)
    return boundary.exit_code
