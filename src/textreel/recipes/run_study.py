"""`run_study`: train every cell of a study, look at it, and make the table; safe to kill."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from textreel.data.files import fingerprint, write_atomic
from textreel.data.journal import Journal
from textreel.models.checkpoint import load_tensors
from textreel.models.open_encoder import TextEncoder
from textreel.recipes.looking import Examiner
from textreel.recipes.prepare import build_learner, open_encoder
from textreel.recipes.recipe import AlignRecipe
from textreel.recipes.recipe_values import with_settings
from textreel.recipes.study import (
    Cell,
    Study,
    StudyReport,
    StudyRow,
    difference,
    make_row,
)
from textreel.recipes.topa_studies import STUDIES, chosen_cells, compared
from textreel.recipes.training import run_recipe

Show = Callable[[str, int, int, str], None]
JOURNAL_FILE, RESULT_FILE = "study.jsonl", "table.json"


def find_study(name: str, *, settings: Sequence[str] = ()) -> Study | None:
    """Return a study by name with settings applied, or None where there is none of that name.

    Raises:
        RecipeError: a setting that does not fit.
    """
    if name not in STUDIES:
        return None
    return with_settings(STUDIES[name](), list(settings))


def run_study(study: Study, out: Path, *, show: Show = lambda *_: None) -> StudyReport:
    """Make a study's table; a killed study goes on, another `only` or more `seeds` add to it.

    Args:
        study: everything.
        out: its folder: a run for every cell and seed, the journal and the table.
        show: told how far each phase is.

    Raises:
        RecipeError: no such table or cell.
        FingerprintError: the folder holds another study.
    """
    cells = chosen_cells(study)
    encoder = open_encoder(study.recipe)
    examiner = Examiner(study, encoder, store=out / "features")
    settled = {k: v for k, v in study.to_json().items() if k not in ("seeds", "only")}
    job = fingerprint([settled, encoder.revision])
    found: dict[tuple[str, int], dict[str, Any]] = {}
    with Journal.open(out / JOURNAL_FILE, kind="study", fingerprint=job) as journal:
        for seed in study.seeds:
            for cell in cells:
                one = _CellJob(cell, seed, out, journal, show)
                one.train()
                found[cell.name, seed] = one.look(encoder, examiner)
    report = _report(study, cells, found, questions=_questions(cells, examiner))
    write_atomic(out / RESULT_FILE, json.dumps(asdict(report), indent=2) + "\n")
    return report


@dataclass(frozen=True, slots=True, eq=False)
class _CellJob:
    """One cell of one seed: a line in the journal when it is trained, and one for every look."""

    cell: Cell
    seed: int
    out: Path
    journal: Journal
    show: Show

    @property
    def key(self) -> str:
        return f"{folder_name(self.cell.name)}-{self.seed}"

    @property
    def recipe(self) -> AlignRecipe:
        return seeded(self.cell, self.seed, self.out)

    def train(self) -> None:
        if self.key in self.journal:
            return
        note = f"{self.cell.name}, seed {self.seed}: "

        def told(phase: str, done: int, total: int, what: str) -> None:
            self.show(phase, done, total, note + what)

        store = self.out / "features" / _store_name(self.recipe)
        result = run_recipe(self.recipe, self.out / self.key, show=told, store=store)
        self.journal.record(self.key, {"loss": result.loss, "steps": result.steps})

    def look(self, encoder: TextEncoder, examiner: Examiner) -> dict[str, Any]:
        """Return what every look of the cell found; those that were killed are taken now."""
        keys = {look.name: f"{self.key}: {look.name}" for look in self.cell.looks}
        if missing := [look for look in self.cell.looks if keys[look.name] not in self.journal]:
            learner = build_learner(self.recipe, encoder)
            load_tensors(self.out / self.key, learner.model)
            for number, look in enumerate(missing):
                self.show("look", number, len(missing), f"{self.key}: {look.name}")
                found = examiner.look(learner, self.recipe, look)
                self.journal.record(keys[look.name], found)
            self.show("look", len(missing), len(missing), self.key)
        return {name: self.journal[key] for name, key in keys.items()}


def seeded(cell: Cell, seed: int, out: Path) -> AlignRecipe:
    """Return the recipe of one cell and seed, beginning where the study's own run ended."""
    recipe = replace(cell.recipe, seed=seed, train=replace(cell.recipe.train, seed=seed))
    if cell.after:
        recipe = replace(recipe, start=str(out / f"{folder_name(cell.after)}-{seed}"))
    return recipe


def folder_name(name: str) -> str:
    """Return a cell's name as a folder's.

    >>> folder_name("tuned 10%, equal steps")
    'tuned-10-equal-steps'
    """
    kept = "".join(c if c.isalnum() or c == "." else " " for c in name)
    return "-".join(kept.split())


def _store_name(recipe: AlignRecipe) -> str:
    """Name the features that cells share."""
    shared = (recipe.data, recipe.seed, recipe.seconds, recipe.encoder, recipe.kind == "align")
    of_kind = (recipe.fuse, recipe.text_frames) if recipe.kind == "align" else recipe.num_frames
    return fingerprint([shared, of_kind])


def _questions(cells: Sequence[Cell], examiner: Examiner) -> int:
    first = cells[0].looks[0]
    return len(examiner.exam(first.seconds, first.part)[1])


def _report(
    study: Study,
    cells: Sequence[Cell],
    found: dict[tuple[str, int], dict[str, Any]],
    *,
    questions: int,
) -> StudyReport:
    rows: list[StudyRow] = []
    for cell in cells:
        for look in cell.looks:
            of_seeds = [found[cell.name, seed][look.name] for seed in study.seeds]
            rows.append(make_row(cell, look, of_seeds))
    first = {row.cell: row for row in reversed(rows)}
    differences = {
        f"{one} - {other}": difference(first[one], first[other])
        for one, other in compared(study)
        if one in first and other in first
    }
    return StudyReport(
        study=study.name,
        seeds=study.seeds,
        questions=questions,
        rows=tuple(rows),
        differences=differences,
        remarks=(
            "macro accuracy over question types on scenes of the test part (or validation, where a "
            "row says so), frames drawn in memory; intervals over seeds by Student's t",
        ),
    )
