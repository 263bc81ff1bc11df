"""Overlap with the questions of benchmarks: what is trained on must not be what is measured.

A question copies a benchmark's if both are the same words (at least five), or if most of the
benchmark question's runs of three words stand in it (of at least eight words).
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from textreel.data.files import Json
from textreel.synth.check.findings import CheckError
from textreel.synth.check.words import shingles, words

FEWEST_WORDS_SAME, FEWEST_WORDS_ALIKE = 5, 8
_KEYS = ("question", "q", "query", "question_text")


class BenchmarkQuestions:
    """Questions that ours are compared with.

    Args:
        share: of a benchmark question's runs of three words, from which ours is a copy.
    """

    def __init__(self, *, share: float = 0.8) -> None:
        self.share = share
        self._exact: dict[str, str] = {}
        self._runs: dict[str, list[int]] = {}
        self._known: list[tuple[str, int]] = []

    def __len__(self) -> int:
        return len(self._exact)

    def add(self, question: str, *, source: str) -> None:
        """Add one question of a benchmark."""
        tokens = words(question)
        text = " ".join(tokens)
        if len(tokens) < FEWEST_WORDS_SAME or text in self._exact:
            return
        self._exact[text] = source
        if len(tokens) < FEWEST_WORDS_ALIKE:
            return
        runs = shingles(tokens, 3)
        for run in runs:
            self._runs.setdefault(run, []).append(len(self._known))
        self._known.append((source, len(runs)))

    def add_file(self, path: Path | str) -> int:
        """Add every question of a file: JSON, JSON lines, CSV with a `question` column, or lines.

        Returns:
            How many questions were in it.

        Raises:
            CheckError: no such file, or no question in it.
        """
        path = Path(path)
        if not path.is_file():
            raise CheckError(f"the benchmark file {path} is not there", hint="check the path")
        count = 0
        for question in _questions(path):
            self.add(question, source=path.name)
            count += 1
        if not count:
            raise CheckError(
                f"no question in the benchmark file {path}",
                hint=f"JSON or CSV with one of {', '.join(_KEYS)}, or a question a line",
            )
        return count

    def copied(self, question: str) -> str:
        """Return the benchmark that holds a question, or nothing."""
        if not self._exact:
            return ""
        tokens = words(question)
        if found := self._exact.get(" ".join(tokens)):
            return found
        shared: Counter[int] = Counter()
        for run in shingles(tokens, 3):
            shared.update(self._runs.get(run, ()))
        for number, count in shared.items():
            source, total = self._known[number]
            if count / total >= self.share:
                return source
        return ""


def _questions(path: Path) -> Iterator[str]:
    suffix = path.suffix.lower()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if suffix in {".csv", ".tsv"}:
                yield from _cells(
                    list(csv.reader(file, delimiter="\t" if suffix == ".tsv" else ","))
                )
            elif suffix == ".json":
                yield from _in(json.load(file))
            elif suffix == ".jsonl":
                for line in file:
                    yield from _in(json.loads(line)) if line.strip() else ()
            else:
                yield from (line.strip() for line in file if line.strip())
    except (ValueError, RecursionError, csv.Error) as error:
        raise CheckError(f"the benchmark file {path} cannot be read: {error}") from error


def _cells(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    header = [name.strip().lower() for name in rows[0]] if rows else []
    columns = [header.index(key) for key in _KEYS if key in header]
    for row in rows[1:] if columns else ():
        if columns[0] < len(row) and row[columns[0]].strip():
            yield row[columns[0]]


def _in(raw: Json) -> Iterator[str]:
    """Yield the texts under a key of questions, however deep."""
    if isinstance(raw, list):
        for one in raw:
            yield from _in(one)
    elif isinstance(raw, dict):
        for key, value in raw.items():
            if key.lower() in _KEYS and isinstance(value, str):
                yield value
            else:
                yield from _in(value)
