"""`textreel encode`: features into stores, from files once encoded or from other projects."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textreel.cli.encode_import import encode_import
from textreel.cli.encode_sizes import encode_sizes
from textreel.cli.loading import check_device
from textreel.cli.output import JsonOption, emit, emit_failed, keep_stderr_plain
from textreel.cli.progress import Display
from textreel.cli.sampling import (
    CpuS,
    EndS,
    Fps,
    MaxFrames,
    NumFrames,
    PolicyName,
    ResamplerOption,
    StartS,
    limits_of,
    sampling_of,
)
from textreel.cli.sound_options import (
    ClipRuleName,
    Clips,
    SoundScaleName,
    Weights,
    open_with,
    sound_options,
    with_pixels,
)
from textreel.cli.words import count_all

if TYPE_CHECKING:
    from textreel.features.pipeline import EncodeReport
    from textreel.features.store_check import StoreReport

Workers = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Processes that decode; one per processor.")
]
Patches = Annotated[
    bool, typer.Option("--patches", help="One vector per patch of a frame, not one per frame.")
]

PixelsName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="squashed; or as Video-LLaMA's training: wrapped, or cropped in range."
    ),
]
Paths = Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders, or files.")]
EncoderName = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="A folder, a Hugging Face id, embedded:tiny/towers, imagebind-audio, "
        "imagebind-image or eva-blip2.",
    ),
]
Store = Annotated[Path, typer.Option(metavar="STORE", help="Where; a killed run goes on there.")]
MaxBad = Annotated[
    str, typer.Option(metavar="N", help="Bad files allowed, 20 or 1%; more: exit 3.")
]
Shard = Annotated[str, typer.Option(metavar="I/N", help="Only part I of N of the files, from 0.")]
Device = Annotated[
    str, typer.Option(metavar="NAME", help="Where to encode: cpu, cuda, cuda:1, mps.")
]

encode = typer.Typer(
    name="encode",
    help="Run a frozen encoder over files once, or import features.",
    rich_markup_mode=None,
)


@encode.callback()
def _group() -> None:
    """Run a frozen encoder over files once, or import features."""


@encode.command("run")
def encode_run(
    paths: Paths,
    encoder: EncoderName,
    out: Store,
    num_frames: NumFrames = None,
    fps: Fps = None,
    max_frames: MaxFrames = None,
    start_s: StartS = None,
    end_s: EndS = None,
    policy: PolicyName = "centres",
    resampler: ResamplerOption = "sinc",
    workers: Workers = None,
    max_bad: MaxBad = "1%",
    shard: Shard = "0/1",
    device: Device = "cpu",
    patches: Patches = False,
    pixels: PixelsName = None,
    weights: Weights = None,
    clips: Clips = None,
    clip_rule: ClipRuleName = None,
    sound_scale: SoundScaleName = None,
    cpu_s: CpuS = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Store the features of every file below DIR; bad files are listed, never replaced."""
    from textreel.data.media_files import find_media
    from textreel.data.shards import parse_shard

    spec = sampling_of(
        num_frames=num_frames,
        fps=fps,
        max_frames=max_frames,
        start_s=start_s,
        end_s=end_s,
        policy=policy,
        resampler=resampler,
    )
    chosen = num_frames is not None or fps is not None or policy != "centres"
    part, found = parse_shard(shard), find_media(paths)
    keep_stderr_plain()
    check_device(device)
    from textreel.features.pipeline import EncodeSettings, encode_files
    from textreel.models.decoder import locate

    opened = open_with(locate(encoder), weights=weights, sound_scale=sound_scale, device=device)
    tower = sound_options(opened, clips=clips, rule=clip_rule, frames=chosen)
    tower = with_pixels(tower, pixels)
    settings = EncodeSettings(
        spec=spec,
        workers=workers,
        limits=limits_of(cpu_s),
        shard=part,
        max_bad=max_bad,
        patches=patches,
    )
    with Display() as display:
        report = encode_files(found.files, out, tower, settings, show=display.update)
    told = {"ok": True, **asdict(report), "ignored": found.skipped}
    emit(told, as_json=as_json, text=_describe(report, found.skipped))


def _describe(report: "EncodeReport", ignored: dict[str, int]) -> str:
    """Return the counts as lines for people."""
    others = [
        f"{count} {what}"
        for count, what in (
            (report.skipped, "stored before"),
            (report.shared, "of a content that another file has"),
            (report.bad, "bad"),
        )
        if count
    ]
    lines = [
        f"{report.encoded} of {report.files} files encoded into {report.store}"
        + (f" ({', '.join(others)})" if others else ""),
        f"{report.frames} frames in {report.seconds:.1f} s, {report.files_per_s:.1f} files/s; "
        f"the encoder waited for {report.wait_share:.0%} of the time",
    ]
    if report.bad:
        lines.append(f"bad: {count_all(report.bad_by_kind)}; see {report.quarantine}")
    lines += [f"ignored: {count_all(ignored)}"] if ignored else []
    return "\n".join(lines)


@encode.command("check")
def encode_check(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="A folder that a run left.")],
    as_json: JsonOption = False,
) -> None:
    """Read every file of STORE, and say what is in it and what is damaged."""
    from textreel.features.errors import FeatureStoreError
    from textreel.features.store_check import check_store

    report = check_store(store)
    told = {"ok": True, **asdict(report)}
    text = _describe_store(report)
    try:
        report.require_whole()
    except FeatureStoreError as error:
        emit_failed(told, error, as_json=as_json, text=text)
    emit(told, as_json=as_json, text=text)


def _describe_store(report: "StoreReport") -> str:
    """Return what is in a store, and each damage, as lines for people."""
    lines = [
        f"store    {report.store}: {report.tracks} clips of {report.files} files, "
        f"{report.frames} frames, {report.shards} shards, {report.bytes / 1e6:.1f} MB",
        f"encoder  {report.encoder} ({report.feature_dim} wide), revision {report.revision}",
        f"sampling {report.sampling}",
    ]
    lines += [f"damaged  {problem.shard} {problem.message}" for problem in report.problems]
    return "\n".join(lines)


encode.command("import")(encode_import)
encode.command("sizes")(encode_sizes)
