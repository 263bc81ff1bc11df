"""`DemoSettings`, `FirstLook` and `DemoResult`: what goes into the demo, and what comes out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from textreel.evaluate.choices import SystemScores
from textreel.evaluate.rows import ChoiceRow
from textreel.features.gap import Gap
from textreel.models.answer import Answer
from textreel.recipes.demo_systems import ChosenBridge
from textreel.recipes.recipe import AlignRecipe
from textreel.recipes.topa import topa_tiny
from textreel.synth.world.exam import Exam

Show = Callable[[str, int, int, str], None]
"""Told (phase, done, total, note)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoSettings:
    """How large the demo is; the defaults are the demo.

    Attributes:
        seed: of everything drawn: data, weights, scenes, examples.
        recipe: the alignment.
        num_videos: test videos, at least.
        per_kind: test questions of each type.
        validation_per_kind: validation questions of each type; the bridge is chosen on them.
        watch_per_kind: of those, how many a type are answered for the progress line.
        watches: how often the progress line measures.
        memory_videos: textual videos whose frames make up the bridge's memory.
    """

    seed: int = 0
    recipe: AlignRecipe = field(default_factory=topa_tiny)
    num_videos: int = 400
    per_kind: int = 152
    validation_per_kind: int = 40
    watch_per_kind: int = 12
    watches: int = 8
    memory_videos: int = 3000


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FirstLook:
    """What the shipped run said about one mp4.

    Attributes:
        video: the file.
        question: what was asked.
        answer: what the run answered.
        right: the right option.
    """

    video: Path
    question: str
    answer: Answer
    right: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DemoResult:
    """The demo's end.

    Attributes:
        scores: every row of the table.
        headline: name of the row that the demo stands for.
        bridge: the bridge behind it.
        rows: every answer, by system.
        seconds: wall seconds of each phase.
        cpu_s: CPU seconds of the process, all threads.
        peak_rss_mb: most memory it held.
        gap: between the towers, on validation frames.
        noise: per dimension, in training.
        run: the run's folder.
        videos: the mp4 files' folder.
        exam: the test questions and what was seen.
        first: the first look.
    """

    scores: list[SystemScores]
    headline: str
    bridge: ChosenBridge
    rows: dict[str, list[ChoiceRow]]
    seconds: dict[str, float]
    cpu_s: float
    peak_rss_mb: float
    gap: Gap
    noise: float
    run: Path
    videos: Path
    exam: Exam
    first: FirstLook | None
