"""Errors of this room: features that are missing, of another encoder, or damaged."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from textreel.data.errors import HintedError


class MissingFeaturesError(HintedError, LookupError):
    """Some clips have no features in the store. Nothing is skipped or replaced."""

    @classmethod
    def of(cls, missing: Sequence[str], *, wanted: int, store: Path) -> "MissingFeaturesError":
        """Build the error for `missing` (at least one) of `wanted` ids."""
        return cls(
            f"{len(missing)} of {wanted} clips have no features in {store} (first: {missing[0]!r})",
            hint=f"run `textreel encode run` with `--out {store}` to add them, or leave them out "
            "of the data on purpose",
        )


class FeatureMismatchError(HintedError, ValueError):
    """Features were made by another encoder, or of other frames, than a run wants."""

    exit_code: ClassVar[int] = 2


class FeatureStoreError(HintedError, ValueError):
    """A folder is no feature store, or a part of one is damaged or missing."""


class FeatureImportError(HintedError, ValueError):
    """Feature files of another project that cannot be imported as they are, or as asked."""

    exit_code: ClassVar[int] = 2


class UnsafePickleError(FeatureImportError):
    """A pickle asks for more than arrays and plain containers; nothing of it was run."""


class BadEntryError(HintedError, ValueError):
    """One clip's features cannot be used.

    Attributes:
        code: one or two words that name the kind of fault, for the quarantine.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message, hint="mend it, or leave it out")
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return _bad_entry, (str(self), self.code)


def _bad_entry(message: str, code: str) -> BadEntryError:
    return BadEntryError(message, code=code)


class TowerError(HintedError, ValueError):
    """An encoder has no tower of the kind that is wanted."""

    exit_code: ClassVar[int] = 2
