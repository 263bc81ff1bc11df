"""`textreel convert video-llama`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textreel.cli.output import JsonOption, emit

if TYPE_CHECKING:
    from textreel.recipes.convert_video_llama import VideoLlamaConversion


def convert_video_llama_command(
    llm: Annotated[
        str, typer.Option(metavar="DIR", help="The decoder it was trained on: directory or id.")
    ],
    out: Annotated[Path, typer.Option(metavar="RUN", help="The folder to write.")],
    vl: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Picture branch, VL_LLaMA_*.pth.")
    ] = None,
    al: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sound branch, AL_LLaMA_*.pth.")
    ] = None,
    blip2: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|ID", help="blip2_pretrained_flant5xxl.pth or a Hugging Face id."
        ),
    ] = None,
    eva: Annotated[
        Path | None, typer.Option(metavar="FILE", help="eva_vit_g.pth; not with a Hugging Face id.")
    ] = None,
    imagebind: Annotated[
        Path | None, typer.Option(metavar="FILE", help="imagebind_huge.pth.")
    ] = None,
    template: Annotated[
        str, typer.Option(metavar="NAME", help="Its prompts; else the one that suits the decoder.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Turn released checkpoints of Video-LLaMA into a model that computes the same numbers."""
    from textreel.recipes.convert_video_llama import VideoLlamaSource, convert_video_llama

    source = VideoLlamaSource(
        llm=llm, vl=vl, al=al, eva=eva, blip2=blip2, imagebind=imagebind, template=template
    )
    result = convert_video_llama(source, out)
    emit(result, as_json=as_json, text=describe(result))


def describe(result: "VideoLlamaConversion") -> str:
    """Return a conversion as a line for people."""
    limits = [
        f"{count} {what}"
        for count, what in (
            (result.max_frames, "frames"),
            (result.max_clips, "clips of sound"),
        )
        if count
    ]
    return (
        f"{result.trained_parameters:,} trained parameters, up to {' and '.join(limits)} "
        f"-> {result.run} (prompts: {result.template})"
    )
