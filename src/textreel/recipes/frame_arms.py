"""The arms of T2Vid's comparison, and the table that they make; see `t2vid_tiny.py`.

    zero-shot                          the base as it is
    video 5 .. 100%                    the learning curve; "15%" of the clips is the paper's share
    15% + pages                        two parts clips, one part long texts as pages
    15% + text                         the same texts as plain text
    15%, one template                  every clip with the same instruction
    ..., equal tokens                  as many tokens as "video 15%" meets, instead of as many steps

Every arm is trained from the same base with the same steps, asked the same questions, and shown
frames in their true order, shuffled and reversed, and long videos with eight times the frames of
any clip it met: what training asks about clips, and what only long videos can be asked.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from textreel.evaluate.choices import paired_difference
from textreel.evaluate.rows import ChoiceRow
from textreel.recipes.frame_recipe import FrameRecipe, WorldSamples
from textreel.recipes.frame_world import mean_tokens
from textreel.recipes.recipe import RecipeError
from textreel.synth.world.long_questions import LONG_TYPES
from textreel.synth.world.questions import QUESTION_TYPES

Order = Literal["true", "shuffled", "reversed"]
TEMPORAL = ("direction", "order", "event")
CURVE = (0.05, 0.15, 0.3, 0.6, 1.0)
SHARE = 0.15
PAGES_PART = 1 / 3
READS = 0.9
"""Share of words that the base must read before a comparison with pages says anything."""
AS_GOOD = -0.02
"""The lower end of the 95% interval of "as good as"."""
SEED = "{seed}"
POWER_80 = 2.8
"""Standard errors that a difference is away from 0 when 80% of such studies see it (5%, both
sides): the normal's 97.5% and 80% points together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameLook:
    """One way of asking a trained arm.

    Attributes:
        name: in the table.
        order: in which the frames are shown.
        frames: how many.
        long: scenes eight times as long, asked what clips are asked and questions of their own.
        kinds: question types.
        every: asked of every so many'th question of a type.
    """

    name: str
    order: Order = "true"
    frames: int = 8
    long: bool = False
    kinds: tuple[str, ...] = QUESTION_TYPES
    every: int = 1


