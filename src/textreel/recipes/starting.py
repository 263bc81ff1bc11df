"""Where a finetune begins: the trained parts of an aligned run, put into a new model."""

from dataclasses import replace
from pathlib import Path

from textreel.models.checkpoint import load_tensors, read_config
from textreel.models.config import TrackLMConfig
from textreel.models.track_lm import TrackLM
from textreel.recipes.recipe import RecipeError
from textreel.serve.run_files import find_run

_SHAPES = ("connector", "adapter", "gated", "lora", "encoder_revision", "decoder_weights")


def start_from(run: str | Path, model: TrackLM) -> None:
    """Give `model` the trained parts of an aligned run.

    Args:
        run: its folder, or `tiny` for the one in the package.
        model: built by the finetune's recipe.

    Raises:
        RunError: no such run.
        RecipeError: the run is of other shapes, or stands on another encoder or decoder.
        CheckpointError: its files are damaged.
    """
    folder = find_run(run)
    theirs, ours = _comparable(read_config(folder)), _comparable(model.config)
    for name in _SHAPES:
        if getattr(theirs, name) != getattr(ours, name):
            raise RecipeError(
                f"start={run}: its {name} is {getattr(theirs, name)}, but the recipe's is "
                f"{getattr(ours, name)}",
                hint="finetune with the settings that the run was aligned with",
            )
    load_tensors(folder, model)


def _comparable(config: TrackLMConfig) -> TrackLMConfig:
    """Leave out shapes of adapters that are not in use."""
    plain = TrackLMConfig(decoder="", connector=config.connector)
    if config.adapter != "lora":
        config = replace(config, lora=plain.lora)
    return config if config.adapter == "gated" else replace(config, gated=plain.gated)
