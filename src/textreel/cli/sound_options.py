"""The options that only some encoders know: weight files, pixels, sounds, length of vectors."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textreel.cli.errors import OptionError

if TYPE_CHECKING:
    from textreel.features.towers import ClipTower
    from textreel.models.open_encoder import Encoder

SOUND_SCALES = ("unit", "published")
CLIP_RULES = ("imagebind", "video-llama")
PIXELS = ("squashed", "cropped", "wrapped")

Weights = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="Published weight file of the encoder; may be repeated."),
]
Tokenizer = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="CLIP's tokenizer, a folder or Hugging Face id: ImageBind's texts."
    ),
]
Clips = Annotated[
    int | None,
    typer.Option(min=1, metavar="K", help="Two-second clips of a sound; 8 (imagebind-audio)."),
]
ClipRuleName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Where clips start: video-llama, or imagebind (to the very end)."
    ),
]
SoundScaleName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Length of sound vectors: unit, or published (20)."),
]


def one_of(option: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
    """Return an option's value.

    Raises:
        OptionError: it is none of the allowed ones.
    """
    if value is not None and value not in allowed:
        raise OptionError(
            f"{option} {value} is not a choice of this option", hint=f"one of {', '.join(allowed)}"
        )
    return value


def open_with(
    name: str, *, weights: list[Path] | None, sound_scale: str | None, device: str
) -> "Encoder":
    """Open the encoder called `name` with its options.

    Raises:
        OptionError: no such scale.
        EncoderError: see `open_encoder`.
    """
    from textreel.models.open_encoder import open_encoder

    return open_encoder(
        name,
        weights=weights or [],
        sound_scale=one_of("--sound-scale", sound_scale, SOUND_SCALES),  # type: ignore[arg-type]
        device=device,
    )


def sound_options(
    encoder: "Encoder", *, clips: int | None, rule: str | None, frames: bool
) -> "Encoder | ClipTower":
    """Return what files are encoded with, after the options of sound were applied.

    Args:
        encoder: the one that was opened.
        clips: pieces of a sound.
        rule: where they start.
        frames: whether frames were chosen by an option.

    Raises:
        OptionError: options of sound for an encoder of pictures, or the other way round.
    """
    from textreel.features.towers import ImageBindTower, as_tower
    from textreel.media.sound_clips import SoundClipSpec
    from textreel.models.imagebind_encoder import ImageBindEncoder

    one_of("--clip-rule", rule, CLIP_RULES)
    hears = isinstance(encoder, ImageBindEncoder) and encoder.hears
    if (clips is not None or rule is not None) and not hears:
        raise OptionError(
            f"--clips and --clip-rule have no effect on {encoder.name}",
            hint="they go with --encoder imagebind-audio",
        )
    if isinstance(encoder, ImageBindEncoder) and hears:
        chosen = SoundClipSpec(
            num_clips=clips or SoundClipSpec().num_clips,
            rule=rule or "video-llama",  # type: ignore[arg-type]  # checked above
        )
        return _without_frames(ImageBindTower(encoder, clips=chosen), frames=frames)
    tower = as_tower(encoder)
    return _without_frames(tower, frames=frames) if tower.modality == "sound" else encoder


def with_pixels(tower: "Encoder | ClipTower", pixels: str | None) -> "Encoder | ClipTower":
    """Return what sees pixels of one kind; None: the encoder's own.

    Raises:
        OptionError: no such kind.
        TowerError: an encoder that is not Video-LLaMA's.
    """
    one_of("--pixels", pixels, PIXELS)
    if pixels is None:
        return tower
    from textreel.features.errors import TowerError
    from textreel.features.pixels import CroppedTower, check_pixels
    from textreel.features.towers import ClipTower

    if isinstance(tower, ClipTower):
        raise TowerError(
            f"--pixels has no effect on {tower.name}, which hears", hint="leave out --pixels"
        )
    check_pixels(tower)
    if pixels == "squashed":
        return tower
    return CroppedTower(tower, pixels=pixels)  # type: ignore[arg-type]  # checked above


def _without_frames(tower: "ClipTower", *, frames: bool) -> "ClipTower":
    if frames:
        raise OptionError(
            f"--num-frames, --fps and --policy have no effect on {tower.name}, which hears",
            hint="leave them out; --clips says how many pieces of sound",
        )
    return tower
