"""The world's experiment with eyes and ears: variants of one training, looked at in several ways.

    SensesStudy  --arms-->  a recipe each, trained in a folder of its own
                 --looks--> answers to one exam, kept as rows
                 --compared--> paired differences on the same questions

A study that is killed goes on within the stage it was killed in; another `only` adds to it. Errors
are clustered by video; one seed, so nothing is said about other seeds.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from textreel.data.files import fingerprint, write_atomic
from textreel.data.journal import Journal
from textreel.evaluate.choices import paired_difference, score_system
from textreel.evaluate.rows import ChoiceRow, read_rows, write_rows
from textreel.evaluate.score import Z_95
from textreel.models.decoder import locate
from textreel.models.encoders import DualEncoder, load_encoder
from textreel.models.open_encoder import open_encoder
from textreel.recipes.run_study import folder_name
from textreel.recipes.senses_arms import COMPARED, LONG_KINDS, LONG_SECONDS, Arm, arms
from textreel.recipes.senses_exam import SensesExam
from textreel.recipes.senses_recipe import FRAMES_FOLDER, SensesRecipe
from textreel.recipes.senses_training import Show, build_senses, run_senses
from textreel.recipes.video_llama import video_llama_tiny_textonly
from textreel.synth.world.exam import draw_exam
from textreel.synth.world.questions import QUESTION_TYPES, SOUND_TYPES
from textreel.synth.world.scene import SCENE_SECONDS

JOURNAL_FILE, RESULT_FILE = "study.jsonl", "table.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class SensesStudy:
    """A table to be made; JSON values only.

    Attributes:
        name: of the study.
        recipe: what its arms are variants of.
        num_scenes: videos of the exam, at least.
        per_kind: questions of each type.
        exam_seed: of the exam.
        only: names of the arms to run; empty: all.
    """

    name: str
    recipe: SensesRecipe
    num_scenes: int = 2240
    per_kind: int = 900
    exam_seed: int = 78
    only: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the study as plain JSON values."""
        return asdict(self) | {"recipe": self.recipe.to_json()}


