import pytest
import torch

from textreel.data.textual_video import TextualFrame, TextualVideo
from textreel.features.thin import ThinError, thin, thin_indices, thin_words
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


def test_words_keep_the_frames_that_their_features_keep() -> None:
    frames = tuple(TextualFrame(caption=str(i)) for i in range(13))
    video = TextualVideo(id="a", frames=frames, caption="", times_s=tuple(map(float, range(13))))
    few = thin_words(video, wanted=5)
    assert [frame.caption for frame in few.frames] == ["0", "2", "5", "7", "10"]
    assert few.times_s == (0.0, 2.0, 5.0, 7.0, 10.0)
    without = TextualVideo(id="a", frames=frames, caption="")
    assert thin_words(without, wanted=5).times_s == ()
    assert thin_words(video, wanted=13) is video


def test_no_frame_at_all_is_refused() -> None:
    with pytest.raises(ThinError, match="cannot be thinned to 0 frames"):
        thin_indices(3, wanted=0)
