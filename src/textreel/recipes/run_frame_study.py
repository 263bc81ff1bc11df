"""`run_frame_study`: train every arm of T2Vid's comparison and ask it; safe to kill.

    OUT/<arm>-<seed>/     a run, which `textreel ask` takes
    OUT/answers/          what each arm answered to each question
    OUT/study.jsonl       a line for every arm and seed that is done
    OUT/table.json        the table of what is there

Another `only`, or more `seeds`, add to what is there; each arm goes on by itself where it stopped.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from itertools import chain, islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from textreel.data.errors import FingerprintError
from textreel.data.files import fingerprint, write_atomic
from textreel.data.journal import Journal
from textreel.evaluate.choices import score_system
from textreel.evaluate.rows import ChoiceRow, read_rows, write_rows
from textreel.media.clip import Clip
from textreel.models.decoder import weight_fingerprint
from textreel.recipes.answering import ExamItem, sit_exam
from textreel.recipes.demo_media import exam_items, rendered
from textreel.recipes.frame_arms import (
    COMPARED,
    LOOKS,
    READS,
    SHARED_TYPES,
    ArmDifference,
    FrameArm,
    FrameLook,
    FrameStudy,
    FrameStudyReport,
    chosen_arms,
    compare_arms,
    compared_types,
    make_arm_row,
)
from textreel.recipes.frame_data import open_source
from textreel.recipes.frame_training import open_learner, run_frame_recipe
from textreel.recipes.page_reading import read_pages_check
from textreel.recipes.recipe import RecipeError
from textreel.recipes.recipe_values import read_recipe_file, with_settings
from textreel.recipes.run_study import folder_name
from textreel.recipes.t2vid_tiny import t2vid_tiny_arm
from textreel.serve.session import Session, load
from textreel.synth.world.exam import draw_exam
from textreel.synth.world.long_questions import ask_long
from textreel.synth.world.questions import ask_all
from textreel.synth.world.scene import Scene, draw_scenes

Show = Callable[[str, int, int, str], None]
JOURNAL_FILE, RESULT_FILE, ANSWERS = "study.jsonl", "table.json", "answers"
READING = "base reading"
NO_BASE = "BASE"


def t2vid_tiny() -> FrameStudy:
    """The comparison; its base is named by `--set base=RUN`."""
    return FrameStudy(name="t2vid_tiny", base=NO_BASE, recipe=t2vid_tiny_arm(NO_BASE))


FRAME_STUDIES: dict[str, Callable[[], FrameStudy]] = {"t2vid_tiny": t2vid_tiny}


def find_frame_study(name: str, *, settings: Sequence[str] = ()) -> FrameStudy | None:
    """Return a study of image-LLMs by name with settings applied, or None for any other name.

    Raises:
        RecipeError: a setting that does not fit.
    """
    if name not in FRAME_STUDIES:
        return None
    study = with_settings(FRAME_STUDIES[name](), list(settings))
    if study.recipe.model != NO_BASE:
        raise RecipeError(
            f"recipe.model={study.recipe.model!r} has no effect on a study",
            hint="its arms start from its base: set base=RUN",
        )
    return replace(study, recipe=replace(study.recipe, model=study.base))


def run_frame_study(
    study: FrameStudy, out: Path, *, show: Show = lambda *_: None
) -> FrameStudyReport:
    """Train and ask every arm, and make the table; a killed study goes on.

    Args:
        study: everything.
        out: its folder.
        show: told how far each phase is.

    Raises:
        RecipeError: no base, no such arm, or a seed of the study is that of its base.
        FingerprintError: the folder holds another study, or runs from other bases.
    """
    arms = chosen_arms(study)
    for seed in study.seeds:
        _check_base(study, seed)
    settled = {k: v for k, v in study.to_json().items() if k not in ("seeds", "only", "base")}
    settled["recipe"] = settled["recipe"] | {"model": ""}
    job = fingerprint([settled, study.many_bases, [asdict(look) for look in LOOKS]])
    examiner = FrameExaminer(study)
    with Journal.open(out / JOURNAL_FILE, kind="frame-study", fingerprint=job) as journal:
        for seed in base_seeds(study):
            _hold_base(study, seed, journal, out)
        for arm in arms:
            for seed in seeds_of(arm, study):
                key = f"{folder_name(arm.name)}-{seed}"
                if key not in journal:
                    journal.record(key, _train_and_ask(arm, seed, study, out, examiner, show))
        found = {str(key): journal[key] for key in journal}
    report = _report(study, found, examiner, out)
    write_atomic(out / RESULT_FILE, json.dumps(asdict(report), indent=2) + "\n")
    return report


def _check_base(study: FrameStudy, seed: int) -> None:
    base = Path(study.base_of(seed))
    if not (base / "config.json").is_file():
        raise RecipeError(
            f"base={str(base)!r} is no trained image-LLM",
            hint="train one: textreel train t2vid_tiny_base --out RUN; then --set base=RUN",
        )
    recipe = base / "recipe.json"
    met = read_recipe_file(recipe).get("seed") if recipe.is_file() else None
    if met == seed:
        raise RecipeError(
            f"seeds={list(study.seeds)}: the base was trained with seed {met}, and has read texts "
            f"that an arm of that seed would be given",
            hint="leave it out, or train that seed's base with another",
        )


def _hold_base(study: FrameStudy, seed: int, journal: Journal, out: Path) -> None:
    """Measure how well a base reads, once, and hold on to its weights from then on."""
    key, base = reading_key(study, seed), study.base_of(seed)
    weights = weight_fingerprint(base)
    if key not in journal:
        journal.record(key, {"page_words": page_words(study, Path(base)), "weights": weights})
    elif journal[key]["weights"] != weights:
        raise FingerprintError(
            f"{out}: the runs of seed {seed} started from other weights than those of {base}",
            hint="name the base that they started from, or another folder",
        )


def reading_key(study: FrameStudy, seed: int) -> str:
    """Return where the journal has how well a seed's base reads."""
    return f"{READING} {seed}" if study.many_bases else READING


