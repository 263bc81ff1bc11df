"""Looks at a trained model: exams of the world, shown as a study's look says."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from textreel.data.files import fingerprint
from textreel.data.textual_video import TextualFrame, TextualVideo
from textreel.evaluate.choices import score_system
from textreel.evaluate.rows import ChoiceRow
from textreel.features.encode import encode_textual_videos
from textreel.features.fuse import FuseMode
from textreel.features.gap import gap
from textreel.features.memory import build_memory
from textreel.features.wide_gap import WideGap
from textreel.models.batch import Features
from textreel.models.bridges import Identity, MeanShift, Memory
from textreel.models.open_encoder import TextEncoder
from textreel.recipes.answering import ExamItem, answer_exam
from textreel.recipes.clips import world_pictures
from textreel.recipes.crossing import bridge_of, recipe_memory
from textreel.recipes.demo_media import (
    exam_items,
    frame_times,
    true_captions,
)
from textreel.recipes.prepare import Learner, centred
from textreel.recipes.recipe import WORLD_SECONDS, AlignRecipe
from textreel.recipes.study import Look, Study
from textreel.serve.bridging import memory_bridge, statistics_of
from textreel.synth.world.exam import draw_exam
from textreel.synth.world.long_questions import LONG_TYPES, ask_long
from textreel.synth.world.questions import QUESTION_TYPES
from textreel.synth.world.scene import Part, Scene, draw_scenes
from textreel.synth.world.textual import draw_textual_videos

MEANS_SCENES = 100
"""Scenes of the memory part that means and gaps are measured on."""


class Examiner:
    """Draws exams once, and shows them to any number of trained models.

    Args:
        study: which exam.
        encoder: of all its recipes.
        store: folder where the features of drawn frames are kept, for the next call too.
    """

    def __init__(self, study: Study, encoder: TextEncoder, *, store: Path) -> None:
        self.study, self.encoder, self.store = study, encoder, store
        self.wide = cache(lambda: WideGap(encoder.dim))
        self.exam = cache(self._exam)
        self.shown = cache(self._shown)
        self.memory = cache(self._memory)
        self.means = cache(self._means)

    def look(self, learner: Learner, recipe: AlignRecipe, look: Look) -> dict[str, Any]:
        """Return `macro`, `stderr`, `by_type` and `gap` of one look, or `why` there is none."""
        frames = look.num_frames or recipe.num_frames
        at_once = look.window or frames
        slots = recipe.connector.max_frames
        if recipe.connector.temporal == "table" and at_once > slots:
            return {"why": f"{at_once} frames, but the model has {slots} temporal slots"}
        scenes, items = self.exam(look.seconds, look.part)
        features = self._features(recipe, look, frames)
        learner.model.bridge = self._bridge(recipe, look)
        rows = answer_windows(learner, items, features, window=look.window)
        asked = {item.question.kind for item in items}  # a few long scenes may lack a type
        kinds = [kind for kind in (*QUESTION_TYPES, *LONG_TYPES) if kind in asked]
        scores = score_system(look.name, rows, kinds=kinds)
        values = torch.cat([features[scene.id].values[:, 0] for scene in scenes])
        return {
            "macro": scores.macro.value,
            "stderr": scores.macro.json_stderr,
            "by_type": {kind: score.value for kind, score in scores.by_kind.items()},
            "gap": gap(values.float(), self._text_vectors(recipe)),
        }

    def _exam(self, seconds: float, part: Part) -> tuple[tuple[Scene, ...], tuple[ExamItem, ...]]:
        study = self.study
        if seconds == WORLD_SECONDS:
            drawn = draw_exam(
                study.exam_seed,
                part=part,
                num_scenes=study.num_scenes,
                per_kind=study.per_kind,
            )
            return drawn.scenes, exam_items(drawn)
        scenes = draw_scenes(study.exam_seed, part=part, seconds=seconds)
        taken = tuple(islice(scenes, study.num_scenes))
        rng = Random(f"long-exam-{study.exam_seed}-{seconds}")
        items = [
            ExamItem(id=f"{scene.id}-{question.kind}", video_id=scene.id, question=question)
            for scene in taken
            for question in ask_long(scene, rng)
        ]
        return taken, tuple(items)

    def _shown(self, seconds: float, part: Part, frames: int, texts: bool) -> dict[str, Features]:
        scenes, _ = self.exam(seconds, part)
        if not texts:
            return self._drawn(scenes, f"{part}-{seconds:g}", frames=frames)
        written = [
            TextualVideo(
                id=scene.id,
                frames=tuple(TextualFrame(caption=c) for c in true_captions(scene, frames)),
                caption="",
                times_s=frame_times(scene, frames),
            )
            for scene in scenes
        ]
        return dict(encode_textual_videos(written, self.encoder, mode="caption"))

    def _drawn(self, scenes: Sequence[Scene], what: str, *, frames: int) -> dict[str, Features]:
        """Return features of scenes' frames, drawn and encoded once for all calls."""
        exam = fingerprint([self.study.exam_seed, [scene.id for scene in scenes]])
        store = self.store / f"exam-{what}-{frames}-{exam}"
        found = world_pictures(scenes, self.encoder, store, num_frames=frames)
        return {scene.id: features for scene, features in zip(scenes, found, strict=True)}

    def _features(self, recipe: AlignRecipe, look: Look, frames: int) -> Mapping[str, Features]:
        shown = self.shown(look.seconds, look.part, frames, look.shown == "texts")
        if recipe.wide_gap:
            return {id: self.wide().move(id, f) for id, f in shown.items()}
        if recipe.centred:
            return dict(zip(shown, centred(list(shown.values()), self.encoder), strict=True))
        return shown

    def _bridge(self, recipe: AlignRecipe, look: Look) -> nn.Module:
        if look.bridge == "own":
            memory = recipe_memory(recipe, self.encoder)
            if memory is None:
                return Identity()
            mean = None
            if recipe.memory_centred:
                mean = statistics_of(self.encoder, recipe.name).image_mean
            return memory_bridge(memory, bridge_of(recipe), picture_mean=mean)
        if look.bridge == "memory":
            rows = self.memory(look.memory_videos, look.make_up).float()
            rows = self.wide().texts(rows) if recipe.wide_gap else normalize(rows, dim=-1)
            mean = self.means(recipe.wide_gap, recipe.fuse)[0] if look.centred else None
            return Memory(rows, temperature=look.temperature, top_k=look.top_k, picture_mean=mean)
        picture, text = self.means(recipe.wide_gap, recipe.fuse)
        return MeanShift(picture_mean=picture, text_mean=text)

    def _memory(self, count: int, make_up: FuseMode) -> Tensor:
        seed = self.study.exam_seed
        videos = list(draw_textual_videos(count, seed, part="memory"))
        found = encode_textual_videos(videos, self.encoder, mode=make_up, window=len(videos))
        vectors = torch.cat([features.values[:, 0] for _, features in found])
        generator = torch.Generator().manual_seed(seed)
        distinct = len(torch.unique(vectors, dim=0))
        return build_memory(vectors, max(1, distinct * 9 // 10), generator=generator)

    def _means(self, wide: bool, fuse: FuseMode) -> tuple[Tensor, Tensor]:
        """Return the mean picture and the mean text, of scenes of the memory part."""
        scenes = list(islice(draw_scenes(self.study.exam_seed, part="memory"), MEANS_SCENES))
        pictures = self._drawn(scenes, "means", frames=8)
        texts = self.memory(MEANS_SCENES, fuse).float()
        if wide:
            pictures = {id: self.wide().move(id, f) for id, f in pictures.items()}
            texts = self.wide().texts(texts)
        seen = torch.cat([f.values[:, 0].float() for f in pictures.values()])
        return normalize(seen, dim=-1).mean(0), normalize(texts, dim=-1).mean(0)

    def _text_vectors(self, recipe: AlignRecipe) -> Tensor:
        """Return vectors of the kind that the model was aligned on."""
        rows = self.memory(MEANS_SCENES, recipe.fuse).float()
        if recipe.wide_gap:
            return self.wide().texts(rows)
        if recipe.centred and self.encoder.statistics is not None:
            return normalize(rows - self.encoder.statistics.text_mean, dim=-1)
        return rows


def answer_windows(
    learner: Learner,
    items: Sequence[ExamItem],
    features: Mapping[str, Features],
    *,
    window: int | None,
) -> list[ChoiceRow]:
    """Choose an option for every question, seeing a video whole or a window at a time.

    Args:
        learner: the model, its bridge set.
        items: the questions.
        features: by video id.
        window: most frames at a time; the options' probabilities are averaged over the windows,
            which all get the same question. None: whole.
    """
    model, collator = learner.model, learner.collator
    if window is None:
        return answer_exam(model, collator, items, features)
    parts: dict[str, Features] = {}
    asked: list[ExamItem] = []
    for item in items:
        video = features[item.video_id]
        for start in range(0, len(video.values), window):
            name = f"{item.video_id}@{start}"
            kept = slice(start, start + window)
            parts[name] = replace(video, values=video.values[kept], times_s=video.times_s[kept])
            asked.append(replace(item, id=f"{item.id}@{start}", video_id=name))
    answered = iter(answer_exam(model, collator, asked, parts))
    rows = []
    for item in items:
        count = -(-len(features[item.video_id].values) // window)
        found = [next(answered) for _ in range(count)]
        mean = torch.tensor([row.probabilities for row in found]).mean(0)
        rows.append(
            replace(
                found[0],
                question_id=item.id,
                video_id=item.video_id,
                chosen=int(mean.argmax()),
                probabilities=tuple(mean.tolist()),
            )
        )
    return rows
