"""Options that say which model answers, where it computes and what it is shown."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from textreel.cli.errors import OptionError
from textreel.cli.sampling import sampling_of

if TYPE_CHECKING:
    from textreel.serve.session import Session

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A run's folder, `tiny` (the package's own), or an image-LLM's folder or id.",
    ),
]
Device = Annotated[
    str, typer.Option("--device", metavar="NAME", help="Where to compute: cpu, cuda, cuda:1, mps.")
]
PrecisionName = Literal["auto", "fp32", "bf16"]
Precision = Annotated[
    PrecisionName,
    typer.Option("--precision", help="Of weights; auto: as stored, but on cpu a run in fp32."),
]
MaxNewTokens = Annotated[
    int,
    typer.Option("--max-new-tokens", min=1, metavar="N", help="Longest answer in free words."),
]
Tiles = Annotated[
    bool, typer.Option("--tiles", help="Image-LLMs: also show tiles of each frame (more tokens).")
]
FrameTokens = Annotated[
    int | None,
    typer.Option(
        "--frame-tokens", min=4, metavar="N", help="Image-LLMs that keep sizes: most per frame."
    ),
]


def open_session(
    name: str,
    *,
    device: str,
    precision: PrecisionName = "auto",
    tiles: bool = False,
    frame_tokens: int | None = None,
    num_frames: int | None = None,
    fps: float | None = None,
    max_frames: int | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
) -> "Session":
    """Load the model that the options name.

    Raises:
        OptionError: no such device.
        RunError: no such model, or an option that has no effect on it.
    """
    check_device(device)
    from textreel.models.image_mllm.pictures import PictureSettings
    from textreel.serve.session import load

    chosen = {
        "num_frames": num_frames,
        "fps": fps,
        "max_frames": max_frames,
        "start_s": start_s,
        "end_s": end_s,
    }
    sampling = sampling_of(**chosen) if any(v is not None for v in chosen.values()) else None  # type: ignore[arg-type]  # each of its own kind
    wants_pictures = tiles or frame_tokens is not None
    pictures = PictureSettings(tiles=tiles, frame_tokens=frame_tokens) if wants_pictures else None
    return load(name, device=device, precision=precision, sampling=sampling, pictures=pictures)


def check_device(name: str) -> None:
    """Refuse a device that torch does not know or this machine does not have.

    Raises:
        OptionError: naming the devices that there are.
    """
    if name == "cpu":
        return
    import torch

    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    there += ["mps"] if torch.backends.mps.is_available() else []
    known = {*there, *(place.split(":")[0] for place in there)}
    if name not in known:
        raise OptionError(
            f"--device {name} is not on this machine", hint=f"there are: {', '.join(there)}"
        )
