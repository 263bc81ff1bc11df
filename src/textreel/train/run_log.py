"""`log.jsonl`: one line per report, appended whole; a resumed run forgets what it will redo."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class RunLog:
    """The log of one run. Each line is a JSON object with `step`, the updates made so far."""

    def __init__(self, path: Path, *, step: int) -> None:
        """Open the log of a run that goes on after `step` updates.

        Lines about later steps, and a last line torn by a kill, are cut off.

        Args:
            path: of the file; made where it is missing.
            step: -1 for a run from the beginning.
        """
        self._path = path
        kept = 0
        if path.exists():
            data = path.read_bytes()
            for end, line in _whole_lines(data):
                if line["step"] > step:
                    break
                kept = end
            if kept < len(data):
                os.truncate(path, kept)

    def append(self, line: Mapping[str, Any]) -> None:
        """Write one line in a single call, so that readers never see half of it."""
        data = json.dumps(dict(line)).encode() + b"\n"
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, data)
        finally:
            os.close(handle)

    def flush(self) -> None:
        """Wait until all lines are on the disk."""
        if self._path.exists():
            with self._path.open("rb") as file:
                os.fsync(file.fileno())

    def lines(self) -> list[dict[str, Any]]:
        """Return all lines."""
        if not self._path.exists():
            return []
        return [line for _, line in _whole_lines(self._path.read_bytes())]


def _whole_lines(data: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (end, object) of each line that ends in a newline."""
    end = 0
    for raw in data.splitlines(keepends=True):
        if raw.endswith(b"\n"):
            end += len(raw)
            yield end, json.loads(raw)
