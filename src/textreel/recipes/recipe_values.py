"""Recipes of any kind from JSON values, from a run's `recipe.json` and from `--set`."""

import json
from dataclasses import asdict, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from textreel.data.files import json_or_text
from textreel.recipes.recipe import AlignRecipe, RecipeError
from textreel.recipes.recipe_fields import as_setting, fields_at


class Recipe(Protocol):
    """A frozen dataclass of JSON values."""

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values."""


RecipeT = TypeVar("RecipeT", bound=Recipe)


def read_recipe(values: dict[str, Any]) -> AlignRecipe:
    """Build an alignment's recipe from JSON values; see `read_as`."""
    return read_as(AlignRecipe, values)


def read_recipe_file(path: Path) -> dict[str, Any]:
    """Read the JSON values of a recipe of any kind.

    Raises:
        RecipeError: no JSON, or no object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{path} is not JSON: {error}", hint="get the file again, or choose another folder"
        ) from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path} holds no recipe", hint="a run's recipe.json holds an object")
    return values


def read_as(kind: type[RecipeT], values: dict[str, Any]) -> RecipeT:
    """Build a recipe of one kind from JSON values.

    Raises:
        RecipeError: a field is missing, unknown or of the wrong kind; the message names it.
    """
    try:
        recipe = TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"{part}: " for part in first["loc"])
        known = fields_at(kind, first["loc"]) if first["type"] == "dataclass_type" else ()
        if first["loc"] and known:
            raise RecipeError(
                f"recipe: {place}{first['input']!r} is no object with fields: "
                f"{', '.join(field.name for field in known)}",
                hint=f"such as {as_setting(first['loc'], known)}",
            ) from error
        cause = first.get("ctx", {}).get("error")
        raise RecipeError(
            f"recipe: {place}{cause or first['msg']}", hint=getattr(cause, "hint", "")
        ) from error
    _refuse_unknown(values, _fields(recipe), place="")
    return recipe


def _refuse_unknown(values: dict[str, Any], known: dict[str, Any], *, place: str) -> None:
    for name, value in values.items():
        if name not in known:
            raise RecipeError(
                f"recipe: there is no field '{place}{name}'", hint=_nearest(name, list(known))
            )
        if isinstance(value, dict):
            _refuse_unknown(value, known[name], place=f"{place}{name}.")


def with_settings(recipe: RecipeT, settings: list[str]) -> RecipeT:
    """Return the recipe with `stage.field=value` settings applied.

    Args:
        recipe: what to change.
        settings: such as `train.steps=50`; values are JSON, or text where they are not.

    Raises:
        RecipeError: not of that form, or a field that does not exist; the nearest one is named.
    """
    values = _fields(recipe)
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise RecipeError(f"--set {setting}: not of the form field=value")
        _put(values, path.strip(), json_or_text(text), setting)
    return read_as(type(recipe), values)


def _fields(recipe: Recipe) -> dict[str, Any]:
    """Return every field of a recipe, those that `to_json` leaves unsaid too."""
    assert is_dataclass(recipe) and not isinstance(recipe, type)
    return asdict(recipe)


def _put(values: dict[str, Any], path: str, value: object, setting: str) -> None:
    *parents, last = path.split(".")
    here: Any = values
    for name in parents:
        here = here[_field(here, name, setting)]
    if here is None:
        raise RecipeError(
            f"--set {setting}: {'.'.join(parents)} is null, and has no field {last!r} yet",
            hint=f"set all of it at once: --set '{'.'.join(parents)}={{\"{last}\": ...}}'",
        )
    here[_field(here, last, setting)] = value


def _field(values: object, name: str, setting: str) -> str:
    known = list(values) if isinstance(values, dict) else []
    if name in known:
        return name
    raise RecipeError(f"--set {setting}: there is no field {name!r}", hint=_nearest(name, known))


def _nearest(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are: {', '.join(known)}" if known else "it is a plain value, without fields"