def base_seeds(study: FrameStudy) -> tuple[int, ...]:
    """Return one seed for every base."""
    return study.seeds if study.many_bases else study.seeds[:1]


def seeds_of(arm: FrameArm, study: FrameStudy) -> tuple[int, ...]:
    """Return the seeds that an arm is trained with."""
    return study.seeds if arm.all_seeds else study.seeds[:1]


def _train_and_ask(
    arm: FrameArm,
    seed: int,
    study: FrameStudy,
    out: Path,
    examiner: "FrameExaminer",
    show: Show,
) -> dict[str, Any]:
    run = Path(study.base_of(seed))
    found: dict[str, Any] = {}
    if arm.recipe is not None:
        train = replace(arm.recipe.train, seed=seed)
        recipe = replace(arm.recipe, model=str(run), seed=seed, train=train)
        run = out / f"{folder_name(arm.name)}-{seed}"
        note = f"{arm.name}, seed {seed}: "
        result = run_frame_recipe(
            recipe, run, show=lambda what, done, of, said: show(what, done, of, note + said)
        )
        found |= {"loss": result.loss, "steps": result.steps, "train_s": result.seconds}
    session = load(run)
    for number, look in enumerate(LOOKS):
        show("ask", number, len(LOOKS), f"{arm.name}, seed {seed}: {look.name}")
        rows = examiner.ask(session, look)
        write_rows(out / ANSWERS / f"{folder_name(arm.name)}-{seed}-{look.name}.jsonl", rows)
        scores = score_system(arm.name, rows)
        found[look.name] = {
            "stderr": scores.macro.json_stderr,
            "by_type": {kind: score.value for kind, score in scores.by_kind.items()},
        }
    show("ask", len(LOOKS), len(LOOKS), f"{arm.name}, seed {seed}")
    return found | {"page_words": page_words(study, run)}


def page_words(study: FrameStudy, run: Path) -> float:
    """Return the share of words on pages that a run reads in their place."""
    recipe = replace(study.recipe, model=str(run))
    made = open_learner(recipe)
    check = read_pages_check(made, open_source(recipe, made), count=study.checked_pages)
    return check()["page_words"]


