"""The options that say which frames of a video are looked at, and how long a file may take."""

from typing import TYPE_CHECKING, Annotated

import typer

from textreel.cli.errors import OptionError

if TYPE_CHECKING:
    from textreel.media.sampling import SamplingSpec
    from textreel.media.worker import DecodeLimits

WALL_PER_CPU_S = 6.0
"""Machines stall: a file has six times as much wall time without progress as it has CPU time."""

NumFrames = Annotated[
    int | None,
    typer.Option("--num-frames", min=1, metavar="N", help="Frames of each file; 8 unless --fps."),
]
Fps = Annotated[
    float | None, typer.Option("--fps", metavar="X", help="Frames per second, instead of N.")
]
MaxFrames = Annotated[
    int | None, typer.Option("--max-frames", min=1, metavar="N", help="Most that --fps may give.")
]
StartS = Annotated[
    float | None, typer.Option("--start-s", min=0.0, metavar="S", help="Start of the window.")
]
EndS = Annotated[
    float | None, typer.Option("--end-s", min=0.0, metavar="S", help="Its end, exclusive.")
]
PolicyName = Annotated[
    str,
    typer.Option(
        "--policy",
        metavar="NAME",
        help="centres, key_frames, every_frame, head_tail, topa_floor or video_llama_floor.",
    ),
]
ResamplerOption = Annotated[
    str,
    typer.Option(
        "--resampler",
        metavar="NAME",
        help="What brings a sound to the tower's rate: sinc (ours), or ffmpeg, which is no faster.",
    ),
]
CpuS = Annotated[
    float,
    typer.Option("--cpu-s", min=0.01, metavar="S", help="CPU seconds that one file may take."),
]


def sampling_of(
    *,
    num_frames: int | None,
    fps: float | None = None,
    max_frames: int | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
    policy: str = "centres",
    resampler: str = "sinc",
) -> "SamplingSpec":
    """Return the rule that the options name.

    Raises:
        OptionError: no such policy, or no such resampler.
        SamplingError: options that contradict each other.
    """
    from textreel.media.sampling import POLICIES, RESAMPLERS, SamplingSpec

    if policy not in POLICIES:
        raise OptionError(
            f"--policy {policy} is not a sampling rule", hint=f"one of {', '.join(POLICIES)}"
        )
    if resampler not in RESAMPLERS:
        raise OptionError(
            f"--resampler {resampler} is not a resampler", hint=f"one of {', '.join(RESAMPLERS)}"
        )
    return SamplingSpec(
        num_frames=num_frames,
        fps=fps,
        max_frames=max_frames,
        start_s=start_s,
        end_s=end_s,
        policy=policy,  # type: ignore[arg-type]  # checked above
        resampler=resampler,  # type: ignore[arg-type]  # checked above
    )


def limits_of(cpu_s: float) -> "DecodeLimits":
    """Return the limits of one file that takes at most `cpu_s` CPU seconds."""
    from textreel.media.worker import DecodeLimits

    return DecodeLimits(cpu_s=cpu_s, wall_s=max(1.0, WALL_PER_CPU_S * cpu_s))
