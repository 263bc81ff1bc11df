"""Scenes as textual videos: the same type, and the same path from there, as what an LLM writes."""

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random

from textreel.data.textual_video import TextualVideo
from textreel.synth.world.captions import global_caption, textual_frame
from textreel.synth.world.long_questions import ask_long
from textreel.synth.world.questions import QUESTION_TYPES, ask_all
from textreel.synth.world.scene import SCENE_SECONDS, Part, Scene, draw_scenes

FRAMES_PER_SCENE = 8
SOURCE = "textreel world"


def textual_video(
    scene: Scene,
    rng: Random,
    *,
    num_frames: int = FRAMES_PER_SCENE,
    kinds: Sequence[str] = QUESTION_TYPES,
) -> TextualVideo:
    """Write a scene as a textual video: `num_frames` frames at segment centres, and questions.

    Scenes longer than 8 seconds are asked about one moment, two distant moments and the whole.
    """
    step_s = scene.duration_s / num_frames
    times_s = tuple((i + 0.5) * step_s for i in range(num_frames))
    long = scene.duration_s > SCENE_SECONDS
    return TextualVideo(
        id=scene.id,
        frames=tuple(textual_frame(scene, time_s, rng) for time_s in times_s),
        caption=global_caption(scene, rng),
        questions=ask_long(scene, rng) if long else ask_all(scene, rng, kinds),
        times_s=times_s,
        source=SOURCE,
    )


def draw_textual_videos(
    count: int,
    seed: int,
    *,
    part: Part = "training",
    num_frames: int = FRAMES_PER_SCENE,
    seconds: float = SCENE_SECONDS,
) -> Iterator[TextualVideo]:
    """Write `count` textual videos of one part of the world, the same for a seed."""
    rng = Random(f"words-{part}-{seed}")
    for scene in islice(draw_scenes(seed, part=part, seconds=seconds), count):
        yield textual_video(scene, rng, num_frames=num_frames)
