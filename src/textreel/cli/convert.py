"""`textreel convert`: published checkpoints become runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textreel.cli.convert_video_llama import convert_video_llama_command
from textreel.cli.output import JsonOption, emit, say

if TYPE_CHECKING:
    from textreel.recipes.convert_topa import TopaConversion

convert = typer.Typer(
    name="convert", help="Turn published checkpoints into runs.", rich_markup_mode=None
)


@convert.callback()
def _group() -> None:
    """Turn published checkpoints into runs."""


convert.command("video-llama")(convert_video_llama_command)


@convert.command("topa")
def convert_topa_command(
    checkpoint: Annotated[
        Path, typer.Option(metavar="FILE", help="checkpoint_N.pth of TOPA's released code.")
    ],
    llm: Annotated[
        str, typer.Option(metavar="DIR", help="The decoder it was trained on: directory or id.")
    ],
    out: Annotated[Path, typer.Option(metavar="RUN", help="The run's folder.")],
    encoder: Annotated[
        str, typer.Option(metavar="NAME", help="Whose features it reads: directory or id.")
    ] = "openai/clip-vit-large-patch14",
    memory: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The released memory.pkl; none: no bridge.")
    ] = None,
    rope_theta: Annotated[
        float | None,
        typer.Option(metavar="X", help="Of the checkpoint's run; 10000 for the released Llama-3."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Turn a checkpoint of TOPA's released code into a run that computes the same numbers."""
    from textreel.recipes.convert_topa import TopaSource, convert_topa

    source = TopaSource(
        checkpoint=checkpoint, llm=llm, encoder=encoder, memory=memory, rope_theta=rope_theta
    )
    result = convert_topa(source, out)
    if not as_json:
        for note in result.notes:
            say(note)
    emit(result, as_json=as_json, text=describe(result))


def describe(result: "TopaConversion") -> str:
    """Return a conversion as a line for people."""
    bridge = f"a memory of {result.memory_rows:,} rows" if result.memory_rows else "no bridge"
    return (
        f"{result.trained_parameters:,} trained parameters, {result.num_layers} layers, "
        f"{result.max_frames} frames, {bridge} -> {result.run}"
    )
