"""Small pieces of text that several commands write."""

from collections.abc import Mapping


def count_all(counts: Mapping[str, int]) -> str:
    """Return counts by name as one line.

    >>> count_all({"TruncatedError": 2, "EmptyFileError": 1})
    '2 TruncatedError, 1 EmptyFileError'
    """
    return ", ".join(f"{count} {name}" for name, count in counts.items())
