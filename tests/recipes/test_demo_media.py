from pathlib import Path

import numpy as np
import pytest
import torch

from tests.recipes.toy import toy_recipe
from textreel.media.decode import read_clip
from textreel.media.sampling import SamplingSpec
from textreel.models.batch import Features
from textreel.models.encoders import DualEncoder
from textreel.recipes.demo_media import (
    exam_items,
    frame_times,
    last_frame_only,
    look_at_exam,
    read_features,
    rendered,
    rendered_features,
    true_captions,
    write_videos,
)
from textreel.recipes.prepare import open_encoder
from textreel.synth.world.exam import Exam, draw_exam
from textreel.synth.world.vocabulary import words


@pytest.fixture(scope="module")
def exam() -> Exam:
    return draw_exam(3, part="test", num_scenes=2, per_kind=1)


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return open_encoder(toy_recipe())


@pytest.fixture(scope="module")
def paths(exam: Exam, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("videos") / "deep"
    return write_videos(exam.scenes[:2], folder, tick=lambda *_: None)


def test_last_frame_only_repeats_the_last_frame() -> None:
    values = torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]]).half()
    times_s = torch.tensor([0.5, 1.5, 2.5], dtype=torch.float64)
    features = Features(values=values, times_s=times_s, modality="image", encoder="e", revision="r")
    [(id, last)] = last_frame_only({"v": features}).items()
    assert id == "v"
    assert last.values.tolist() == [[[5.0, 6.0]]] * 3
    assert torch.equal(last.times_s, times_s)
    assert features.values[0, 0].tolist() == [1.0, 2.0]  # the original is as it was


def test_questions_carry_their_scene(exam: Exam) -> None:
    items = exam_items(exam)
    assert len(items) == sum(map(len, exam.questions)) == 8
    assert len({item.id for item in items}) == 8
    assert {item.video_id for item in items} == {scene.id for scene in exam.scenes}


def test_frames_stand_at_the_centres_that_sampling_takes(exam: Exam) -> None:
    scene = exam.scenes[0]
    assert frame_times(scene, 4) == pytest.approx(
        SamplingSpec(num_frames=4).times(scene.duration_s)
    )


def test_captions_follow_from_the_scene_and_are_of_the_world(exam: Exam) -> None:
    scene = exam.scenes[0]
    captions = true_captions(scene, 8)
    assert len(captions) == 8
    assert captions == true_captions(scene, 8)
    assert set(" ".join(captions).split()) <= set(words())


def test_ticks_count_and_files_that_are_there_are_kept(exam: Exam, paths: dict[str, Path]) -> None:
    before = {path: path.stat().st_mtime_ns for path in paths.values()}
    ticks: list[tuple[int, int]] = []
    folder = next(iter(paths.values())).parent
    again = write_videos(exam.scenes[:2], folder, tick=lambda *at: ticks.append(at))
    assert again == paths
    assert ticks == [(1, 2), (2, 2)]
    assert {path: path.stat().st_mtime_ns for path in paths.values()} == before
    assert sorted(p.name for p in folder.iterdir()) == sorted(f"{id}.mp4" for id in paths)


def test_drawn_frames_are_what_the_file_shows(exam: Exam, paths: dict[str, Path]) -> None:
    scene = exam.scenes[0]
    drawn = rendered(scene, 8)
    clip = read_clip(paths[scene.id], SamplingSpec(num_frames=8))
    assert clip.frames.shape == drawn.frames.shape
    difference = np.abs(clip.frames.astype(float) - drawn.frames.astype(float)).mean()
    assert difference < 6  # of 255: what H.264 and the nearest frame in time change


def test_files_and_drawings_give_the_same_features(
    exam: Exam, encoder: DualEncoder, paths: dict[str, Path]
) -> None:
    ticks: list[tuple[int, int]] = []
    sampling = SamplingSpec(num_frames=8)
    decoded = read_features(paths, encoder, sampling, tick=lambda *at: ticks.append(at))
    drawn = rendered_features(exam.scenes[:2], encoder, num_frames=8)
    assert ticks == [(1, 2), (2, 2)]
    assert list(decoded) == list(paths)
    for id, features in decoded.items():
        assert features.modality == "image"
        cosine = (features.values.float() * drawn[id].values.float()).sum(-1)
        assert cosine.mean() > 0.9


def test_an_exam_is_seen_in_pictures_captions_and_texts(exam: Exam, encoder: DualEncoder) -> None:
    pictures = rendered_features(exam.scenes, encoder, num_frames=4)
    seen = look_at_exam(exam, pictures, encoder, num_frames=4)
    assert seen.items == exam_items(exam)
    assert seen.pictures is pictures
    for scene in exam.scenes:
        texts = seen.texts[scene.id]
        assert texts.modality == "text"
        assert seen.captions[scene.id] == true_captions(scene, 4)
        wanted = encoder.encode_texts(list(seen.captions[scene.id]))
        torch.testing.assert_close(texts.values[:, 0].float(), wanted, atol=2e-3, rtol=0)
        assert texts.times_s.tolist() == pytest.approx(frame_times(scene, 4))
