"""Small pieces of text that several commands write."""

from collections.abc import Mapping, Sequence


def count_all(counts: Mapping[str, int]) -> str:
    """Return counts by name as one line.

    >>> count_all({"TruncatedError": 2, "EmptyFileError": 1})
    '2 TruncatedError, 1 EmptyFileError'
    """
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def at(times_s: Sequence[float], what: str) -> str:
    """Say how many things were looked at or heard, and when."""
    if not times_s:
        return "nothing"
    return f"{len(times_s)} {what}, at {' '.join(f'{time_s:.2f}' for time_s in times_s)} s"
