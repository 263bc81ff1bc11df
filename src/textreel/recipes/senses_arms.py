"""Variants of one training for two senses, how each is looked at, and what is compared.

    text only        captions stand for pictures and sounds; positions are interpolated
    clips            the same on drawn clips, and on pictures of what sounds
    own frames       clips through a frame encoder that the recipe builds first
    no positions     pictures alone; the Video Q-Former cannot tell frames apart (`timeless`)
    index, seconds   pictures alone, and other ways for a frame to know when it is
    no head start    as many steps of the tasks from BERT's start

Branches of pictures alone are trained more briefly: they are compared with each other. The whole
exam is for what must be known to a point or two: both senses beside each alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from textreel.recipes.recipe import RecipeError
from textreel.recipes.senses_exam import SensesLook
from textreel.recipes.senses_recipe import SensesRecipe
from textreel.recipes.video_llama import CLIPS, tiny_data, with_own_frames
from textreel.synth.world.questions import QUESTION_TYPES, SOUND_TYPES


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One variant.

    Attributes:
        name: in the table.
        recipe: what is trained.
        looks: how it is tested.
    """

    name: str
    recipe: SensesRecipe
    looks: tuple[SensesLook, ...]


EYE = SensesLook(name="eye", ear="no", kinds=(*QUESTION_TYPES, "seen_and_heard"))
EAR = SensesLook(name="ear", eye="no", kinds=SOUND_TYPES)
BOTH = SensesLook(name="both")
SOME_VIDEOS, FEW_VIDEOS = 640, 160
"""Videos of looks that need no narrow interval, and of those at many frames."""
JOINT_LOOKS = (
    replace(BOTH, name="both, moved", moved=True),
    EYE,
    replace(EAR, name="ear, moved", moved=True),
)
"""Moved: sounds pass a mean shift to where the branch was aligned; else they are as the tower gives
them."""
SOUND_LOOKS = (
    replace(EAR, videos=SOME_VIDEOS),
    replace(EAR, name="ear shown pictures", ear="pictured", kinds=("heard",), videos=SOME_VIDEOS),
    replace(EAR, name="ear x20", sound_scale=20.0, kinds=("heard",), videos=SOME_VIDEOS),
    replace(BOTH, videos=SOME_VIDEOS),
)
STATIC_TYPES = ("colour", "shape", "place", "count")
"""What one frame can show, where nothing appears and nothing goes."""
STEADY = replace(EYE, name="steady", kinds=STATIC_TYPES, steady=True, videos=2 * SOME_VIDEOS)
TIME_LOOKS = (
    replace(EYE, name="last frame", eye="last", kinds=QUESTION_TYPES, videos=SOME_VIDEOS),
    replace(EYE, name="mean frame", eye="mean", kinds=QUESTION_TYPES, videos=SOME_VIDEOS),
    STEADY,
    replace(STEADY, name="steady, last frame", eye="last"),
    replace(STEADY, name="steady, mean frame", eye="mean"),
)
COUNTS = (8, 32, 128)
MORE_FRAMES = tuple(
    replace(EYE, name=f"{count} frames", num_frames=count, kinds=QUESTION_TYPES, videos=FEW_VIDEOS)
    for count in COUNTS
)
LONG_SECONDS = 60.0
LONG_KINDS = ("colour", "shape", "place", "count", "final", "heard")
"""Types that scenes of a minute have enough questions of."""
LONG = SensesLook(name="a minute, 8 frames", kinds=LONG_KINDS, seconds=LONG_SECONDS)
LONG_LOOKS = tuple(
    replace(
        LONG, name=f"a minute, {count} frames", num_frames=count, ear="no", kinds=LONG_KINDS[:-1]
    )
    for count in (8, 32)
)


TEXT_LOOKS = (*JOINT_LOOKS, *SOUND_LOOKS, *TIME_LOOKS, *MORE_FRAMES, LONG, *LONG_LOOKS[1:])
FEW_LOOKS = tuple(replace(look, videos=SOME_VIDEOS) for look in (BOTH, EYE, EAR))


def sighted(recipe: SensesRecipe) -> SensesRecipe:
    """Return a recipe's picture branch alone: a shorter head start, then a shorter adapter."""
    eyes, lessons = recipe.stages["eyes"], recipe.stages["adapter"]
    eyes = replace(eyes, mix={"seen": 1.0}, train=replace(eyes.train, steps=200))
    brief = replace(lessons.train, steps=70)
    lessons = replace(lessons, reads="image", mix={"seen": 1.0}, train=brief)
    return replace(
        recipe,
        sound=None,
        sound_encoder=None,
        bridges={},
        stages={"eyes": eyes, "adapter": lessons},
    )


