"""The demo: a frozen language model learns video from text alone, and answers about real mp4 files.

    textreel demo [--seed N] [--out DIR] [--json]

    first look      the shipped run answers about one mp4
    write           textual videos from the world's grammar; no pixel is drawn for training
    encode          their text frames, through the frozen text tower, into a feature store
    align           connector and adapter, from random weights, on text features only
    blind           the same without a video, for a quarter of the steps
    film            test videos as mp4 files (H.264 and AAC), then decoded and encoded again
    answer          every system of the table
    report          metrics.json, report.html, the run folder

Measured figures, with machine and command, stand in docs/LOG.md.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from textreel.evaluate.choices import macro
from textreel.features.encode import encode_textual_videos
from textreel.features.gap import Gap, measure_gap
from textreel.features.memory import Memory, build_memory
from textreel.media.sampling import SamplingSpec
from textreel.models.open_encoder import TextEncoder
from textreel.recipes.alignment import align
from textreel.recipes.answering import answer_exam
from textreel.recipes.demo_files import save_demo
from textreel.recipes.demo_media import (
    ExamFeatures,
    look_at_exam,
    read_features,
    rendered_features,
    write_videos,
)
from textreel.recipes.demo_result import DemoResult, DemoSettings, FirstLook, Show
from textreel.recipes.demo_systems import (
    ROW_OF_BRIDGE,
    answer_all,
    choose_bridges,
    make_bridges,
    score_all,
)
from textreel.recipes.prepare import (
    Learner,
    build_data,
    build_learner,
    encode_data,
    open_encoder,
    quarter,
    read_data,
    started,
)
from textreel.recipes.recipe import AlignRecipe
from textreel.serve.run_files import SHIPPED
from textreel.serve.session import load
from textreel.synth.world.exam import Exam, draw_exam
from textreel.synth.world.questions import QUESTION_TYPES
from textreel.synth.world.textual import draw_textual_videos
from textreel.train.checkpoint import latest
from textreel.train.contracts import Progress
from textreel.train.primitives import keep_few_primitives


class Clock:
    """Wall seconds of named phases."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the block's wall seconds to `name`."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start


def first_look(out: Path, seed: int) -> FirstLook:
    """Draw a scene, write it as mp4, and ask the shipped run about it."""
    exam = draw_exam(seed + 1, part="validation", num_scenes=1, per_kind=1, kinds=("event",))
    scene, question = exam.scenes[0], exam.questions[0][0]
    path = write_videos([scene], out / "first", tick=lambda *_: None)[scene.id]
    answer = load(SHIPPED).ask(path, question.question, options=question.options)
    return FirstLook(
        video=path,
        question=question.question,
        answer=answer,
        right=question.options[question.answer],
    )


def run_demo(
    out: Path,
    settings: DemoSettings,
    *,
    show: Show = lambda *_: None,
    show_first: Callable[[FirstLook], None] | None = None,
) -> DemoResult:
    """Run the whole demo; a killed one goes on in the same folder.

    Args:
        out: folder for run, features, videos and report.
        settings: how large.
        show: told how far each phase is.
        show_first: given the first look; None: there is none.
    """
    keep_few_primitives()
    clock = Clock()
    first = None
    if show_first is not None:
        with clock.phase("first look"):
            first = first_look(out, settings.seed)
            show_first(first)
    recipe = _seeded(settings)
    encoder = open_encoder(recipe)
    with clock.phase("validation"):
        validation = validation_exam(settings, encoder, recipe.num_frames)
    sighted, blind = _train(recipe, out, encoder, validation, settings, clock, show)
    with clock.phase("validation"):
        memory = world_memory(settings, encoder)
        bridges = choose_bridges(sighted, validation, make_bridges(encoder, memory.vectors))
    exam = draw_exam(
        settings.seed, part="test", num_scenes=settings.num_videos, per_kind=settings.per_kind
    )
    seen = _film_and_watch(out, exam, encoder, recipe.num_frames, clock, show)
    show("answer", 0, 1, "")
    with clock.phase("answer"):
        reader = build_learner(recipe, encoder, adapter="none")
        learners = {"sighted": sighted, "blind": blind, "reader": reader}
        rows = answer_all(seen, **learners, encoder=encoder, bridges=bridges)
    show("answer", 1, 1, f"{sum(map(len, rows.values()))} answers")
    result = DemoResult(
        scores=score_all(rows),
        headline=ROW_OF_BRIDGE[bridges[0].settings.name],
        bridge=bridges[0],
        rows=rows,
        seconds={name: round(value, 2) for name, value in clock.seconds.items()},
        cpu_s=round(time.process_time(), 1),
        peak_rss_mb=round(_peak_rss_mb(), 1),
        gap=_gap(validation),
        noise=recipe.mix.noise,
        run=out / "run",
        videos=out / "videos",
        exam=exam,
        first=first,
    )
    show("report", 0, 1, "")
    save_demo(result, model=sighted.model, recipe=recipe, memory=memory, seed=settings.seed)
    show("report", 1, 1, str(result.run / "report.html"))
    return result


def _seeded(settings: DemoSettings) -> AlignRecipe:
    train = replace(settings.recipe.train, seed=settings.seed)
    return replace(settings.recipe, seed=settings.seed, train=train)


