"""The bridge of a recipe's run: one memory file for validation, evaluation and answering.

    textreel memory build --from stories --encoder NAME --size N    ->  memory.safetensors
    textreel train RECIPE --set memory=memory.safetensors --out RUN ->  RUN/memory.safetensors

The file is copied into the run's folder, byte for byte, before training begins; everything that
the run is asked, while it trains and ever after, crosses over that copy.
"""

import logging
from pathlib import Path

from torch import nn

from textreel.data.files import content_hash, write_atomic
from textreel.features.memory import Memory, load_memory
from textreel.models.open_encoder import TextEncoder
from textreel.recipes.recipe import AlignRecipe, RecipeError
from textreel.serve.bridging import make_bridge
from textreel.serve.run_files import MEMORY_FILE, BridgeSettings

_log = logging.getLogger("textreel.recipes")


def bridge_of(recipe: AlignRecipe) -> BridgeSettings:
    """Return the bridge that the recipe's run crosses by."""
    if recipe.memory:
        return BridgeSettings(
            name="memory",
            temperature=recipe.memory_temperature,
            top_k=recipe.memory_top_k,
            centred=recipe.memory_centred,
        )
    return BridgeSettings(name="centre" if recipe.centred else "none")


def recipe_memory(recipe: AlignRecipe, encoder: TextEncoder) -> Memory | None:
    """Read the recipe's memory; None where it names none.

    Raises:
        RecipeError: no such file.
        FormatError: no memory file.
        FingerprintError: a memory of another encoder than the recipe's.
    """
    if not recipe.memory:
        return None
    path = Path(recipe.memory)
    if not path.is_file():
        raise RecipeError(
            f"memory={recipe.memory!r}: no such file",
            hint="build one with the recipe's encoder: `textreel memory build`",
        )
    return load_memory(path, revision=encoder.revision)


def keep_memory(recipe: AlignRecipe, encoder: TextEncoder, run: Path) -> Memory | None:
    """Copy the recipe's memory into the run's folder, and return it; errors as `recipe_memory`.

    Raises:
        RecipeError: the folder holds another memory.
    """
    memory = recipe_memory(recipe, encoder)
    if memory is None:
        return None
    kept, given = run / MEMORY_FILE, Path(recipe.memory)
    if "frames (" in memory.make_up and f"frames ({recipe.fuse})" not in memory.make_up:
        _log.warning(
            "memory=%s holds %s, but the recipe learns from frames (%s): they lie elsewhere; "
            "`textreel memory build --of` says what its rows are",
            recipe.memory,
            memory.make_up,
            recipe.fuse,
        )
    if not kept.exists():
        write_atomic(kept, given.read_bytes())
    if content_hash(kept) != content_hash(given):
        raise RecipeError(
            f"{kept} is another memory than memory={recipe.memory!r}: the run began with that one",
            hint="train into another folder; `textreel memory use` gives a finished run another",
        )
    return memory


def make_crossing(recipe: AlignRecipe, encoder: TextEncoder, run: Path) -> nn.Module:
    """Build the bridge of a run whose memory is kept; see `make_bridge`."""
    return make_bridge(bridge_of(recipe), encoder=encoder, run=run)
