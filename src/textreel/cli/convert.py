"""`textreel convert`: published checkpoints become runs."""

import typer

from textreel.cli.convert_video_llama import convert_video_llama_command

convert = typer.Typer(
    name="convert", help="Turn published checkpoints into runs.", rich_markup_mode=None
)


@convert.callback()
def _group() -> None:
    """Turn published checkpoints into runs."""


convert.command("video-llama")(convert_video_llama_command)