def _tick(show: Show, phase: str, done: int, total: int) -> None:
    show(phase, done, total, "")


def validation_exam(settings: DemoSettings, encoder: TextEncoder, num_frames: int) -> ExamFeatures:
    """Draw an exam of validation scenes, its pictures drawn in memory."""
    exam = draw_exam(
        settings.seed, part="validation", num_scenes=1, per_kind=settings.validation_per_kind
    )
    pictures = rendered_features(exam.scenes, encoder, num_frames=num_frames)
    return look_at_exam(exam, pictures, encoder, num_frames=num_frames)


def _train(
    recipe: AlignRecipe,
    out: Path,
    encoder: TextEncoder,
    validation: ExamFeatures,
    settings: DemoSettings,
    clock: Clock,
    show: Show,
) -> tuple[Learner, Learner]:
    """Write, encode, align; then the blind model."""
    with clock.phase("write"):
        show("write", 0, 1, "")
        videos = read_data(recipe)
        show("write", 1, 1, f"{len(videos)} textual videos")
    with clock.phase("encode"):
        show("encode", 0, 1, "")
        features = encode_data(recipe, videos, encoder, out / "features")
        show("encode", 1, 1, f"{sum(len(f.values) for f in features)} text frames")
    sighted = build_learner(recipe, encoder)
    with clock.phase("align"):
        data = build_data(recipe, videos, features, sighted.collator)
        data = started(recipe, data, sighted, videos, features)
        align(
            sighted.model,
            data,
            replace(recipe.train, evaluate_every=max(1, recipe.train.steps // settings.watches)),
            out / "run",
            evaluate=_watcher(
                sighted,
                validation,
                settings.watch_per_kind,
                goes_on=latest(out / "run" / "checkpoints") is not None,
            ),
            progress=partial(_report, show, "align"),
        )
    blind, brief = build_learner(recipe, encoder), quarter(recipe)
    with clock.phase("blind"):
        data = build_data(brief, videos, None, blind.collator)
        progress = partial(_report, show, "blind")
        align(blind.model, data, brief.train, out / "blind", progress=progress)
    return sighted, blind


def _film_and_watch(
    out: Path, exam: Exam, encoder: TextEncoder, num_frames: int, clock: Clock, show: Show
) -> ExamFeatures:
    """Write the exam as mp4 files, then look at nothing but the files."""
    sampling = SamplingSpec(num_frames=num_frames)
    with clock.phase("film"):
        paths = write_videos(exam.scenes, out / "videos", tick=partial(_tick, show, "film"))
    with clock.phase("watch"):
        tick = partial(_tick, show, "watch")
        pictures = read_features(paths, encoder, sampling, tick=tick)
        return look_at_exam(exam, pictures, encoder, num_frames=num_frames)


def _watcher(
    learner: Learner, validation: ExamFeatures, per_kind: int, *, goes_on: bool
) -> Callable[[], dict[str, float]]:
    """Measure on all validation questions before the first step, then on `per_kind` of a type.

    A run that goes on is past its first step.
    """
    left = dict.fromkeys(QUESTION_TYPES, per_kind)
    some = []
    for item in validation.items:
        if left[item.question.kind]:
            left[item.question.kind] -= 1
            some.append(item)
    first = [] if goes_on else [validation.items]

    def evaluate() -> dict[str, float]:
        items = first.pop() if first else some
        rows = answer_exam(learner.model, learner.collator, items, validation.pictures)
        return {"validation": macro(rows, kinds=QUESTION_TYPES).value}

    return evaluate


def _report(show: Show, phase: str, progress: Progress) -> None:
    parts = [] if math.isnan(progress.loss) else [f"loss {progress.loss:.2f}"]
    if "validation" in progress.evaluation:
        parts.append(f"validation accuracy {progress.evaluation['validation']:.2f}")
    show(phase, progress.step, progress.steps, ", ".join(parts))


def world_memory(settings: DemoSettings, encoder: TextEncoder) -> Memory:
    """Build the bridge's memory from captions of scenes of the world's memory part."""
    videos = list(draw_textual_videos(settings.memory_videos, settings.seed, part="memory"))
    found = encode_textual_videos(videos, encoder, mode="caption", window=len(videos))
    vectors = torch.cat([features.values[:, 0] for _, features in found])
    distinct = len(torch.unique(vectors, dim=0))
    generator = torch.Generator().manual_seed(settings.seed)
    return Memory(
        vectors=build_memory(vectors, distinct * 9 // 10, generator=generator),
        encoder=encoder.name,
        revision=encoder.revision,
        make_up=f"captions of {len(videos)} world scenes of the memory part, seed {settings.seed}",
    )


def _gap(validation: ExamFeatures) -> Gap:
    ids = list(validation.pictures)
    one = torch.cat([validation.pictures[id].values[:, 0].float() for id in ids])
    other = torch.cat([validation.texts[id].values[:, 0].float() for id in ids])
    return measure_gap(one, other)


def _peak_rss_mb() -> float:
    """Most memory this process held, in MiB; nan where the system does not say (Windows)."""
    if sys.platform == "win32":
        return math.nan
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
