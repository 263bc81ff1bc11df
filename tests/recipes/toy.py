"""Recipes of a few steps on the embedded models: everything but the accuracy is real."""

from dataclasses import replace

from textreel.recipes.demo_result import DemoSettings
from textreel.recipes.recipe import AlignRecipe
from textreel.recipes.topa import topa_tiny


def toy_recipe(**changes: object) -> AlignRecipe:
    recipe = topa_tiny()
    train = replace(
        recipe.train,
        steps=4,
        warmup=1,
        batch_size=8,
        checkpoint_every=4,
        precision="fp32",
        attention="sdpa",
        threads=1,
        prefetch=0,
    )
    return replace(recipe, data="world:6", train=train, **changes)  # type: ignore[arg-type]


def toy_settings(*, seed: int = 0) -> DemoSettings:
    return DemoSettings(
        seed=seed,
        recipe=toy_recipe(),
        num_videos=2,
        per_kind=1,
        validation_per_kind=1,
        watch_per_kind=1,
        watches=1,
        memory_videos=4,
    )
