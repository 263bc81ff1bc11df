"""One door to every frozen encoder, by the name a user gives.

    imagebind-audio, imagebind-image   `imagebind_huge.pth`
    eva-blip2                          `eva_vit_g.pth` and `blip2_pretrained_flant5xxl.pth`, or a
                                       Hugging Face BLIP-2
    a folder or Hugging Face id        a CLIP or SigLIP kind of model, or a CLAP kind
    a folder                           the tiny frame encoder that `video_llama_tiny` builds

Nothing is downloaded for the names of the first two lines. ImageBind's file brings no tokenizer:
its text tower is opened where CLIP's is given.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from textreel.models.encoder_errors import EncoderError
from textreel.models.encoder_files import find_encoder
from textreel.models.encoders import DualEncoder, load_encoder
from textreel.models.frame_encoder import FrameEncoder, load_frame_encoder
from textreel.models.imagebind import Sense, SoundScale
from textreel.models.imagebind_encoder import ImageBindEncoder, load_imagebind_encoder
from textreel.models.sound_text import SoundTextEncoder, is_sound_text, load_sound_text_encoder
from textreel.models.tiny_frames import is_tiny_frames, load_tiny_frames

Encoder = DualEncoder | ImageBindEncoder | FrameEncoder | SoundTextEncoder
TextEncoder = DualEncoder | ImageBindEncoder | SoundTextEncoder
"""Those that read texts, so that a model can be aligned on texts and shown pictures or sounds."""
IMAGEBIND: dict[str, Sense] = {"imagebind-audio": "sound", "imagebind-image": "image"}
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
    tokenizer: str | Path | None = None,
    sound_scale: SoundScale | None = None,
    device: torch.device | str = "cpu",
) -> Encoder:
    """Load a frozen encoder.

    Args:
        name: one of `PUBLISHED`, a folder, or a Hugging Face id.
        weights: the files of a published encoder; none for the others.
        tokenizer: CLIP's, as a folder or Hugging Face id, to open ImageBind's text tower as well.
        sound_scale: length of ImageBind's sound vectors, "unit" where None.
        device: where its towers run.

    Raises:
        EncoderError: no such encoder, files that are missing or not wanted, or a tokenizer or a
            scale for one that has no use for it.
        EncoderUnavailableError: its files cannot be had.
    """
    if sound_scale is not None and name != "imagebind-audio":
        raise EncoderError(f"the encoder {name} has no sound scale; only imagebind-audio has")
    if tokenizer and name not in IMAGEBIND:
        raise EncoderError(
            f"a tokenizer has no effect on the encoder {name}",
            hint=f"it goes with {', '.join(IMAGEBIND)}; the others bring their own",
        )
    if name not in PUBLISHED:
        if weights:
            raise EncoderError(
                f"the encoder {name} brings its own weights; {len(weights)} more files were given",
                hint=f"weight files go with {', '.join(PUBLISHED)}",
            )
        files = find_encoder(name)
        if is_sound_text(files.path):
            return load_sound_text_encoder(name, device=device)
        if is_tiny_frames(files.path):
            return load_tiny_frames(files, device=device)
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
        senses=[IMAGEBIND[name], "text"] if tokenizer else [IMAGEBIND[name]],
        tokenizer=tokenizer or None,
        device=device,
    )


def open_text_encoder(
    name: str,
    *,
    weights: Sequence[str | Path] = (),
    tokenizer: str | Path | None = None,
    device: torch.device | str = "cpu",
) -> TextEncoder:
    """Load a frozen encoder with its text side; sound vectors have unit length, as texts have.

    Arguments and errors as `open_encoder`.

    Raises:
        EncoderError: it has no text side, or ImageBind's tokenizer is not given.
    """
    if name in IMAGEBIND and not tokenizer:
        raise EncoderError(
            f"the encoder {name} cannot read texts: its weights bring no tokenizer",
            hint="give CLIP's, as a folder or as openai/clip-vit-large-patch14",
        )
    encoder = open_encoder(name, weights=weights, tokenizer=tokenizer, device=device)
    if isinstance(encoder, FrameEncoder):
        raise EncoderError(
            f"the encoder {name} reads no texts, so nothing can be aligned on texts with it",
            hint="use a CLIP, SigLIP or CLAP kind of model, or ImageBind",
        )
    return encoder
