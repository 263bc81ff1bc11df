"""`textreel caption`: what a video shows, in a sentence, a description, or frame by frame."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from textreel.cli.errors import OptionError
from textreel.cli.loading import Device, Precision, check_device
from textreel.cli.output import JsonOption, emit


def caption(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's folder, or `tiny`: the package's own.")
    ],
    video: Annotated[
        Path, typer.Argument(metavar="VIDEO", help="A video, or a story.txt, one frame a line.")
    ],
    style: Annotated[
        str, typer.Option(metavar="NAME", help="summary, dense, frames, msrvtt or vatex.")
    ] = "summary",
    begin: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Words that the caption must begin with.")
    ] = None,
    ban: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Never say this; give it again.")
    ] = None,
    cut_after: Annotated[
        str | None, typer.Option(metavar="TEXT", help="End the caption before this, such as '.'.")
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Longest caption, in tokens.")
    ] = None,
    device: Device = "cpu",
    precision: Precision = "auto",
    as_json: JsonOption = False,
) -> None:
    """Say what VIDEO shows; a run with eyes and ears also what is heard (summary, frames)."""
    from textreel.serve import captions
    from textreel.serve.senses_captions import caption_run

    if style not in captions.STYLES:
        raise OptionError(
            f"there is no style {style!r}", hint=f"one of {', '.join(captions.STYLES)}"
        )
    check_device(device)
    given = {
        "begin": begin,
        "banned": None if ban is None else tuple(ban),
        "cut_after": cut_after,
        "max_new_tokens": max_new_tokens,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    wanted = replace(captions.STYLES[style], **changes)  # type: ignore[arg-type]  # by its names
    found = caption_run(run, video, style=wanted, device=device, precision=precision)
    lines = [f"{one.start_s:7.2f} s  {one.text}" for one in found]
    text = "\n".join(lines) if wanted.each_frame else found[0].text
    emit({"captions": found}, as_json=as_json, text=text)