@dataclass(frozen=True, kw_only=True, slots=True)
class SensesRow:
    """One line of the table.

    Attributes:
        arm: the variant.
        look: how it was tested.
        by_type: accuracy of each question type that was asked.
        errors: their standard errors, clustered by video; None for a single video.
        macro: mean over the picture types, where all were asked.
        macro_error: its standard error.
    """

    arm: str
    look: str
    by_type: dict[str, float]
    errors: dict[str, float | None]
    macro: float | None = None
    macro_error: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A paired difference on the questions that both were asked.

    Attributes:
        what: which two, and on which type.
        value: the first minus the second.
        half_width: of its 95% interval; None for a single video.
    """

    what: str
    value: float
    half_width: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SensesReport:
    """A finished table.

    Attributes:
        study: its name.
        questions: of the exam.
        rows: in the table's order.
        trained_cpu_s: CPU seconds of every arm's training, captions, drawing and encoding of its
            data included, but for what an arm before it had encoded; of a killed one what the last
            process took.
        comparisons: paired differences.
        remarks: what holds for all.
    """

    study: str
    questions: int
    rows: tuple[SensesRow, ...]
    trained_cpu_s: dict[str, float] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()
    remarks: tuple[str, ...] = field(
        default=(
            "one seed; scenes of the test part, frames drawn in memory; standard errors and 95% "
            "intervals clustered by video; macro over the eight picture types",
            "differences are of questions that both were asked; steady: of scenes where nothing "
            "appears and nothing goes, so that the last frame and the mean can show colour, shape, "
            "place and count",
        )
    )


def run_senses_study(
    study: SensesStudy, out: Path, *, show: Show = lambda *_: None
) -> SensesReport:
    """Make a study's table; a killed study goes on.

    Args:
        study: everything.
        out: its folder: a run for every arm, rows, the journal and the table.
        show: told how far each phase is.

    Raises:
        RecipeError: no such arm.
        FingerprintError: the folder holds another study.
    """
    chosen = arms(study.recipe, study.only)
    encoder = _encoder(study)
    exams = {
        seconds: _exam(study, encoder, seconds, out) for seconds in (SCENE_SECONDS, LONG_SECONDS)
    }
    settled = {k: v for k, v in study.to_json().items() if k != "only"}
    job = fingerprint([settled, encoder.revision])
    with Journal.open(out / JOURNAL_FILE, kind="senses-study", fingerprint=job) as journal:
        for arm in chosen:
            _run_arm(arm, exams, out, journal, show)
        trained = {
            arm.name: journal[key]["cpu_s"]
            for arm in arms(study.recipe)
            if (key := _trained_key(arm)) in journal
        }
    found = {
        (arm.name, look.name): read_rows(rows_file(out, arm.name, look.name))
        for arm in arms(study.recipe)
        for look in arm.looks
        if rows_file(out, arm.name, look.name).is_file()
    }
    questions = len(exams[SCENE_SECONDS].items)
    report = make_report(study, found, questions=questions, trained_cpu_s=trained)
    write_atomic(out / RESULT_FILE, json.dumps(asdict(report), indent=2) + "\n")
    return report


def rows_file(out: Path, arm: str, look: str) -> Path:
    """Return where the answers of an arm under a look are."""
    return out / "rows" / f"{folder_name(arm)}--{folder_name(look)}.jsonl"


def _exam(study: SensesStudy, encoder: DualEncoder, seconds: float, out: Path) -> SensesExam:
    """Return the exam about scenes of one length; the long one is a tenth as large."""
    long = seconds != SCENE_SECONDS
    drawn = draw_exam(
        study.exam_seed,
        part="test",
        num_scenes=max(1, study.num_scenes // 10) if long else study.num_scenes,
        per_kind=max(1, study.per_kind // 10) if long else study.per_kind,
        kinds=LONG_KINDS if long else (*QUESTION_TYPES, *SOUND_TYPES),
        seconds=seconds,
    )
    store = out / "exam" / f"{seconds:g}-seconds"
    return SensesExam(drawn, clips=study.recipe.clips, eye=encoder, ear=encoder, store=store)


def _encoder(study: SensesStudy) -> DualEncoder:
    assert study.recipe.image_encoder is not None
    return load_encoder(locate(study.recipe.image_encoder.name))


def _run_arm(
    arm: Arm, exams: Mapping[float, SensesExam], out: Path, journal: Journal, show: Show
) -> None:
    keys = {look.name: f"{folder_name(arm.name)}/{folder_name(look.name)}" for look in arm.looks}
    if all(key in journal for key in keys.values()):
        return
    run = out / folder_name(arm.name)
    shows = next(iter(arm.recipe.data.values())).shows
    features = run / "features" if arm.recipe.frames else out / "features" / shows
    started_s = time.process_time()
    run_senses(arm.recipe, run, show=_named(show, arm), features=features)
    if (trained := _trained_key(arm)) not in journal:
        journal.record(trained, {"cpu_s": time.process_time() - started_s})
    learner = build_senses(arm.recipe, run)
    learner.model.load_learned(run)
    if arm.recipe.frames:
        eye = open_encoder(str(run / FRAMES_FOLDER))
        exams = {seconds: exam.seen_by(eye) for seconds, exam in exams.items()}
    for number, look in enumerate(arm.looks):
        if keys[look.name] in journal:
            continue
        show("look", number, len(arm.looks), f"{arm.name}, {look.name}")
        rows = exams[look.seconds].look(learner, look)
        write_rows(rows_file(out, arm.name, look.name), rows)
        right = sum(row.correct for row in rows)
        journal.record(keys[look.name], {"right": right, "questions": len(rows)})


def _trained_key(arm: Arm) -> str:
    return f"{folder_name(arm.name)}/trained"


def _named(show: Show, arm: Arm) -> Show:
    return lambda phase, done, total, what: show(phase, done, total, f"{arm.name}: {what}")


def make_report(
    study: SensesStudy,
    found: Mapping[tuple[str, str], Sequence[ChoiceRow]],
    *,
    questions: int,
    trained_cpu_s: Mapping[str, float] | None = None,
) -> SensesReport:
    """Put all answers into one table.

    Args:
        study: whose.
        found: rows by arm and look.
        questions: of the exam.
        trained_cpu_s: see `SensesReport`.
    """
    lines = []
    for (arm, look), rows in found.items():
        if not rows:
            continue
        scores = score_system(look, rows)
        pictured = [row for row in rows if row.kind in QUESTION_TYPES]
        every = {row.kind for row in pictured} == set(QUESTION_TYPES)
        macro = score_system(look, pictured, kinds=QUESTION_TYPES).macro if every else None
        lines.append(
            SensesRow(
                arm=arm,
                look=look,
                by_type={kind: score.value for kind, score in scores.by_kind.items()},
                errors={kind: score.json_stderr for kind, score in scores.by_kind.items()},
                macro=None if macro is None else macro.value,
                macro_error=None if macro is None else macro.json_stderr,
            )
        )
    compared = [
        difference
        for one, other, metrics in COMPARED
        if one in found and other in found
        for metric in metrics
        if (difference := _difference(found, one, other, metric)) is not None
    ]
    return SensesReport(
        study=study.name,
        questions=questions,
        rows=tuple(lines),
        trained_cpu_s=dict(trained_cpu_s or {}),
        comparisons=tuple(compared),
    )


def _difference(
    found: Mapping[tuple[str, str], Sequence[ChoiceRow]],
    one: tuple[str, str],
    other: tuple[str, str],
    metric: str,
) -> Comparison | None:
    """Compare on the questions that both were asked; None where a type has none."""
    kinds = QUESTION_TYPES if metric == "macro" else (metric,)
    asked = [{r.question_id for r in found[key]} for key in (one, other)]
    both = asked[0] & asked[1]
    left, right = (
        [r for r in found[key] if r.kind in kinds and r.question_id in both] for key in (one, other)
    )
    if {row.kind for row in left} != set(kinds):
        return None
    paired = paired_difference(left, right, metric=metric, kinds=kinds)
    what = f"{', '.join(one)} - {', '.join(other)}: {metric}"
    half = None if math.isnan(paired.stderr) else Z_95 * paired.stderr
    return Comparison(what=what, value=paired.value, half_width=half)


def tiny_study() -> SensesStudy:
    """Return the experiment in the world."""
    return SensesStudy(name="video_llama_tiny_study", recipe=video_llama_tiny_textonly())


SENSES_STUDIES: dict[str, Callable[[], SensesStudy]] = {"video_llama_tiny_study": tiny_study}
