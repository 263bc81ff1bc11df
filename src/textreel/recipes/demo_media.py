"""Exams of the demo: scenes as features, rendered in memory or written as mp4 and read again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np

from textreel.data.textual_video import TextualFrame, TextualVideo
from textreel.features.encode import encode_clips, encode_textual_videos, windows
from textreel.media.clip import Clip
from textreel.media.decode import read_clip
from textreel.media.sampling import SamplingSpec
from textreel.media.write import write_clip
from textreel.models.batch import Features
from textreel.models.open_encoder import Encoder, TextEncoder
from textreel.recipes.answering import ExamItem
from textreel.synth.world.captions import frame_caption
from textreel.synth.world.exam import Exam
from textreel.synth.world.render import draw_clip, draw_frame, draw_style
from textreel.synth.world.scene import Scene

Tick = Callable[[int, int], None]
ENCODE_TOGETHER = 32
WORKERS = 2


@dataclass(frozen=True, slots=True, eq=False)
class ExamFeatures:
    """An exam, as everything a system may look at.

    Attributes:
        items: the questions.
        pictures: features of the frames, by scene id.
        captions: true captions of the same moments, by scene id.
        texts: features of those captions.
    """

    items: tuple[ExamItem, ...]
    pictures: Mapping[str, Features]
    captions: Mapping[str, tuple[str, ...]]
    texts: Mapping[str, Features]


def exam_items(exam: Exam) -> tuple[ExamItem, ...]:
    """Return an exam's questions."""
    return tuple(
        ExamItem(id=id, video_id=scene.id, question=question)
        for id, scene, question in exam.items()
    )


def frame_times(scene: Scene, num_frames: int) -> tuple[float, ...]:
    """Return the centres of `num_frames` equal slices of a scene, in seconds."""
    return tuple((i + 0.5) * scene.duration_s / num_frames for i in range(num_frames))


def true_captions(scene: Scene, num_frames: int) -> tuple[str, ...]:
    """Write the captions of the frames that a model sees; the words follow from the scene's id."""
    rng = Random(f"captions-{scene.id}")
    return tuple(
        frame_caption(scene.background, scene.at(time_s), rng)
        for time_s in frame_times(scene, num_frames)
    )


def rendered(scene: Scene, num_frames: int) -> Clip:
    """Draw only the frames that a model sees, without a file in between."""
    times_s = np.asarray(frame_times(scene, num_frames))
    style = draw_style(scene.background, len(scene.objects), Random(scene.id))
    frames = np.stack([draw_frame(scene, time_s, style) for time_s in times_s])
    return Clip(
        frames=np.ascontiguousarray(frames.transpose(0, 3, 1, 2)),
        frame_times_s=times_s,
        duration_s=scene.duration_s,
        source=f"scene {scene.id}",
    )


def look_at_exam(
    exam: Exam, pictures: Mapping[str, Features], encoder: TextEncoder, *, num_frames: int
) -> ExamFeatures:
    """Add true captions and their features to the features of an exam's pictures."""
    captions = {scene.id: true_captions(scene, num_frames) for scene in exam.scenes}
    written = [
        TextualVideo(
            id=scene.id,
            frames=tuple(TextualFrame(caption=text) for text in captions[scene.id]),
            caption="",
            times_s=frame_times(scene, num_frames),
        )
        for scene in exam.scenes
    ]
    texts = dict(encode_textual_videos(written, encoder, mode="caption"))
    return ExamFeatures(exam_items(exam), pictures, captions, texts)


def rendered_features(
    scenes: Sequence[Scene], encoder: Encoder, *, num_frames: int
) -> dict[str, Features]:
    """Encode scenes drawn in memory; for validation."""
    clips = ((scene.id, rendered(scene, num_frames)) for scene in scenes)
    return dict(encode_clips(clips, encoder, window=ENCODE_TOGETHER))


def write_videos(scenes: Sequence[Scene], folder: Path, *, tick: Tick) -> dict[str, Path]:
    """Write every scene as an mp4 with its sound; files that are there already are kept.

    Returns:
        The file of each scene, by id.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {scene.id: folder / f"{scene.id}.mp4" for scene in scenes}

    def write(scene: Scene) -> None:
        if not paths[scene.id].exists():
            write_clip(paths[scene.id], draw_clip(scene))

    with ThreadPoolExecutor(WORKERS) as pool:
        for done, _ in enumerate(pool.map(write, scenes), start=1):
            tick(done, len(scenes))
    return paths


def read_features(
    paths: Mapping[str, Path], encoder: TextEncoder, sampling: SamplingSpec, *, tick: Tick
) -> dict[str, Features]:
    """Decode every file, and encode its frames with the picture tower; a window at a time."""

    def clips() -> Iterator[tuple[str, Clip]]:
        with ThreadPoolExecutor(WORKERS) as pool:
            for ids in windows(paths, ENCODE_TOGETHER):
                read = pool.map(lambda id: read_clip(paths[id], sampling), ids)
                yield from zip(ids, read, strict=True)

    features = {}
    for done, (id, found) in enumerate(encode_clips(clips(), encoder, window=ENCODE_TOGETHER), 1):
        features[id] = found
        tick(done, len(paths))
    return features


def last_frame_only(features: Mapping[str, Features]) -> dict[str, Features]:
    """Repeat the last frame in the place of every frame."""
    return {
        id: replace(f, values=f.values[-1:].expand_as(f.values).contiguous())
        for id, f in features.items()
    }