SHARED_TYPES = tuple(kind for kind in QUESTION_TYPES if kind != "order")
"""Types that long videos are asked as well; `order` needs two events, and most have more."""
LOOKS = (
    FrameLook(name="true"),
    FrameLook(name="shuffled", order="shuffled", kinds=TEMPORAL, every=2),
    FrameLook(name="reversed", order="reversed", kinds=TEMPORAL, every=2),
    FrameLook(name="long", frames=64, long=True, kinds=(*SHARED_TYPES, *LONG_TYPES)),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameArm:
    """One arm.

    Attributes:
        name: in the table.
        recipe: what is trained; None: the base as it is.
        all_seeds: whether it is trained with every seed of the study, or with the first only.
    """

    name: str
    recipe: FrameRecipe | None
    all_seeds: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameStudy:
    """T2Vid's comparison; JSON values only.

    Attributes:
        name: of the study.
        base: the folder of a trained base; `{seed}` in it stands for each seed, so that what a base
            owes to its own seed counts too.
        recipe: all clips, from the base; what the arms are variants of.
        seeds: of samples and order, one run each; none of them the seed of its base, which has met
            texts of its own.
        num_scenes: videos of the exam, at least.
        per_kind: questions of each type.
        long_scenes: long videos; each is asked at most one question of a type.
        long_s: their length in seconds.
        exam_seed: of both exams.
        checked_pages: pages that the base's reading is measured on.
        only: names of the arms to run; empty: all.
    """

    name: str
    base: str
    recipe: FrameRecipe
    seeds: tuple[int, ...] = (1, 2, 3)
    num_scenes: int = 200
    per_kind: int = 190
    long_scenes: int = 200
    long_s: float = 60.0
    exam_seed: int = 78
    checked_pages: int = 256
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise RecipeError(
                f"FrameStudy: seeds={list(self.seeds)} must be different, and at least one"
            )
        if self.recipe.world is None or not self.recipe.world.clips:
            raise RecipeError("FrameStudy: its recipe must train on clips of the world")

    @property
    def many_bases(self) -> bool:
        """Whether every seed has a base of its own."""
        return SEED in self.base

    def base_of(self, seed: int) -> str:
        """Return the folder of a seed's base."""
        return self.base.replace(SEED, str(seed))

    def to_json(self) -> dict[str, Any]:
        """Return the study as plain JSON values."""
        return asdict(self) | {"recipe": self.recipe.to_json()}


def all_arms(study: FrameStudy) -> list[FrameArm]:
    """Return every arm, in the table's order."""
    world = study.recipe.world
    assert world is not None
    texts = round(world.clips * SHARE * PAGES_PART)
    fewer = replace(world, fraction=SHARE * (1 - PAGES_PART))
    made = {
        "15% + pages": replace(fewer, documents=texts),
        "15% + text": replace(fewer, texts=texts),
        "15%, one template": replace(world, fraction=SHARE, instructions="one"),
    }
    arms = [FrameArm(name="zero-shot", recipe=None, all_seeds=study.many_bases)]
    for share in CURVE:
        recipe = replace(study.recipe, world=replace(world, fraction=share))
        seeds = share in (SHARE, 1.0)
        arms.append(FrameArm(name=f"video {share:.0%}", recipe=recipe, all_seeds=seeds))
    video = replace(world, fraction=SHARE)
    for name, samples in made.items():
        recipe = replace(study.recipe, world=samples)
        arms.append(FrameArm(name=name, recipe=recipe, all_seeds="+" in name))
        equal = equal_tokens(recipe, samples, video)
        arms.append(FrameArm(name=f"{name}, equal tokens", recipe=equal))
    return arms


def equal_tokens(recipe: FrameRecipe, own: WorldSamples, other: WorldSamples) -> FrameRecipe:
    """Return a recipe with as many steps as give it the tokens of as many steps of `other`."""
    steps = max(1, round(recipe.train.steps * _mean_tokens(other) / _mean_tokens(own)))
    train = replace(recipe.train, steps=steps, warmup=min(recipe.train.warmup, steps - 1))
    return replace(recipe, train=train)


def _mean_tokens(world: WorldSamples) -> float:
    counts = {
        "clip": round(world.clips * world.fraction),
        "document": world.documents,
        "text": world.texts,
    }
    tokens = sum(mean_tokens(world, kind) * count for kind, count in counts.items())
    return tokens / sum(counts.values())


def chosen_arms(study: FrameStudy) -> list[FrameArm]:
    """Return the arms to run: all, or those of `only`.

    Raises:
        RecipeError: the study has no such arm.
    """
    arms = all_arms(study)
    known = [arm.name for arm in arms]
    if missing := [name for name in study.only if name not in known]:
        raise RecipeError(f"the study has no arm {missing[0]!r}", hint=f"one of {', '.join(known)}")
    return [arm for arm in arms if not study.only or arm.name in study.only]


COMPARED = (
    ("15% + pages", "video 15%"),
    ("15% + pages", "video 100%"),
    ("15% + pages", "15% + text"),
    ("15% + text", "video 15%"),
    ("15% + pages, equal tokens", "video 15%"),
    ("15% + text, equal tokens", "video 15%"),
    ("15% + pages, equal tokens", "15% + text, equal tokens"),
    ("video 15%", "video 100%"),
    ("video 15%", "15%, one template"),
    ("video 15%", "15%, one template, equal tokens"),
    ("video 15%", "zero-shot"),
    ("15% + pages", "zero-shot"),
)


def compared_types(held_out: Sequence[str]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return what arms are compared on: its name, to the look and its types that it is asked by."""
    trained = tuple(kind for kind in QUESTION_TYPES if kind not in held_out)
    static = tuple(kind for kind in trained if kind not in TEMPORAL)
    every = {
        "trained": ("true", trained),
        "temporal": ("true", tuple(kind for kind in trained if kind in TEMPORAL)),
        "static": ("true", static),
        "unseen": ("true", tuple(held_out)),
        "long": ("long", tuple(kind for kind in SHARED_TYPES if kind not in held_out)),
        "long only": ("long", LONG_TYPES),
    }
    return {about: (look, kinds) for about, (look, kinds) in every.items() if kinds}


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmRow:
    """One line of the table; every value is a mean over seeds.

    Attributes:
        arm: its name.
        seeds: how many.
        trained: macro accuracy over the types that training meets, and `stderr` of one seed.
        by_seed: `trained` of each seed.
        temporal: mean of direction, order and event; static: of the other trained types.
        unseen: the type that no arm's training asks.
        shuffled: `temporal` with shuffled frames; `reversed` likewise.
        long: about long videos, macro accuracy over the types of them that training meets.
        long_only: the same over the types that only long videos are asked.
        by_type: of the true order, and of what only long videos are asked.
        page_words: share of words that the arm reads in their place.
    """

    arm: str
    seeds: int
    trained: float
    stderr: float | None
    by_seed: tuple[float, ...]
    temporal: float
    static: float
    unseen: float
    shuffled: float
    reversed: float
    long: float
    long_only: float
    by_type: dict[str, float] = field(default_factory=dict)
    page_words: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmDifference:
    """Two arms on the same questions and seeds.

    Attributes:
        one: minus
        other: the names.
        about: `trained` (types that training meets), of them `temporal` and `static`, `unseen`,
            `long` or `long only` (see `ArmRow`).
        value: difference of macro accuracies.
        by_seed: the same of each seed.
        stderr: of it, clustered by video; None for a single video.
        low: end of its 95% interval; high: the other.
        as_good: whether `low` is above -2 points.
        detectable: smallest difference that 80% of such studies would see; None for one video.
    """

    one: str
    other: str
    about: str
    value: float
    by_seed: tuple[float, ...]
    stderr: float | None
    low: float
    high: float
    as_good: bool
    detectable: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameStudyReport:
    """A finished table, or as much of it as is there.

    Attributes:
        study: its name.
        questions: of the exam; long_questions: of the long one.
        reads: share of words that the base reads in their place; of several bases the least.
        rows: in the table's order.
        differences: between arms that are both there.
        remarks: what holds for all.
    """

    study: str
    questions: int
    long_questions: int
    reads: float
    rows: tuple[ArmRow, ...]
    differences: tuple[ArmDifference, ...]
    remarks: tuple[str, ...] = ()


def make_arm_row(
    arm: FrameArm, found: Sequence[Mapping[str, Any]], *, held_out: Sequence[str]
) -> ArmRow:
    """Put the results of an arm's seeds into one line.

    Args:
        arm: the arm.
        found: of each seed: `by_type` and `stderr` of every look, and `page_words`.
        held_out: types that no arm's training asks.
    """

    def mean(look: str, kinds: Sequence[str], of: Sequence[Mapping[str, Any]] = found) -> float:
        every = [one[look]["by_type"] for one in of]
        values = [types[kind] for types in every for kind in kinds if kind in types]
        return statistics.fmean(values) if values else 0.0

    trained = [kind for kind in QUESTION_TYPES if kind not in held_out]
    static = [kind for kind in trained if kind not in TEMPORAL]
    errors = [one["true"]["stderr"] for one in found if one["true"]["stderr"] is not None]
    by_type = {kind: mean("true", [kind]) for kind in QUESTION_TYPES}
    return ArmRow(
        arm=arm.name,
        seeds=len(found),
        trained=mean("true", trained),
        stderr=statistics.fmean(errors) if errors else None,
        by_seed=tuple(mean("true", trained, [one]) for one in found),
        temporal=mean("true", TEMPORAL),
        static=mean("true", static),
        unseen=mean("true", held_out),
        shuffled=mean("shuffled", TEMPORAL),
        reversed=mean("reversed", TEMPORAL),
        long=mean("long", [kind for kind in SHARED_TYPES if kind not in held_out]),
        long_only=mean("long", LONG_TYPES),
        by_type=by_type | {kind: mean("long", [kind]) for kind in LONG_TYPES},
        page_words=statistics.fmean(one["page_words"] for one in found),
    )


def compare_arms(
    one: tuple[str, Sequence[Sequence[ChoiceRow]]],
    other: tuple[str, Sequence[Sequence[ChoiceRow]]],
    *,
    about: str,
    kinds: Sequence[str],
) -> ArmDifference:
    """Return the difference of two arms on the same questions of some types, all seeds together.

    Args:
        one: its name, and its answers of each seed.
        other: the same, in the same order of seeds.
        about: what the types are called.
        kinds: the types.
    """
    seeds = [
        paired_difference(mine, theirs, metric="macro", kinds=kinds).value
        for mine, theirs in zip(one[1], other[1], strict=True)
    ]
    found = paired_difference(_pooled(one[1]), _pooled(other[1]), metric="macro", kinds=kinds)
    low, high = found.interval()
    stderr = None if math.isnan(found.stderr) else found.stderr
    return ArmDifference(
        one=one[0],
        other=other[0],
        about=about,
        value=found.value,
        by_seed=tuple(seeds),
        stderr=stderr,
        low=low,
        high=high,
        as_good=low > AS_GOOD,
        detectable=None if stderr is None else POWER_80 * stderr,
    )


def _pooled(seeds: Sequence[Sequence[ChoiceRow]]) -> list[ChoiceRow]:
    """Return the answers of all seeds; those about one video stay in one cluster."""
    return [
        replace(row, question_id=f"{number} {row.question_id}")
        for number, rows in enumerate(seeds)
        for row in rows
    ]
