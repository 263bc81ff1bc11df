"""`textreel convert topa`: a checkpoint of TOPA's released code becomes a run.

    checkpoint_N.pth + Hugging Face decoder [+ memory.pkl]  ->  run folder

The run repeats the faults that the checkpoint was trained with (`models.published.Published`). The
decoder is not read, only its config, so that converting needs little memory whatever its size.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from textreel.data.files import write_atomic
from textreel.data.templates import TEMPLATES
from textreel.features.memory import save_memory
from textreel.features.safe_pickle import load_pickle
from textreel.media.sampling import SamplingSpec
from textreel.models import bridges
from textreel.models import checkpoint as checkpoints
from textreel.models.adapters import GatedConfig
from textreel.models.config import TrackLMConfig
from textreel.models.connectors import ConnectorConfig
from textreel.models.decoder import empty_decoder, locate, weight_fingerprint
from textreel.models.encoder_files import known_revision
from textreel.models.published import Published
from textreel.models.topa_checkpoint import TopaCheckpoint, read_topa_checkpoint
from textreel.models.track_lm import TrackLM
from textreel.recipes.recipe import RecipeError
from textreel.serve.run_files import MEMORY_FILE, BridgeSettings, RunSettings, save_settings

ENCODER = "openai/clip-vit-large-patch14"
"""Whose joint-space vectors the released models read."""
MEMORY_ROWS = 1_000_000
"""So many rows of the memory file are used (llama/model.py)."""
LLAMA3_THETA = 10_000.0
"""Base of the rotary positions that the release's training script gives every decoder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TopaSource:
    """What to convert.

    Attributes:
        checkpoint: `checkpoint_N.pth`.
        llm: the decoder it was trained on: a Hugging Face directory or id.
        encoder: whose features it reads.
        memory: the pickled memory, for a run that crosses by it; None: no bridge.
        rope_theta: base of the rotary positions in the checkpoint's run; None: the decoder's own.
    """

    checkpoint: Path
    llm: str
    encoder: str = ENCODER
    memory: Path | None = None
    rope_theta: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TopaConversion:
    """What was converted; JSON values only.

    Attributes:
        run: the folder.
        trained_parameters: numbers in it.
        num_layers: layers that are run, all of them with prompts.
        skipped_layers: earlier ones, which the published code does not run.
        max_frames: frames of a video; shorter ones are filled up.
        epoch: of the checkpoint.
        encoder: whose features it reads.
        encoder_revision: its revision on this machine; empty: not known here.
        memory_rows: rows of the memory; 0: no bridge.
        published: the faults that the run repeats.
        notes: what to know, one sentence each.
    """

    run: str
    trained_parameters: int
    num_layers: int
    skipped_layers: int
    max_frames: int
    epoch: int
    encoder: str
    encoder_revision: str
    memory_rows: int
    published: dict[str, Any]
    notes: tuple[str, ...] = field(default_factory=tuple)


def convert_topa(source: TopaSource, out: Path) -> TopaConversion:
    """Write a run that computes what the published code computes with this checkpoint.

    Args:
        source: the files.
        out: the run's folder; made if needed.

    Raises:
        CheckpointError: no checkpoint of that code, or one of another decoder.
        DecoderNotFoundError, DecoderUnsupportedError: see `models.decoder.empty_decoder`.
        BridgeError: rows of the memory are not of unit length.
        FeatureImportError, UnsafePickleError: the memory cannot be read.
        RecipeError: the memory is no matrix of the features' width.
    """
    found = read_topa_checkpoint(source.checkpoint)
    published = Published(rope_theta=source.rope_theta)
    config = _config(found, source, published)
    model = TrackLM(empty_decoder(source.llm), config)
    checkpoints.check_tensors(
        found.tensors, model.trainable_state_dict(), where=str(source.checkpoint)
    )
    rows = 0
    if source.memory is not None:
        rows = _convert_memory(source, out, width=found.feature_dim, config=config)
    checkpoints.save(out, config=config, tensors=dict(found.tensors))
    notes = _notes(found, source, config)
    result = TopaConversion(
        run=str(out),
        trained_parameters=sum(tensor.numel() for tensor in found.tensors.values()),
        num_layers=found.num_layers,
        skipped_layers=found.skipped_layers,
        max_frames=found.max_frames,
        epoch=found.epoch,
        encoder=source.encoder,
        encoder_revision=config.encoder_revision,
        memory_rows=rows,
        published=asdict(published),
        notes=notes,
    )
    write_atomic(out / "README.md", _card(result, source))
    save_settings(
        out,
        RunSettings(
            encoder=source.encoder,
            template=TEMPLATES["topa-llama3" if found.llama3 else "topa"],
            sampling=SamplingSpec(num_frames=found.max_frames, policy="topa_floor"),
            bridge=BridgeSettings(name="memory" if rows else "none"),
        ),
    )
    return result


