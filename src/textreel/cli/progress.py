"""Progress of long commands on stderr: bars on a terminal, else plain lines; with -q nothing."""

import logging
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

LINE_EVERY_S = 10.0
"""How often a phase that goes on gets another line where there is no terminal."""


class Display:
    """Context that shows the phases of a long command.

    `update` is the callback that recipes take: the phase's name, how much of it is done, how much
    there is, and a note such as `accuracy .43`.
    """

    def __init__(
        self, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._quiet = logging.getLogger("textreel").getEffectiveLevel() >= logging.ERROR
        self._bars: Progress | None = None
        self._tasks: dict[str, int] = {}
        self._line_due_s: dict[str, float] = {}

    def __enter__(self) -> "Display":
        console = Console(file=self._stream)
        if console.is_terminal and not self._quiet:
            columns = (
                TextColumn("{task.description:<12}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self._bars = Progress(*columns, console=console)
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def update(self, phase: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` parts of `phase` are finished."""
        if self._quiet:
            return
        if self._bars is not None:
            self._update_bar(self._bars, phase, done, total, note)
        elif done >= total or self._clock() >= self._line_due_s.get(phase, 0.0):
            self._line_due_s[phase] = self._clock() + LINE_EVERY_S
            said = f"textreel: {phase} {done}/{total} {note}".rstrip()
            print(said, file=self._stream, flush=True)

    def _update_bar(self, bars: Progress, phase: str, done: int, total: int, note: str) -> None:
        if phase not in self._tasks:
            self._tasks[phase] = bars.add_task(phase, total=total, note=note)
        task = bars.tasks[self._tasks[phase]]
        note = note or task.fields["note"]
        bars.update(task.id, completed=done, total=total, note=note)
