"""`textreel media`: what is in video and sound files, and which of them are broken."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textreel.cli.output import JsonOption, emit, emit_failed
from textreel.cli.progress import Display
from textreel.cli.sampling import (
    CpuS,
    EndS,
    Fps,
    MaxFrames,
    NumFrames,
    PolicyName,
    StartS,
    limits_of,
    sampling_of,
)
from textreel.cli.words import count_all

if TYPE_CHECKING:
    from textreel.data.media_check import MediaCheck

media = typer.Typer(name="media", help="Look into video and sound files.", rich_markup_mode=None)

SOME_TIMES = 12
"""More frame times than these are summed up."""


@media.callback()
def _group() -> None:
    """Look into video and sound files."""


@media.command("show")
def media_show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A video, sound or picture file.")],
    num_frames: NumFrames = None,
    fps: Fps = None,
    max_frames: MaxFrames = None,
    start_s: StartS = None,
    end_s: EndS = None,
    policy: PolicyName = "centres",
    save_frames: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the frames there as PNG files.")
    ] = None,
    cpu_s: CpuS = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Tell what is in FILE, and which frames of it would be looked at."""
    from textreel.data.frame_files import save_frames as write_frames
    from textreel.media.worker import GuardedReader

    spec = sampling_of(
        num_frames=num_frames,
        fps=fps,
        max_frames=max_frames,
        start_s=start_s,
        end_s=end_s,
        policy=policy,
    )
    saved: list[Path] = []
    with GuardedReader(limits_of(cpu_s)) as reader:
        if save_frames is not None:  # first, for it is what may be refused as too much
            saved = write_frames(reader.read(file, spec).clip, save_frames)
        found = reader.look(file, spec)
    sampled = {"sampling": spec.to_dict(), "sampling_fingerprint": spec.fingerprint}
    told = {"ok": True, **found.to_dict(), **sampled, "saved": saved}
    emit(told, as_json=as_json, text=_describe(told))


def _describe(told: dict[str, Any]) -> str:
    """Return what was found as lines for people."""
    lines = [f"file    {told['source']} ({told['container']}), {told['duration_s']:.3f} s"]
    if told["width"] is None:
        lines.append("video   none")
    else:
        turned = f", turned by {told['rotation']} degrees" if told["rotation"] else ""
        turned += ", mirrored" if told["mirrored"] else ""
        rate = "" if told["fps"] is None else f", {told['fps']:.3f} frames/s"
        hdr = ", HDR" if told["hdr"] else ""
        size = f"{told['width']}x{told['height']}"
        lines.append(f"video   {size}{rate}, {told['codec']} {told['pixel_format']}{hdr}{turned}")
    sound = told["sound"]
    heard = f"sound   {sound['status']}"
    if sound["rate_hz"]:
        length = "" if sound["duration_s"] is None else f", {sound['duration_s']:.3f} s"
        heard += f": {sound['codec']}, {sound['rate_hz']} Hz, {sound['channels']} channels{length}"
    lines.append(heard)
    times_s = told["frame_times_s"]
    some = " ".join(f"{time_s:.3f}" for time_s in times_s[:SOME_TIMES])
    more = f" ... {times_s[-1]:.3f}" if len(times_s) > SOME_TIMES else ""
    lines.append(f"frames  {len(times_s)}" + (f", at {some}{more} s" if times_s else ""))
    lines += [f"note    {note}" for note in told["notes"]]
    lines += [f"saved   {path}" for path in told["saved"]]
    return "\n".join(lines)


@media.command("check")
def media_check(
    paths: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders, or files.")],
    max_bad: Annotated[
        str, typer.Option(metavar="N", help="Bad files allowed, 20 or 1%; more: exit 3.")
    ] = "1%",
    num_frames: NumFrames = None,
    fps: Fps = None,
    max_frames: MaxFrames = None,
    sound: Annotated[bool, typer.Option(help="Decode the sound too, all of it.")] = True,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="List the bad files there, JSON lines.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes; one per processor.")
    ] = None,
    cpu_s: CpuS = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Decode every file of a folder, and list those that cannot be read, each with its reason."""
    from textreel.data.errors import TooManyBadError
    from textreel.data.media_check import check_media
    from textreel.data.media_files import find_media
    from textreel.data.quarantine import Quarantine
    from textreel.media.pool import ReaderPool

    spec = sampling_of(num_frames=num_frames, fps=fps, max_frames=max_frames)
    quarantine = Quarantine(out, max_bad=max_bad)
    found = find_media(paths)
    quarantine.start_again({str(file.path) for file in found.files})
    with Display() as display, ReaderPool(workers, limits=limits_of(cpu_s)) as pool:
        checked = check_media(
            found.files,
            pool,
            spec=spec,
            sound="check" if sound else "skip",
            quarantine=quarantine,
            show=display.update,
        )
    told = {"ok": True, **asdict(checked), "skipped": found.skipped, "quarantine": out}
    text = _describe_check(checked, found.skipped)
    try:
        quarantine.check(checked.files)
    except TooManyBadError as error:
        emit_failed(told, error, as_json=as_json, text=text)
    emit(told, as_json=as_json, text=text)


def _describe_check(checked: "MediaCheck", skipped: dict[str, int]) -> str:
    """Return the bad and the unusual files, and the counts."""
    lines = []
    for row in checked.rows:
        if row.kind:
            lines.append(f"bad     {row.path}: {row.message} ({row.kind})")
        lines += [f"note    {row.path}: {note}" for note in row.notes]
    kinds = ", ".join(f"{count} {kind}" for kind, count in checked.bad_by_kind.items())
    lines.append(
        f"{checked.good} of {checked.files} files are good, {checked.bad} bad"
        + (f" ({kinds})" if kinds else "")
        + f", {checked.noted} with notes; {checked.files_per_s:.1f} files/s"
    )
    lines.append("sound   " + (count_all(checked.sound) or "none"))
    lines += [f"skipped {count_all(skipped)}"] if skipped else []
    return "\n".join(lines)
