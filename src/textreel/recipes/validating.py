"""Questions asked while a recipe trains, through the bridge that its run answers by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from textreel.data.textual_video import TextualVideo
from textreel.evaluate.choices import macro
from textreel.features.encode import encode_textual_videos
from textreel.features.thin import thin
from textreel.models.batch import Features
from textreel.models.bridges import Identity
from textreel.models.open_encoder import TextEncoder
from textreel.recipes.answering import ExamItem, answer_exam
from textreel.recipes.clips import stored_pictures
from textreel.recipes.demo_media import exam_items, rendered_features
from textreel.recipes.prepare import Learner, centred, read_videos_of
from textreel.recipes.recipe import AlignRecipe, RecipeError, is_world, world_count
from textreel.synth.world.exam import draw_exam

VALIDATION = "validation"
"""Name of the figure: the mean of the accuracies of the question types."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Questions:
    """What is asked.

    Attributes:
        items: the questions.
        features: what is seen, heard or read, by video id; of one modality.
    """

    items: tuple[ExamItem, ...]
    features: Mapping[str, Features]

    @property
    def crosses(self) -> bool:
        """Whether what is looked at passes the bridge: text frames do not."""
        return next(iter(self.features.values())).modality != "text"


def validation_of(recipe: AlignRecipe, encoder: TextEncoder) -> Questions | None:
    """Return the recipe's questions with what they are about; None where nothing is asked.

    Raises:
        RecipeError: no such file, or no questions in it.
        FeatureStoreError, FeatureMismatchError, MissingFeaturesError: see `stored_pictures`.
    """
    asked = recipe.validation
    if not asked.data:
        return None
    if is_world(asked.data):
        exam = draw_exam(
            recipe.seed, part="validation", num_scenes=1, per_kind=world_count(asked.data)
        )
        seen = rendered_features(exam.scenes, encoder, num_frames=recipe.num_frames)
        return Questions(items=exam_items(exam), features=seen)
    videos = read_videos_of(asked.data, field="validation.data")
    items = tuple(
        ExamItem(id=f"{video.id}-{number}", video_id=video.id, question=question)
        for video in videos
        for number, question in enumerate(video.questions)
    )
    if not items:
        raise RecipeError(
            f"validation.data={asked.data!r}: {len(videos)} videos without a single question"
        )
    return Questions(items=items, features=_looked_at(recipe, videos, encoder))


def _looked_at(
    recipe: AlignRecipe, videos: list[TextualVideo], encoder: TextEncoder
) -> dict[str, Features]:
    if store := recipe.validation.features:
        found = stored_pictures(Path(store), videos, encoder, num_frames=recipe.num_frames)
        return {video.id: seen for video, seen in zip(videos, found, strict=True)}
    read = dict(encode_textual_videos(videos, encoder, mode=recipe.fuse))
    if recipe.centred:  # as in training; pictures are centred by the bridge
        read = dict(zip(read, centred(list(read.values()), encoder), strict=True))
    return {id: thin(features, wanted=recipe.num_frames) for id, features in read.items()}


def watcher(
    learner: Learner, questions: Questions, bridge: nn.Module
) -> Callable[[], dict[str, float]]:
    """Return what asks the questions of a model as it is now.

    Args:
        learner: the model, which is given the bridge, and its collator.
        questions: what is asked.
        bridge: the run's.
    """

    def evaluate() -> dict[str, float]:
        learner.model.bridge = bridge if questions.crosses else Identity()
        rows = answer_exam(learner.model, learner.collator, questions.items, questions.features)
        return {VALIDATION: macro(rows).value}

    return evaluate
