"""`textreel demo`: the whole method in a few minutes, on models that come with the package."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textreel.cli.ask import describe
from textreel.cli.output import JsonOption, emit, say
from textreel.cli.pictures import show_frames
from textreel.cli.progress import Display

if TYPE_CHECKING:
    from textreel.recipes.demo_result import DemoResult, FirstLook


IMAGE_LLM = "HuggingFaceTB/SmolVLM-256M-Instruct"
"""A small image-LLM that sees real videos; `ask` downloads what is named (half a gigabyte)."""


def demo(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder; a killed demo goes on there.")
    ] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(metavar="N", help="Of everything that is drawn.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Teach a frozen language model video from text alone, then ask it about real mp4 files."""
    from textreel.recipes.demo import run_demo
    from textreel.recipes.demo_files import to_json
    from textreel.recipes.demo_result import DemoSettings

    with Display() as display:
        result = run_demo(
            out,
            DemoSettings(seed=seed),
            show=display.update,
            show_first=lambda first: _show_first(first, as_json=as_json),
        )
    emit(to_json(result), as_json=as_json, text=_describe(result))


def _show_first(first: "FirstLook", *, as_json: bool) -> None:
    """Show the shipped run's answer about one mp4, its frames in colour where there is colour."""
    from textreel.media.decode import read_clip
    from textreel.media.sampling import SamplingSpec
    from textreel.serve.blocks import contact_sheet

    clip = read_clip(first.video, SamplingSpec(num_frames=8))
    sheet = first.video.with_suffix(".png")
    contact_sheet(clip.frames, clip.frame_times_s.tolist(), sheet)
    if as_json:
        return
    show_frames(clip.frames)
    print(f"{first.video} (frames: {sheet})\n{first.question}\n{describe(first.answer)}")
    verdict = "right" if first.answer.text == first.right else f"wrong: it is {first.right!r}"
    print(f"That is {verdict}. Now the same is trained from nothing.\n", flush=True)
    say("training on text only; nothing is downloaded")


def _describe(result: "DemoResult") -> str:
    """Return the table and the next commands."""
    kinds = list(result.scores[0].by_kind)
    lines = [f"{'system':<22}{'macro':>7}{'+-':>6}  " + "".join(f"{k:>10}" for k in kinds)]
    for scores in result.scores:
        mark = "*" if scores.system == result.headline else " "
        low, high = scores.macro.interval()
        cells = "".join(f"{scores.by_kind[kind].value:>10.2f}" for kind in kinds)
        lines.append(
            f"{mark} {scores.system:<20}{scores.macro.value:>7.3f}{(high - low) / 2:>6.3f}  {cells}"
        )
    bridge = result.bridge.settings.name
    lines += [
        "",
        f"* the headline: its bridge ({bridge}) was chosen on validation scenes; +- is half of the "
        "95% interval, clustered by video",
        f"gap between the towers {result.gap.distance:.3f}, paired cosine "
        f"{result.gap.paired_cosine:.3f}, training noise {result.noise}",
        f"{result.cpu_s:.0f} CPU seconds, {result.peak_rss_mb:.0f} MiB; "
        f"report: {result.run / 'report.html'}",
        "",
        "Next:",
        *(f"  {command}" for command in next_commands(result)),
    ]
    return "\n".join(lines)


def next_commands(result: "DemoResult") -> list[str]:
    """Return the three commands that a newcomer can try next.

    The run again, about a video of its world; an image-LLM, about the user's own video; and the
    same training around a real decoder.
    """
    _, scene, question = next(iter(result.exam.items()))
    options = " ".join(f"--option {shlex.quote(option)}" for option in question.options)
    video = shlex.quote(str(result.videos / f"{scene.id}.mp4"))
    run = shlex.quote(str(result.run))
    return [
        f"textreel ask {run} {video} {shlex.quote(question.question)} {options}",
        f"textreel ask {IMAGE_LLM} YOUR_VIDEO.mp4 'What happens first?'",
        "textreel train topa_modern --set data=textvid.json --device cuda --out runs/modern",
    ]
