"""Options of the form NAME=VALUE, given any number of times."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from textreel.cli.errors import OptionError

Value = TypeVar("Value")


def read_pairs(
    given: Sequence[str] | None, *, option: str, kind: Callable[[str], Value]
) -> dict[str, Value]:
    """Return names and values in the order given.

    Args:
        given: texts such as `longalpaca=5000`.
        option: the option's name, for messages.
        kind: makes a value of its text; its ValueError says that it is none.

    Raises:
        OptionError: no `=`, a name twice, or a value that is none.
    """
    pairs: dict[str, Value] = {}
    for text in given or ():
        name, mark, value = text.partition("=")
        if not mark or not name or not value:
            raise OptionError(f"{option} {text!r} is not of the form NAME=VALUE")
        if name in pairs:
            raise OptionError(f"{option} names {name!r} twice")
        try:
            pairs[name] = kind(value)
        except ValueError as error:
            raise OptionError(
                f"{option} {text!r} needs a value of kind {kind.__name__.strip('_')}"
            ) from error
    return pairs
