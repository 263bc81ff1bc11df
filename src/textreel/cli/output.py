"""What every command shares: results to stdout, everything else to stderr."""

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from textreel.cli.errors import error_object, exit_code_of, printable

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
"""The `--json` of every command that reports."""


def to_json(value: object) -> object:
    """Return `value` (dataclasses, paths, containers) as plain JSON values.

    A field of a dataclass whose metadata says `json: False` is left out.

    Raises:
        TypeError: something in `value` has no JSON form.
    """
    if is_dataclass(value) and not isinstance(value, type):
        kept = (field for field in fields(value) if field.metadata.get("json", True))
        return {field.name: to_json(getattr(value, field.name)) for field in kept}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"no JSON form for a {type(value).__name__}: {value!r}")


def emit(result: object, *, as_json: bool, text: str) -> None:
    """Write a command's result to stdout, as JSON or as text for people."""
    print(printable(json.dumps(to_json(result), ensure_ascii=False) if as_json else text))


def emit_failed(
    result: dict[str, object], error: Exception, *, as_json: bool, text: str
) -> NoReturn:
    """Write a result that is there although the command failed, and end with `error`.

    In JSON both are one object: the fields of the only error shape, and those of `result`.

    Raises:
        typer.Exit: in JSON, with the error's exit code.
        Exception: `error` itself, otherwise.
    """
    if not as_json:
        emit(result, as_json=False, text=text)
        raise error
    emit(result | error_object(error), as_json=True, text=text)
    raise typer.Exit(exit_code_of(error) or 1)


def say(message: str) -> None:
    """Tell on stderr what happens, unless -q asked for silence."""
    if logging.getLogger("textreel").getEffectiveLevel() < logging.ERROR:
        print(f"textreel: {message}", file=sys.stderr, flush=True)


def keep_stderr_plain() -> None:
    """Turn Hugging Face's own progress bars off where stderr is no terminal.

    Its libraries read the variable when they are imported, so this comes first.
    """
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


@contextmanager
def logging_to_stderr(*, verbose: int, quiet: bool) -> Iterator[None]:
    """Send the package's log to stderr: warnings, with -v info, with -vv debug, with -q errors."""
    levels = {0: logging.WARNING, 1: logging.INFO}
    logger = logging.getLogger("textreel")
    level_before = logger.level
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("textreel: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR if quiet else levels.get(verbose, logging.DEBUG))
    try:
        yield
    finally:
        logger.setLevel(level_before)
        logger.removeHandler(handler)
