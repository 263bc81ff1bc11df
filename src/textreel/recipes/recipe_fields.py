"""Which fields a value of a recipe has: what to tell whoever gave a plain value in its place."""

import json
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, get_args, get_type_hints


def fields_at(recipe: type, place: Sequence[str | int]) -> tuple[Field[Any], ...]:
    """Return the fields of the dataclass at a place in a recipe; none where it is no dataclass.

    Args:
        recipe: the recipe's class.
        place: names of fields, from the recipe inwards, such as `("tuning", "lora")`.
    """
    kind: Any = recipe
    for name in place:
        kind = get_type_hints(kind).get(str(name)) if is_dataclass(kind) else None
        inner = [one for one in (kind, *get_args(kind)) if is_dataclass(one)]
        if len(inner) != 1:
            return ()
        kind = inner[0]
    return fields(kind) if is_dataclass(kind) else ()


def as_setting(place: Sequence[str | int], known: Sequence[Field[Any]]) -> str:
    """Return a setting of a whole value, with one of its fields, as a shell takes it."""
    plain = [field for field in known if isinstance(field.default, int | float | str)]
    shown = plain[0] if plain else known[0]
    value = "..." if shown.default is MISSING or not plain else shown.default
    path = ".".join(map(str, place))
    return f"--set '{path}={json.dumps({shown.name: value})}'"
