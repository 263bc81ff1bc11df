"""Exams of the world for eyes and ears: scenes of the test part, looked at in several ways.

    both, eye, ear          what the picture branch sees, what the sound branch hears, or one alone
    long                    scenes of another length than the branches were aligned on
    last frame, mean frame  the last frame, or the mean of all, in the place of every frame
    steady                  only scenes where every object is in the picture from the first frame to
                            the last, so that one frame, or the mean, can show what is asked
    pictured                the sound branch is shown pictures of what sounds, and hears nothing

Frames are drawn in memory; sounds are written as samples and cut as the run cuts them.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from torch import Tensor
from torch.nn.functional import normalize

from textreel.data.prompt import Turn
from textreel.data.senses_collate import SensesSample
from textreel.data.senses_prompt import shown_of
from textreel.evaluate.rows import ChoiceRow
from textreel.media.sound_clips import SoundClipSpec
from textreel.models.batch import Features
from textreel.models.encoders import DualEncoder
from textreel.models.open_encoder import Encoder
from textreel.recipes.answering import BATCH_SIZE, ExamItem, exam_row
from textreel.recipes.clips import world_pictures
from textreel.recipes.demo_media import exam_items, rendered_features
from textreel.recipes.senses_means import heard_features, sound_means
from textreel.recipes.senses_training import SensesLearner
from textreel.recipes.senses_world import pictured_sounds
from textreel.synth.world.exam import Exam
from textreel.synth.world.questions import QUESTION_TYPES, SOUND_TYPES
from textreel.synth.world.scene import SCENE_SECONDS, Scene


@dataclass(frozen=True, kw_only=True, slots=True)
class SensesLook:
    """One way of asking.

    Attributes:
        name: in the table.
        eye: how pictures are shown; `no`: not at all.
        ear: what the sound branch reads: sounds, pictures of what sounds, or nothing.
        sound_scale: sound vectors are multiplied by this (published: 20 after unit length).
        moved: whether sound vectors are moved by the difference of means (mean shift).
        num_frames: frames looked at.
        kinds: question types that are asked.
        seconds: length of the scenes; of another exam than 8 seconds are.
        videos: only questions about the first so many; None: all.
        steady: only questions about scenes where nothing appears and nothing goes.
    """

    name: str
    eye: str = "all"
    ear: str = "heard"
    sound_scale: float = 1.0
    moved: bool = False
    num_frames: int = 8
    kinds: tuple[str, ...] = (*QUESTION_TYPES, *SOUND_TYPES)
    seconds: float = SCENE_SECONDS
    videos: int | None = None
    steady: bool = False


class SensesExam:
    """An exam, and everything that may be looked at in it.

    Args:
        exam: scenes and questions.
        clips: how sound is cut.
        eye: whose picture tower sees frames.
        ear: whose sound tower hears, and whose picture tower sees what stands for sounds.
        store: folder for features of frames, so that they are drawn once; None: in memory.
    """

    def __init__(
        self,
        exam: Exam,
        *,
        clips: SoundClipSpec,
        eye: Encoder,
        ear: DualEncoder,
        store: Path | None = None,
    ) -> None:
        self.exam, self.clips, self.store = exam, clips, store
        self.eye: Encoder = eye
        self.ear = ear
        self.items = exam_items(self.exam)
        self._pictures: dict[tuple[int, int | None], Mapping[str, Features]] = {}

    def pictures(self, num_frames: int, videos: int | None = None) -> Mapping[str, Features]:
        """Return features of the frames of the first `videos` scenes, or of all."""
        key = num_frames, videos
        if key not in self._pictures:
            scenes = self.exam.scenes[:videos]
            if self.store is None:
                found = rendered_features(scenes, self.eye, num_frames=num_frames)
            else:
                store = self.store / str(num_frames)
                drawn = world_pictures(scenes, self.eye, store, num_frames=num_frames)
                found = {scene.id: f for scene, f in zip(scenes, drawn, strict=True)}
            self._pictures[key] = found
        return self._pictures[key]

    def seen_by(self, eye: Encoder) -> "SensesExam":
        """Return the same exam, its frames seen by another encoder."""
        other = copy(self)
        other.eye, other._pictures = eye, {}
        if self.store is not None:
            other.store = self.store.with_name(f"{self.store.name}-{eye.revision[-8:]}")
        return other

    @cached_property
    def heard(self) -> dict[str, Features]:
        """Return features of the sounds of those scenes that have any."""
        return heard_features(self.exam.scenes, self.ear, self.clips)

    @cached_property
    def pictured(self) -> dict[str, Features]:
        """Return picture features that stand for the same sounds."""
        return {
            scene.id: pictured_sounds(scene, self.clips, self.ear)
            for scene in self.exam.scenes
            if scene.id in self.heard
        }

    @cached_property
    def means(self) -> tuple[Tensor, Tensor]:
        """Return the mean sound and the mean text about sounds; see `sound_means`."""
        return sound_means(self.ear, self.clips)

    def look(self, learner: SensesLearner, look: SensesLook) -> list[ChoiceRow]:
        """Choose an option for every question of the look's types; there may be none."""
        asked = {
            scene.id
            for scene in self.exam.scenes[: look.videos]
            if not look.steady or is_steady(scene)
        }
        items = [
            item
            for item in self.items
            if item.question.kind in look.kinds and item.video_id in asked
        ]
        if not items:
            return []
        return answer_senses(learner, items, self._image(look), self._sound(look))

    def _image(self, look: SensesLook) -> Mapping[str, Features]:
        if look.eye == "no":
            return {}
        shown = self.pictures(look.num_frames, look.videos)
        if look.eye == "all":
            return shown
        return {id: _repeated(f, look.eye) for id, f in shown.items()}

    def _sound(self, look: SensesLook) -> Mapping[str, Features]:
        if look.ear == "no":
            return {}
        shown = self.pictured if look.ear == "pictured" else self.heard
        if look.moved:
            sound, text = self.means
            shift = text - sound
            shown = {id: _moved(f, shift) for id, f in shown.items()}
        scale = look.sound_scale
        return {id: replace(f, values=f.values * scale) for id, f in shown.items()}


