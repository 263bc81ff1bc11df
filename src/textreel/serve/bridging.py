"""The bridge of a run, built from what lies beside its model."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from textreel.data.files import write_atomic
from textreel.features.memory import Memory, load_memory
from textreel.models import bridges
from textreel.models.encoder_statistics import EncoderStatistics
from textreel.models.open_encoder import TextEncoder
from textreel.serve.errors import RunError
from textreel.serve.run_files import MEMORY_FILE, BridgeSettings


def make_bridge(
    settings: BridgeSettings,
    *,
    encoder: TextEncoder,
    run: Path,
    checked: bool = True,
    sense: str = "image",
) -> nn.Module:
    """Build the bridge of a run.

    Args:
        settings: which one.
        encoder: whose statistics `mean_shift` and a centred memory use.
        run: the folder with `memory.safetensors`.
        checked: whether the memory must be of the encoder's revision; not where a converted run
            does not know its own.
        sense: `image` or `sound`: whose features pass it. The means of sounds and of texts about
            them lie in the run, for encoders store those of pictures and captions only.

    Raises:
        RunError: the memory or the statistics that it needs are not there.
        FingerprintError: a memory of another encoder.
    """
    if settings.name == "none":
        return bridges.Identity()
    if settings.name == "memory":
        path = run / MEMORY_FILE
        if not path.is_file():
            raise RunError(
                f"{run} crosses to text by a memory, but has no {MEMORY_FILE}",
                hint="Copy the file with the run, or build it again with its recipe.",
            )
        found = load_memory(path, revision=encoder.revision if checked else None)
        mean = _seen_mean(encoder, run, sense) if settings.centred else None
        return memory_bridge(found, settings, picture_mean=mean)
    if sense == "sound" and settings.name == "mean_shift":
        sound, text = load_sound_means(run)
        return bridges.MeanShift(picture_mean=sound, text_mean=text)
    statistics = statistics_of(encoder, run)
    if settings.name == "centre":
        return bridges.Centre(statistics.image_mean)
    return bridges.MeanShift(picture_mean=statistics.image_mean, text_mean=statistics.text_mean)


def memory_bridge(
    memory: Memory, settings: BridgeSettings, *, picture_mean: Tensor | None = None
) -> bridges.Memory:
    """Build the bridge over a memory.

    Args:
        memory: its rows.
        settings: of the bridge.
        picture_mean: (F,), of a centred one.

    Raises:
        RunError: a centred one without the mean.
        ModelConfigError, BridgeError: see `bridges.Memory`.
    """
    if settings.centred != (picture_mean is not None):
        has = "no mean picture" if picture_mean is None else "a mean picture"
        raise RunError(f"{has} was given for a memory with centred={settings.centred}")
    vectors = memory.vectors.to(getattr(torch, settings.dtype))
    return bridges.Memory(
        vectors,
        temperature=settings.temperature,
        top_k=settings.top_k,
        picture_mean=picture_mean,
    )


def make_text_bridge(settings: BridgeSettings, *, encoder: TextEncoder, run: Path) -> nn.Module:
    """Build what stories pass: nothing, unless the model was trained on centred text.

    Errors as `make_bridge`.
    """
    if settings.name != "centre":
        return bridges.Identity()
    return bridges.Centre(statistics_of(encoder, run).text_mean)


SOUND_MEANS_FILE = "sound_means.safetensors"


def save_sound_means(run: Path, *, sound: Tensor, text: Tensor) -> None:
    """Write the means of unit vectors of sounds, and of texts about sounds, into a run's folder."""
    means = {"sound_mean": sound.float().contiguous(), "text_mean": text.float().contiguous()}
    write_atomic(run / SOUND_MEANS_FILE, save(means))


def load_sound_means(run: Path) -> tuple[Tensor, Tensor]:
    """Read what `save_sound_means` wrote: the mean sound, and the mean text about sounds.

    Raises:
        RunError: it is not there.
    """
    path = run / SOUND_MEANS_FILE
    if not path.is_file():
        raise RunError(
            f"{run} moves sounds by their mean, but has no {SOUND_MEANS_FILE}",
            hint="Copy the file with the run, or make the run again with its recipe.",
        )
    found = load_file(path)
    return found["sound_mean"], found["text_mean"]


def _seen_mean(encoder: TextEncoder, run: Path, sense: str) -> Tensor:
    """Return the mean of what crosses: of pictures by the encoder, of sounds by the run."""
    if sense == "sound":
        return load_sound_means(run)[0]
    return statistics_of(encoder, run).image_mean


def statistics_of(encoder: TextEncoder, what: Path | str) -> EncoderStatistics:
    """Return the stored means of an encoder's towers.

    Args:
        encoder: which.
        what: what needs them, for the message.

    Raises:
        RunError: it has none.
    """
    if encoder.statistics is None:
        raise RunError(
            f"{what} needs the means of both towers, but the encoder {encoder.name} has no stored "
            f"means",
            hint="Cross by the memory as published (textreel memory use RUN FILE, without "
            "--centred), or train with another bridge.",
        )
    return encoder.statistics
