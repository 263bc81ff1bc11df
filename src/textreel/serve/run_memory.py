"""Give a finished run a memory: its answers then cross the modality gap over that."""

from dataclasses import replace
from pathlib import Path

from textreel.data.files import write_atomic
from textreel.features.memory import Memory, load_memory
from textreel.models import checkpoint
from textreel.serve.bridging import statistics_of
from textreel.serve.errors import RunError
from textreel.serve.run_files import (
    MEMORY_FILE,
    BridgeSettings,
    find_run,
    load_settings,
    save_settings,
)
from textreel.serve.track_reader import encoder_of

PUBLISHED_TEMPERATURE, CENTRED_TEMPERATURE = 0.01, 0.1
"""Of the softmax over similarities (arXiv:2405.13911, released code), and, in units of the memory's
spread, about the means: best on validation scenes over the tiny towers' own gap (over the wide gap
`topa_tiny_gap` takes .07; docs/LOG.md has both)."""


def use_memory(
    run: str | Path,
    memory: Path,
    *,
    temperature: float | None = None,
    top_k: int | None = None,
    centred: bool = False,
) -> Memory:
    """Copy a memory into a run's folder and make it the run's bridge.

    Args:
        run: folder of a finished run.
        memory: file that `textreel memory build` wrote.
        temperature: of the softmax; None: 0.01, as published, or `CENTRED_TEMPERATURE`.
        top_k: only the nearest rows; None: all.
        centred: work about the means of both modalities; the encoder must have a stored mean.

    Returns:
        The memory.

    Raises:
        RunError: no finished run, or the one in the package, which stays as it is; or `centred`,
            and the run's encoder has no stored mean.
        FormatError: no memory file.
        FingerprintError: a memory of another encoder than the run's.
    """
    folder = find_run(run)
    if Path(__file__).parents[1] in folder.resolve().parents:
        raise RunError(
            f"{run} is part of the package and stays as it is",
            hint="Copy its folder, and give the copy.",
        )
    settings = load_settings(folder)
    if temperature is None:
        temperature = CENTRED_TEMPERATURE if centred else PUBLISHED_TEMPERATURE
    bridge = BridgeSettings(name="memory", temperature=temperature, top_k=top_k, centred=centred)
    config = checkpoint.read_config(folder)
    loaded = load_memory(memory, revision=config.encoder_revision)
    if centred:
        statistics_of(encoder_of(settings, folder), folder)
    write_atomic(folder / MEMORY_FILE, memory.read_bytes())
    save_settings(folder, replace(settings, bridge=bridge))
    return loaded
