from random import Random

from tests.synth.world.by_hand import busy_scene, look, scene
from textreel.synth.world.questions import SOUND_TYPES
from textreel.synth.world.scene import Event
from textreel.synth.world.textual import draw_textual_videos, textual_video


def test_a_scene_becomes_eight_frames_at_segment_centres() -> None:
    video = textual_video(busy_scene(), Random(0))
    assert video.id == busy_scene().id
    assert video.times_s == (0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5)
    assert [frame.objects[0][0] for frame in video.frames] == ["red circle"] * 8
    squares = [frame.objects[1][0] for frame in video.frames]
    assert squares == ["blue square"] * 5 + ["pink square"] * 3
    assert video.caption.endswith("first the circle moves right . then the square turns pink .")
    assert video.source == "textreel world"
    assert {"heard", "moment"}.isdisjoint(question.kind for question in video.questions)


def test_types_of_questions_and_number_of_frames_can_be_chosen() -> None:
    video = textual_video(busy_scene(), Random(0), num_frames=2, kinds=SOUND_TYPES)
    assert video.times_s == (2.0, 6.0)
    assert [question.kind for question in video.questions] == ["heard"]


def test_long_scenes_are_asked_long_questions() -> None:
    moves = [Event(float(t), "moves", 0, "right" if t % 8 == 4 else "left") for t in (4, 8, 12)]
    facts = scene(look(), events=moves, duration_s=30.0)
    videos = [textual_video(facts, Random(seed), num_frames=30) for seed in range(12)]
    assert videos[0].times_s[:2] == (0.5, 1.5)
    kinds = {question.kind for video in videos for question in video.questions}
    assert kinds == {"moment", "distant", "whole"}


def test_videos_are_the_same_for_a_seed_and_of_one_part() -> None:
    first, again, other, test = (
        list(draw_textual_videos(5, seed=seed, part=part))
        for seed, part in ((1, "training"), (1, "training"), (2, "training"), (1, "test"))
    )
    assert first == again
    ids = [{video.id for video in videos} for videos in (first, other, test)]
    assert len(set.union(*ids)) == 15
