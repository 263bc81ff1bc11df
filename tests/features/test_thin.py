from dataclasses import replace

import pytest
import torch

from textreel.data.textual_video import TextualFrame, TextualVideo
from textreel.features.thin import ThinError, thin, thin_indices, thin_video
from textreel.models.batch import Features


def test_frames_are_taken_by_the_floor() -> None:
    assert thin_indices(13, wanted=10) == [0, 1, 2, 3, 5, 6, 7, 9, 10, 11]
    assert thin_indices(3, wanted=10) == [0, 1, 2]
    assert thin_indices(9, wanted=1) == [0]


def test_a_video_keeps_its_times() -> None:
    values = torch.arange(4.0)[:, None, None].half()
    video = Features(
        values=values,
        times_s=torch.tensor([0.5, 1.5, 2.5, 3.5]).double(),
        modality="text",
        encoder="e",
        revision="",
    )
    few = thin(video, wanted=2)
    assert few.values.flatten().tolist() == [0.0, 2.0] and few.times_s.tolist() == [0.5, 2.5]
    assert thin(video, wanted=4) is video


def test_a_textual_video_keeps_the_frames_whose_features_are_kept() -> None:
    frames = tuple(TextualFrame(caption=str(i)) for i in range(5))
    video = TextualVideo(id="v", frames=frames, caption="c")
    few = thin_video(video, wanted=2)
    assert [frame.caption for frame in few.frames] == ["0", "2"] and few.times_s == (0.0, 2.0)
    timed = replace(video, times_s=(0.5, 1.5, 2.5, 3.5, 4.5))
    assert thin_video(timed, wanted=2).times_s == (0.5, 2.5)
    assert thin_video(video, wanted=5) is video


def test_no_frame_at_all_is_refused() -> None:
    with pytest.raises(ThinError, match="cannot be thinned to 0 frames"):
        thin_indices(3, wanted=0)
