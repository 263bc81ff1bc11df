"""A fine-tuning's folder keeps its recipe from the first step on: going on names what has changed.

Weights depend on all of a recipe but its limits, its names and the paths of what it reads; the
contents of data and model are compared by the training itself.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from textreel.data.files import write_atomic
from textreel.recipes.frame_recipe import FrameRecipe, is_frame_recipe
from textreel.recipes.recipe import RecipeError
from textreel.recipes.recipe_values import read_recipe_file

RECIPE_FILE = "recipe.json"
MAY_DIFFER = (
    *("name", "knows", "model", "data", "media"),
    *("max_bad", "max_long", "max_tokens", "train"),
)
"""Fields that may change while a run is under way, or are compared elsewhere."""


def keep_recipe(recipe: FrameRecipe, out: Path) -> None:
    """Write the recipe into the folder of a run whose training begins; one that is there stays."""
    if not (out / RECIPE_FILE).is_file():
        write_atomic(out / RECIPE_FILE, json.dumps(recipe.to_json(), indent=2) + "\n")


def check_recipe(recipe: FrameRecipe, out: Path) -> None:
    """Compare the recipe with the one that the folder's training began with, if it has begun.

    Raises:
        RecipeError: the run was begun with other settings (names each, with both values), or is of
            another kind of recipe, or its recipe cannot be read.
    """
    path = out / RECIPE_FILE
    if not path.is_file():
        return
    now = json.loads(json.dumps(recipe.to_json()))
    found = read_recipe_file(path)
    if not is_frame_recipe(found):
        raise RecipeError(
            f"{out} holds the run of a recipe of another kind ({found.get('name', 'unnamed')})",
            hint="choose another folder",
        )
    changed = [
        f"{name}={json.dumps(before)}, this is {name}={json.dumps(value)}"
        for field in sorted((found.keys() | now.keys()) - set(MAY_DIFFER))
        for name, before, value in _changes(field, found.get(field), now.get(field))
    ]
    if changed:
        raise RecipeError(
            f"{out} was started with {'; '.join(changed)}",
            hint=f"choose another folder, or go on: textreel train {path} --out {out}",
        )


def _changes(name: str, before: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401
    """Yield dotted names of what differs, with both values."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted(before.keys() | now.keys()):
            yield from _changes(f"{name}.{key}", before.get(key), now.get(key))
    elif before != now:
        yield name, before, now
