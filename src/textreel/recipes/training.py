"""`run_recipe`: textual videos in, a run that answers out."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from textreel.models.batch import Features
from textreel.recipes.alignment import align
from textreel.recipes.demo_files import save_recipe_run
from textreel.recipes.prepare import (
    build_data,
    build_learner,
    encode_data,
    open_encoder,
    read_data,
    started,
)
from textreel.recipes.recipe import AlignRecipe, RecipeError, read_recipe, with_settings
from textreel.recipes.topa import RECIPES
from textreel.serve.run_files import BridgeSettings
from textreel.train.contracts import Progress
from textreel.train.result import TrainResult

Show = Callable[[str, int, int, str], None]


def find_recipe(name: str, *, settings: Sequence[str] = ()) -> AlignRecipe:
    """Return a recipe by name, or from a run's recipe.json, with settings applied.

    Raises:
        RecipeError: neither a recipe nor a file of one, or a setting that does not fit.
    """
    if name in RECIPES:
        return with_settings(RECIPES[name](), list(settings))
    path = Path(name)
    if not path.is_file():
        raise RecipeError(
            f"there is no recipe {name!r}",
            hint=f"one of {', '.join(RECIPES)}, or the recipe.json of a run",
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not JSON: {error}") from error
    return with_settings(read_recipe(values), list(settings))


def run_recipe(
    recipe: AlignRecipe,
    out: Path,
    *,
    show: Show = lambda *_: None,
    inexact: bool = False,
) -> TrainResult:
    """Align a decoder as a recipe says, and write a run; safe to kill and to call again.

    The run crosses no bridge: `textreel demo` shows how one is chosen.

    Args:
        recipe: everything.
        out: the run's folder.
        show: told how far each phase is.
        inexact: go on although other last bits must be expected.
    """
    encoder = open_encoder(recipe)
    show("read", 0, 1, "")
    videos = read_data(recipe)
    show("read", 1, 1, f"{len(videos)} textual videos")
    show("encode", 0, 1, "")
    features: list[Features] = encode_data(recipe, videos, encoder, out / "features")
    show("encode", 1, 1, f"{sum(len(f.values) for f in features)} text frames")
    learner = build_learner(recipe, encoder)
    data = build_data(recipe, videos, features, learner.collator)
    data = started(recipe, data, learner, videos, features)

    def report(progress: Progress) -> None:
        note = f"loss {progress.loss:.3f}" if progress.step else ""
        show("align", progress.step, progress.steps, note)

    config = replace(recipe.train, seed=recipe.train.seed or recipe.seed)
    result = align(learner.model, data, config, out, progress=report, inexact=inexact)
    save_recipe_run(out, learner.model, recipe, bridge=BridgeSettings(), memory=None)
    return result