class FrameExaminer:
    """Draws both exams once, and puts them to any number of sessions.

    Args:
        study: which exams.
    """

    def __init__(self, study: FrameStudy) -> None:
        self._study = study
        self.exam = cache(self._exam)

    def ask(self, session: Session, look: FrameLook) -> list[ChoiceRow]:
        """Ask a session everything of one look."""
        scenes, items = self.exam(look.long)
        of_kinds = [
            [item for item in items if item.question.kind == kind][:: look.every]
            for kind in look.kinds
        ]
        return sit_exam(session, list(chain.from_iterable(of_kinds)), ShownScenes(scenes, look))

    def _exam(self, long: bool) -> tuple[tuple[Scene, ...], tuple[ExamItem, ...]]:
        study = self._study
        if not long:
            drawn = draw_exam(
                study.exam_seed, part="test", num_scenes=study.num_scenes, per_kind=study.per_kind
            )
            return drawn.scenes, exam_items(drawn)
        scenes = draw_scenes(study.exam_seed, part="test", seconds=study.long_s)
        taken = tuple(islice(scenes, study.long_scenes))
        rng = Random(f"long-frames-exam-{study.exam_seed}")
        shared = Random(f"long-shared-exam-{study.exam_seed}")
        items = [
            ExamItem(id=f"{scene.id}-{question.kind}", video_id=scene.id, question=question)
            for scene in taken
            for question in (*ask_long(scene, rng), *ask_all(scene, shared, SHARED_TYPES))
        ]
        return taken, tuple(items)


class ShownScenes(Mapping[str, Clip]):
    """Scenes by id, drawn when they are looked at, their frames in the order of a look."""

    def __init__(self, scenes: Sequence[Scene], look: FrameLook) -> None:
        self._scenes = {scene.id: scene for scene in scenes}
        self._look = look

    def __getitem__(self, id: str) -> Clip:
        clip = rendered(self._scenes[id], self._look.frames)
        order = list(range(len(clip.frames)))
        if self._look.order == "reversed":
            order.reverse()
        elif self._look.order == "shuffled":
            Random(f"shuffle-{id}").shuffle(order)
        return replace(clip, frames=np.ascontiguousarray(clip.frames[order]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._scenes)

    def __len__(self) -> int:
        return len(self._scenes)


def _report(
    study: FrameStudy, found: dict[str, Any], examiner: FrameExaminer, out: Path
) -> FrameStudyReport:
    world = study.recipe.world
    assert world is not None
    there: dict[str, tuple[int, ...]] = {}
    rows = []
    for arm in chosen_arms(replace(study, only=())):
        keys = {seed: f"{folder_name(arm.name)}-{seed}" for seed in seeds_of(arm, study)}
        there[arm.name] = tuple(seed for seed, key in keys.items() if key in found)
        if seeds := there[arm.name]:
            results = [found[keys[seed]] for seed in seeds]
            rows.append(make_arm_row(arm, results, held_out=world.held_out))
    reads = min(found[reading_key(study, seed)]["page_words"] for seed in base_seeds(study))
    remarks = [f"no arm's training asks {', '.join(world.held_out)}; errors clustered by video"]
    if study.many_bases and len({row.seeds for row in rows}) > 1:
        remarks.append(
            "an arm of fewer seeds has started from fewer bases: compare it seed by seed, as the "
            "differences do"
        )
    if reads < READS:
        remarks.append(
            f"the base reads {reads:.3f} of the words, less than {READS}: nothing about pages "
            "follows"
        )
    return FrameStudyReport(
        study=study.name,
        questions=len(examiner.exam(False)[1]),
        long_questions=len(examiner.exam(True)[1]),
        reads=reads,
        rows=tuple(rows),
        differences=tuple(_differences(study, there, out)),
        remarks=tuple(remarks),
    )


def _differences(
    study: FrameStudy, there: Mapping[str, tuple[int, ...]], out: Path
) -> Iterator[ArmDifference]:
    assert study.recipe.world is not None
    for one, other in COMPARED:
        stands = other == "zero-shot" and not study.many_bases and bool(there[other])
        seeds = [seed for seed in there[one] if seed in there[other] or stands]
        if not seeds:
            continue
        for about, (look, kinds) in compared_types(study.recipe.world.held_out).items():
            yield compare_arms(
                (one, _answers(out, one, seeds, look, there)),
                (other, _answers(out, other, seeds, look, there)),
                about=about,
                kinds=kinds,
            )


def _answers(
    out: Path,
    arm: str,
    seeds: Sequence[int],
    look: str,
    there: Mapping[str, tuple[int, ...]],
) -> list[list[ChoiceRow]]:
    """Return an arm's answers of each seed; what has one run stands for all of them."""
    own = [seed if seed in there[arm] else there[arm][0] for seed in seeds]
    paths = [out / ANSWERS / f"{folder_name(arm)}-{seed}-{look}.jsonl" for seed in own]
    return [list(read_rows(path)) for path in paths]
