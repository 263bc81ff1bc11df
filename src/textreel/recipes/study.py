"""Studies: the same training in several variants and seeds, tested alike, in one table.

    Study  --its table-->  Cells (a recipe, looks at what it trained)  --run_study-->  StudyReport

Each cell of each seed is a run in a folder of its own, and a line in the study's journal when it
has been tested; a killed study goes on within the run it was killed in.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from textreel.evaluate.score import Z_95
from textreel.features.fuse import FuseMode
from textreel.recipes.recipe import AlignRecipe, RecipeError

T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""97.5% points of Student's t, by the first degrees of freedom; see `student_95`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One way of testing a trained model.

    Attributes:
        name: in the table.
        shown: real pictures, or text features of the true captions.
        bridge: what features pass; `own`: what the recipe says.
        temperature: of a memory.
        top_k: of a memory.
        memory_videos: textual videos that a memory is made of.
        make_up: which texts of a frame one row of a memory is made of.
        centred: of a memory: about the means of both modalities (`models.bridges.Memory`).
        num_frames: frames looked at; None: as many as the recipe's.
        seconds: length of the videos.
        window: frames that the model sees at a time, the windows' probabilities being averaged;
            None: all of them.
        part: of the world that the scenes are of; options are chosen on `validation`.
    """

    name: str
    shown: Literal["pictures", "texts"] = "pictures"
    bridge: Literal["own", "memory", "mean_shift"] = "own"
    temperature: float = 0.01
    top_k: int | None = None
    memory_videos: int = 1000
    make_up: FuseMode = "caption"
    centred: bool = False
    num_frames: int | None = None
    seconds: float = 8.0
    window: int | None = None
    part: Literal["test", "validation"] = "test"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One variant.

    Attributes:
        name: in the table.
        recipe: what is trained; its seed is the study's.
        looks: how it is tested.
        after: the cell whose run a finetune begins with; empty: what the recipe says.
    """

    name: str
    recipe: AlignRecipe
    looks: tuple[Look, ...] = (Look(name="pictures"),)
    after: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """A table to be made; JSON values only.

    Attributes:
        name: of the study.
        recipe: what its cells are variants of.
        table: key of `topa_studies.TABLES`.
        seeds: of data, weights and order, one run each.
        clips: clips in the tuning cells.
        num_scenes: videos of the exam, at least.
        per_kind: questions of each type.
        exam_seed: of the exam, the same for all.
        only: names of the cells to run, with those they begin with; empty: all.
    """

    name: str
    recipe: AlignRecipe
    table: str
    seeds: tuple[int, ...] = (0, 1, 2)
    clips: int = 2000
    num_scenes: int = 200
    per_kind: int = 60
    exam_seed: int = 77
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise RecipeError(
                f"Study: seeds={list(self.seeds)} must be different, and at least one"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the study as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyRow:
    """One line of the table.

    Attributes:
        cell: the variant.
        look: how it was tested.
        values: macro accuracy of each seed, in the seeds' order; None where it cannot be.
        mean: of the values.
        half_width: of the 95% interval of the mean over seeds; None for one seed.
        stderr: mean over seeds of the standard error clustered by video; None for a single video.
        by_type: mean accuracy of each question type.
        gap: distance of the means of what is shown and the training's texts, before any bridge.
        noise: of the training.
        why: why there is no value.
    """

    cell: str
    look: str
    values: tuple[float | None, ...]
    mean: float | None
    half_width: float | None
    stderr: float | None
    by_type: dict[str, float] = field(default_factory=dict)
    gap: float | None = None
    noise: float = 0.0
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyReport:
    """A finished table.

    Attributes:
        study: its name.
        seeds: of the runs.
        questions: of the exam of 8-second videos, or of the first exam asked.
        rows: in the table's order.
        differences: of two rows on the same seeds, with the half width of its 95% interval.
        remarks: what holds for all.
    """

    study: str
    seeds: tuple[int, ...]
    questions: int
    rows: tuple[StudyRow, ...]
    differences: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def student_95(degrees: int) -> float:
    """Return the 97.5% point of Student's t.

    Beyond the table by its expansion about the normal's, right to three places (Abramowitz and
    Stegun, 1964, 26.7.5).

    >>> [round(student_95(degrees), 3) for degrees in (9, 10, 30)]
    [2.262, 2.228, 2.042]
    """
    if degrees in T_95:
        return T_95[degrees]
    z, share = Z_95, 1 / degrees
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + share * (first + share * (second + share * third))


def interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and half of its 95% interval by Student's t; None for one value.

    >>> mean, half = interval([0.5, 0.6, 0.7])
    >>> round(mean, 3), round(half, 3)
    (0.6, 0.248)
    """
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, None
    spread = statistics.stdev(values) / math.sqrt(len(values))
    return mean, student_95(len(values) - 1) * spread


def make_row(cell: Cell, look: Look, found: Sequence[Mapping[str, Any]]) -> StudyRow:
    """Put the results of all seeds into one line.

    Args:
        cell: the variant.
        look: how it was tested.
        found: of each seed: `macro`, `stderr`, `by_type`, `gap`; or `why` there is nothing.
    """
    why = next((one["why"] for one in found if "why" in one), "")
    noise = cell.recipe.mix.noise
    if why:
        nothing = tuple(None for _ in found)
        return StudyRow(
            cell=cell.name,
            look=look.name,
            values=nothing,
            mean=None,
            half_width=None,
            stderr=None,
            noise=noise,
            why=why,
        )
    values = tuple(float(one["macro"]) for one in found)
    mean, half = interval(values)
    kinds = found[0]["by_type"]
    errors = [one["stderr"] for one in found if one["stderr"] is not None]
    return StudyRow(
        cell=cell.name,
        look=look.name,
        values=values,
        mean=mean,
        half_width=half,
        stderr=statistics.fmean(errors) if errors else None,
        by_type={kind: statistics.fmean(one["by_type"][kind] for one in found) for kind in kinds},
        gap=statistics.fmean(one["gap"] for one in found),
        noise=noise,
    )


def difference(one: StudyRow, other: StudyRow) -> tuple[float, float | None]:
    """Return the mean difference of two rows, seed by seed, and half of its 95% interval."""
    pairs = zip(one.values, other.values, strict=True)
    return interval([a - b for a, b in pairs if a is not None and b is not None])
