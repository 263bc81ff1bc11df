"""Finding a recipe or a study of two senses by its name, or a recipe in a run's folder."""

import json
from collections.abc import Sequence
from pathlib import Path

from textreel.recipes.recipe_values import read_as, with_settings
from textreel.recipes.senses_recipe import SensesRecipe
from textreel.recipes.senses_study import SENSES_STUDIES, SensesStudy
from textreel.recipes.video_llama import SENSES_RECIPES


def find_senses_recipe(name: str, *, settings: Sequence[str] = ()) -> SensesRecipe | None:
    """Return a recipe of two senses with settings applied; None where it is of another kind.

    Args:
        name: key of `SENSES_RECIPES`, or the path of a run's `recipe.json`.
        settings: such as `stages.vl1.train.steps=50`.

    Raises:
        RecipeError: a setting that does not fit, or a file whose fields are not those of one.
    """
    if name in SENSES_RECIPES:
        return with_settings(SENSES_RECIPES[name](), list(settings))
    path = Path(name)
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None  # whoever looks for other kinds says so
    if not isinstance(values, dict) or "stages" not in values:
        return None
    return with_settings(read_as(SensesRecipe, values), list(settings))


def find_senses_study(name: str, *, settings: Sequence[str] = ()) -> SensesStudy | None:
    """Return a study of two senses by name with settings applied; None where there is none.

    Raises:
        RecipeError: a setting that does not fit.
    """
    if name not in SENSES_STUDIES:
        return None
    return with_settings(SENSES_STUDIES[name](), list(settings))
