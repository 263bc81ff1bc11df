"""One door to every frozen encoder, by the name a user gives.

    imagebind-audio, imagebind-image   `imagebind_huge.pth`
    eva-blip2                          `eva_vit_g.pth` and `blip2_pretrained_flant5xxl.pth`, or a
                                       Hugging Face BLIP-2
    a folder or Hugging Face id        a CLIP or SigLIP kind of model, or a CLAP kind

Nothing is downloaded for the names of the first two lines.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from textreel.models.encoder_errors import EncoderError
from textreel.models.encoder_files import find_encoder
from textreel.models.encoders import DualEncoder, load_encoder
from textreel.models.frame_encoder import FrameEncoder, load_frame_encoder
from textreel.models.imagebind import SoundScale
from textreel.models.imagebind_encoder import ImageBindEncoder, load_imagebind_encoder
from textreel.models.sound_text import SoundTextEncoder, is_sound_text, load_sound_text_encoder

Encoder = DualEncoder | ImageBindEncoder | FrameEncoder | SoundTextEncoder

PUBLISHED = {
    "imagebind-audio": "imagebind_huge.pth",
    "imagebind-image": "imagebind_huge.pth",
    "eva-blip2": "eva_vit_g.pth and blip2_pretrained_flant5xxl.pth",
}
"""Encoders that are read from files of their authors, and which."""


def open_encoder(
    name: str,
    *,
    weights: Sequence[str | Path] = (),
    sound_scale: SoundScale | None = None,
    device: torch.device | str = "cpu",
) -> Encoder:
    """Load a frozen encoder.

    Args:
        name: one of `PUBLISHED`, a folder, or a Hugging Face id.
        weights: the files of a published encoder; none for the others.
        sound_scale: length of ImageBind's sound vectors, "unit" where None.
        device: where its towers run.

    Raises:
        EncoderError: no such encoder, files that are missing or not wanted, or a scale for one that
            has none.
        EncoderUnavailableError: its files cannot be had.
    """
    if sound_scale is not None and name != "imagebind-audio":
        raise EncoderError(f"the encoder {name} has no sound scale; only imagebind-audio has")
    if name not in PUBLISHED:
        if weights:
            raise EncoderError(
                f"the encoder {name} brings its own weights; {len(weights)} more files were given",
                hint=f"weight files go with {', '.join(PUBLISHED)}",
            )
        if is_sound_text(find_encoder(name).path):
            return load_sound_text_encoder(name, device=device)
        return load_encoder(name, device=device)
    if name == "eva-blip2" and weights:
        return load_frame_encoder(weights, device=device)
    if len(weights) != 1:
        raise EncoderError(
            f"the encoder {name} needs its published weights, {PUBLISHED[name]}; "
            f"{len(weights)} files were given",
            hint="give each file with --weights; nothing is downloaded for this name",
        )
    return load_imagebind_encoder(
        weights[0],
        sound_scale=sound_scale or "unit",
        senses=["sound" if name == "imagebind-audio" else "image"],
        device=device,
    )