def timeless(recipe: SensesRecipe) -> SensesRecipe:
    """Return a recipe whose picture branch cannot tell frames apart, and its head start suits that.

    It reads the mean of its frames. Of frames dealt out anew, as other branches learn from, that
    says nothing, so it learns from videos as they are; and twice as long, for a mean blends what
    its frames show, and colours and places take longer to be told apart.
    """
    shape, eyes = recipe.image, recipe.stages["eyes"]
    assert shape is not None
    stages = {**recipe.stages, "eyes": replace(eyes, mixed=False)}
    twice = {
        name: replace(stage, train=replace(stage.train, steps=2 * stage.train.steps))
        for name, stage in stages.items()
    }
    return replace(recipe, image=replace(shape, positions="none"), stages=twice)


def arms(text: SensesRecipe, only: Sequence[str] = ()) -> list[Arm]:
    """Return a study's arms.

    Args:
        text: what they are variants of.
        only: names of some; empty for all.

    Raises:
        RecipeError: `only` names one that there is not.
    """
    shape = text.image
    assert shape is not None
    drawn = tiny_data("clips", videos=CLIPS)
    clips = replace(text, name="video_llama_tiny_clips", data=drawn)
    eye = sighted(text)

    def placed(**changes: Any) -> SensesRecipe:  # noqa: ANN401 - fields of the branch's shape
        return replace(eye, image=replace(shape, **changes))

    tasks = [stage for stage in text.stages.values() if stage.task != "words"]
    steps = sum(stage.train.steps for stage in tasks)
    raw = replace(
        tasks[-1],
        trains=("image", "sound", "adapter"),
        train=replace(tasks[0].train, steps=steps),
    )
    every = [
        Arm(name="text only", recipe=text, looks=TEXT_LOOKS),
        Arm(name="clips", recipe=clips, looks=(*FEW_LOOKS, *SOUND_LOOKS[1:3])),
        Arm(name="own frames", recipe=with_own_frames(text), looks=FEW_LOOKS),
        Arm(name="no positions", recipe=timeless(eye), looks=(MORE_FRAMES[0], STEADY)),
        Arm(
            name="index",
            recipe=placed(positions="table", max_steps=max(COUNTS)),
            looks=(*MORE_FRAMES, STEADY),
        ),
        Arm(name="seconds", recipe=placed(positions="time"), looks=(*MORE_FRAMES, *LONG_LOOKS)),
        Arm(name="no head start", recipe=replace(text, stages={"joint": raw}), looks=FEW_LOOKS[:1]),
    ]
    known = [arm.name for arm in every]
    if missing := [name for name in only if name not in known]:
        raise RecipeError(f"the study has no arm {missing[0]!r}", hint=f"one of {', '.join(known)}")
    return [arm for arm in every if not only or arm.name in only]


EVERY = (*QUESTION_TYPES, "macro")
JOINT = ("text only", "both, moved")
COMPARED = (
    (JOINT, ("text only", "eye"), (*EVERY, "seen_and_heard")),
    (JOINT, ("text only", "ear, moved"), SOUND_TYPES),
    (JOINT, ("text only", "both"), ("heard", "seen_and_heard")),
    (("text only", "ear, moved"), ("text only", "ear shown pictures"), ("heard",)),
    (("text only", "ear x20"), ("text only", "ear"), ("heard",)),
    (JOINT, ("clips", "both"), (*EVERY, *SOUND_TYPES)),
    (JOINT, ("own frames", "both"), (*EVERY, *SOUND_TYPES)),
    (("clips", "both"), ("clips", "eye"), ("seen_and_heard",)),
    (("clips", "ear"), ("clips", "ear shown pictures"), ("heard",)),
    (("clips", "ear x20"), ("clips", "ear"), ("heard",)),
    (("text only", "last frame"), ("text only", "eye"), EVERY),
    (("text only", "mean frame"), ("text only", "eye"), EVERY),
    (("text only", "steady, last frame"), ("text only", "steady"), STATIC_TYPES),
    (("text only", "steady, mean frame"), ("text only", "steady"), STATIC_TYPES),
    (("no positions", "steady"), ("index", "steady"), STATIC_TYPES),
    (("no positions", "8 frames"), ("index", "8 frames"), EVERY),
    (("seconds", "8 frames"), ("index", "8 frames"), ("macro",)),
    (("no head start", "both"), ("text only", "both"), ("macro", "seen_and_heard")),
    (("text only", "32 frames"), ("text only", "8 frames"), ("macro",)),
    (("text only", "128 frames"), ("text only", "8 frames"), ("macro",)),
    (("seconds", "32 frames"), ("seconds", "8 frames"), ("macro",)),
    (("seconds", "128 frames"), ("seconds", "8 frames"), ("macro",)),
    (("index", "32 frames"), ("index", "8 frames"), ("macro",)),
    (("index", "128 frames"), ("index", "8 frames"), ("macro",)),
)
"""Arm and look against arm and look, on each of some types or the picture types' macro."""
