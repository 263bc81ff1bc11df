"""The shipped run: `topa_tiny`, with its bridge chosen on validation scenes."""

from dataclasses import replace
from pathlib import Path

from textreel.recipes.alignment import align
from textreel.recipes.demo import validation_exam, world_memory
from textreel.recipes.demo_files import save_recipe_run
from textreel.recipes.demo_result import DemoSettings
from textreel.recipes.demo_systems import choose_bridges, make_bridges
from textreel.recipes.prepare import (
    build_data,
    build_learner,
    encode_data,
    open_encoder,
    read_data,
    started,
)
from textreel.recipes.recipe import AlignRecipe
from textreel.recipes.topa import topa_tiny

EMBEDDED_DECODER, EMBEDDED_TOWERS = "embedded:tiny/decoder", "embedded:tiny/towers"
"""What the run calls its models: it is shipped beside them."""


def shipped_recipe(out: Path) -> AlignRecipe:
    """Return `topa_tiny` with a seed of its own, on the models in `out`.

    Its arithmetic is named, not measured: a rebuild on the same kind of machine has the same bits.
    """
    recipe = topa_tiny()
    return replace(
        recipe,
        decoder=str(out / "decoder"),
        encoder=str(out / "towers"),
        seed=1000,
        train=replace(recipe.train, precision="bf16", attention="eager"),
    )


def build_run(out: Path, *, seed: int = 0) -> None:
    """Align the models in `out` and write `out/run`; safe to kill and to call again.

    Args:
        out: holds `towers` and `decoder`.
        seed: added to the recipe's own.
    """
    recipe = shipped_recipe(out)
    recipe = replace(recipe, seed=recipe.seed + seed)
    encoder = open_encoder(recipe)
    videos = read_data(recipe)
    features = encode_data(recipe, videos, encoder, out / "work" / "features")
    learner = build_learner(recipe, encoder)
    data = build_data(recipe, videos, features, learner.collator)
    data = started(recipe, data, learner, videos, features)
    align(learner.model, data, recipe.train, out / "work" / "run")
    settings = DemoSettings(seed=seed + 1000)
    validation = validation_exam(settings, encoder, recipe.num_frames)
    memory = world_memory(settings, encoder)
    chosen, _ = choose_bridges(learner, validation, make_bridges(encoder, memory.vectors))
    shipped = replace(recipe, decoder=EMBEDDED_DECODER, encoder=EMBEDDED_TOWERS)
    learner.model.config = replace(learner.model.config, decoder=EMBEDDED_DECODER)
    save_recipe_run(
        out / "run",
        learner.model,
        shipped,
        bridge=chosen.settings,
        memory=memory,
    )
