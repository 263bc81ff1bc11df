"""`textreel synth`: samples and models from nothing."""

from pathlib import Path
from typing import Annotated

import typer

from textreel.cli.output import JsonOption, emit, say
from textreel.cli.pages import synth_pages
from textreel.cli.progress import Display
from textreel.cli.textvid import synth_prompts, synth_textvid

synth = typer.Typer(
    name="synth", help="Make samples and models from nothing.", rich_markup_mode=None
)


@synth.callback()
def _group() -> None:
    """Make samples and models from nothing."""


@synth.command("world")
def synth_world(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where; what is there is kept.")],
    n: Annotated[int, typer.Option("--n", metavar="N", help="How many videos.")] = 20,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the draw.")] = 0,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="Length of each, 4 to 600; above 8: long questions.")
    ] = 8.0,
    part: Annotated[
        str, typer.Option(metavar="NAME", help="test, validation, memory or training.")
    ] = "test",
    as_json: JsonOption = False,
) -> None:
    """Draw scenes as mp4 files with sound, their facts, captions and questions."""
    from textreel.synth.world.files import write_world

    with Display() as display:
        made = write_world(
            out,
            count=n,
            seed=seed,
            part=part,
            seconds=seconds,
            show=lambda done, total: display.update("videos", done, total),
        )
    text = f"{made.count} videos and {made.num_questions} questions in {made.out}"
    emit(made, as_json=as_json, text=f"{text} ({made.kept} were there)" if made.kept else text)


@synth.command("tiny")
def synth_tiny(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where; a killed build goes on there.")],
    seed: Annotated[int, typer.Option(metavar="N", help="Of weights and data.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Build the embedded towers, decoder and run: hours on a small machine."""
    from textreel.recipes.tiny_models import build_tiny

    build_tiny(out, seed=seed, show=say)
    built = {name: str(out / name) for name in ("towers", "decoder", "run")}
    emit(built, as_json=as_json, text="\n".join(f"{name:<8}{at}" for name, at in built.items()))


synth.command("pages")(synth_pages)
synth.command("textvid")(synth_textvid)
synth.command("prompts")(synth_prompts)
