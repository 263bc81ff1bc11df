"""A saved model: `config.json` and `model.safetensors`, trained tensors only.

The decoder is not copied: the config says where it is and what its weight files hash to. Every
tensor that should be there must be, and none may be left over.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import Field, asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from textreel.models import decoder as decoders
from textreel.models.adapters import GatedConfig, LoraSettings
from textreel.models.config import TrackLMConfig
from textreel.models.connectors import ConnectorConfig
from textreel.models.errors import CheckpointError
from textreel.models.published import Published

FORMAT = 1
TRACK_LM = "textreel-track-lm"
CONFIG_NAME, WEIGHTS_NAME = "config.json", "model.safetensors"


class ModelConfig(Protocol):
    """What every config of a saved model says about its decoder."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def decoder(self) -> str:
        """Where it is."""

    @property
    def decoder_weights(self) -> str:
        """What its weight files hash to."""


def save(
    directory: str | Path,
    *,
    config: ModelConfig,
    tensors: dict[str, Tensor],
    kind: str = TRACK_LM,
) -> None:
    """Write a model's config and trained tensors, each file atomically.

    Args:
        directory: made if needed; files in it are replaced.
        config: its decoder, if an existing directory, is written relative to `directory`, and its
            weight fingerprint is filled in where it is missing.
        tensors: trained tensors by name.
        kind: of model, as its config names it.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    weights = config.decoder_weights or decoders.weight_fingerprint(config.decoder)
    where = config.decoder
    if Path(where).is_dir():
        where = os.path.relpath(Path(where).resolve(), directory.resolve()).replace(os.sep, "/")
    fields = asdict(replace(config, decoder=where, decoder_weights=weights))
    header = {
        "format": FORMAT,
        "written_by": f"textreel {version('textreel')}",
        "model_type": kind,
    }
    with tempfile.TemporaryDirectory(dir=directory, prefix=".saving-") as scratch:
        contiguous = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
        save_file(contiguous, Path(scratch) / WEIGHTS_NAME, metadata={"format": "pt"})
        text = json.dumps(header | fields, indent=2) + "\n"
        (Path(scratch) / CONFIG_NAME).write_text(text, encoding="utf-8")
        for name in (WEIGHTS_NAME, CONFIG_NAME):
            (Path(scratch) / name).replace(directory / name)


def read_config(directory: str | Path) -> TrackLMConfig:
    """Read a saved `TrackLM`'s config; see `read_header` for errors."""
    return _config(read_header(directory, kind=TRACK_LM), Path(directory) / CONFIG_NAME)


def read_header(directory: str | Path, *, kind: str) -> dict[str, Any]:
    """Return the fields of a saved model's config.

    Raises:
        CheckpointError: there is none, it is of another kind or a newer format, or its fields are
            not the known ones.
    """
    path = Path(directory) / CONFIG_NAME
    if not path.is_file():
        raise CheckpointError(
            f"{directory}: no {CONFIG_NAME}, so this is not a saved model",
            hint="give the folder of a run",
        )
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if (found := values.pop("model_type", None)) != kind:
        raise CheckpointError(f"{path}: a model of kind {found!r}, not {kind!r}")
    if (number := values.pop("format", 0)) > FORMAT:
        raise CheckpointError(
            f"{path}: format {number}, but this version reads up to {FORMAT}",
            hint="install the textreel version named in written_by",
        )
    values.pop("written_by", None)
    return values


def _config(values: dict[str, Any], path: Path) -> TrackLMConfig:
    try:
        values["lora"]["targets"] = tuple(values["lora"]["targets"])
        values["connector"] = ConnectorConfig(**values["connector"])
        values["gated"] = GatedConfig(**values["gated"])
        values["lora"] = LoraSettings(**values["lora"])
        if values.get("published") is not None:
            values["published"] = Published(**values["published"])
        return TrackLMConfig(**values)
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: fields are not those of TrackLMConfig ({error})") from error


def load_decoder(config: ModelConfig, *, dtype: torch.dtype) -> PreTrainedModel:
    """Load the decoder of a saved model and check that its weights are the right ones.

    Args:
        config: the saved model's.
        dtype: of the decoder's weights.

    Raises:
        CheckpointError: the weights are others than those the model was trained on.
        DecoderNotFoundError: see `decoder.load_decoder`.
    """
    found = decoders.weight_fingerprint(config.decoder)
    if config.decoder_weights and found and found != config.decoder_weights:
        raise CheckpointError(
            f"decoder {config.decoder!r} has weights {found}, but the model was trained on "
            f"{config.decoder_weights}",
            hint="give the decoder it was trained on",
        )
    return decoders.load_decoder(config.decoder, dtype=dtype)


def load_tensors(directory: str | Path, model: nn.Module) -> None:
    """Read trained tensors into the parameters of `model` that learn; errors as `load_named`."""
    load_named(directory, {name: p for name, p in model.named_parameters() if p.requires_grad})


def load_named(directory: str | Path, wanted: Mapping[str, nn.Parameter]) -> None:
    """Read a saved model's tensors into parameters.

    Args:
        directory: what `save` wrote.
        wanted: the parameters, by the tensors' names.

    Raises:
        CheckpointError: there is no file, or tensors are missing, left over or of another shape.
    """
    path = Path(directory) / WEIGHTS_NAME
    if not path.is_file():
        raise CheckpointError(
            f"{directory}: the file {WEIGHTS_NAME} is missing", hint="give the folder of a run"
        )
    found = load_file(path)
    check_tensors(found, wanted, where=str(path))
    for name, parameter in wanted.items():
        parameter.data.copy_(found[name])


def check_tensors(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, where: str) -> None:
    """Compare names and shapes of a file's tensors with a model's.

    Args:
        found: the file's.
        wanted: the model's.
        where: the file, for messages.

    Raises:
        CheckpointError: tensors are missing, left over or of another shape.
    """
    missing, surplus = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or surplus:
        raise CheckpointError(
            f"{where}: {len(missing)} tensors missing {missing[:3]}, "
            f"{len(surplus)} left over {surplus[:3]}",
            hint="the config beside it describes another model",
        )
    for name, tensor in wanted.items():
        if tensor.shape != found[name].shape:
            raise CheckpointError(
                f"{where}: {name} is {tuple(found[name].shape)}, but the model takes "
                f"{tuple(tensor.shape)}",
                hint="it was trained on another decoder",
            )