def _config(found: TopaCheckpoint, source: TopaSource, published: Published) -> TrackLMConfig:
    return TrackLMConfig(
        decoder=source.llm,
        decoder_weights=weight_fingerprint(source.llm),
        encoder=source.encoder,
        encoder_revision=known_revision(locate(source.encoder)),
        connector=ConnectorConfig(feature_dim=found.feature_dim, max_frames=found.max_frames),
        adapter="gated",
        gated=GatedConfig(length=found.length, num_layers=found.num_layers),
        published=published,
    )


def _convert_memory(source: TopaSource, out: Path, *, width: int, config: TrackLMConfig) -> int:
    assert source.memory is not None
    pickled = load_pickle(source.memory)
    vectors = pickled if isinstance(pickled, torch.Tensor) else torch.as_tensor(pickled)
    if vectors.ndim != 2 or vectors.shape[1] != width:
        raise RecipeError(
            f"{source.memory}: a memory of shape {tuple(vectors.shape)}, but the checkpoint reads "
            f"vectors of width {width}",
            hint="give the memory.pkl that was released with the checkpoint",
        )
    vectors = vectors[:MEMORY_ROWS]
    bridges.Memory(vectors)  # refuses rows that are not of unit length
    save_memory(
        out / MEMORY_FILE,
        vectors,
        encoder=source.encoder,
        revision=config.encoder_revision,
        make_up=f"the first {len(vectors)} rows of {source.memory.name}, of unknown make-up",
    )
    return len(vectors)


def _notes(found: TopaCheckpoint, source: TopaSource, config: TrackLMConfig) -> tuple[str, ...]:
    notes = []
    if found.skipped_layers:
        notes.append(
            f"the first {found.skipped_layers} layers of the decoder are skipped, as in the "
            "checkpoint's own run"
        )
    if found.llama3 and source.rope_theta is None:
        notes.append(
            "a Llama-3 checkpoint: the decoder's own rope theta is kept; the release's training "
            f"script uses {LLAMA3_THETA:g}, so give --rope-theta {LLAMA3_THETA:g} for its files"
        )
    if not config.encoder_revision:
        notes.append(
            f"{source.encoder} is not on this machine, so its revision is not recorded and not "
            "checked when the run answers"
        )
    return tuple(notes)


def _card(result: TopaConversion, source: TopaSource) -> str:
    faults = "\n".join(f"- `{name}`: {value}" for name, value in result.published.items())
    notes = "\n".join(f"- {note}" for note in result.notes) or "- none"
    return (
        f"# {source.checkpoint.name}, converted\n\n"
        f"A checkpoint of TOPA's released code (epoch {result.epoch}, "
        f"{result.trained_parameters:,} trained parameters) on the decoder `{source.llm}`, reading "
        f"{result.max_frames} frames through `{result.encoder}`.\n\n"
        f"It repeats the published code's faults, because it was trained with them:\n\n{faults}\n\n"
        f"Notes:\n\n{notes}\n"
    )