def is_steady(scene: Scene) -> bool:
    """Return whether every object is in the picture all the time."""
    return all(look.visible for looks in scene.looks for look in looks)


def _repeated(features: Features, how: str) -> Features:
    values = features.values
    one = values[-1:] if how == "last" else values.float().mean(0, keepdim=True).to(values.dtype)
    return replace(features, values=one.expand_as(values).contiguous())


def _moved(features: Features, shift: Tensor) -> Features:
    moved = normalize(features.values.float() + shift, dim=-1)
    return replace(features, values=moved.half())


def answer_senses(
    learner: SensesLearner,
    items: Sequence[ExamItem],
    image: Mapping[str, Features],
    sound: Mapping[str, Features],
) -> list[ChoiceRow]:
    """Choose an option for every question about what is seen and heard.

    Args:
        learner: the model and its collator.
        items: the questions.
        image: features of pictures by video id; a video without any is not seen.
        sound: likewise.

    Returns:
        A row per question, in order.
    """
    collator, model = learner.collator, learner.model
    shown = [(image.get(item.video_id), sound.get(item.video_id)) for item in items]
    prompts = [
        collator.write(
            item.id,
            turns=[
                Turn(task="choice", question=item.question.question, options=item.question.options)
            ],
            shown=shown_of(*pair),
        )
        for item, pair in zip(items, shown, strict=True)
    ]
    choices = collator.encode_choices(prompts)

    def order(i: int) -> tuple[bool, bool, int]:
        return shown[i][0] is None, shown[i][1] is None, len(choices[i].prompt.token_ids)

    rows: dict[int, ChoiceRow] = {}
    ordered = sorted(range(len(items)), key=order)
    groups: dict[tuple[bool, bool], list[int]] = {}
    for i in ordered:
        groups.setdefault(order(i)[:2], []).append(i)
    model.eval()
    for group in groups.values():
        for start in range(0, len(group), BATCH_SIZE):
            part = group[start : start + BATCH_SIZE]
            batch = collator.collate([SensesSample(choices[i].prompt, *shown[i]) for i in part])
            scores = model.score(batch, [choices[i].options for i in part])
            for i, score in zip(part, scores, strict=True):
                rows[i] = exam_row(items[i], score.best, tuple(score.probabilities().tolist()))
    return [rows[i] for i in range(len(items))]
