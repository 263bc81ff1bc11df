import pytest
import torch

from textreel.data.textual_video import TextualVideo
from textreel.features.encode import encode_textual_videos
from textreel.features.memory import MemoryBuildError
from textreel.features.memory_of import memory_of_texts, memory_of_videos
from textreel.models.decoder import locate
from textreel.models.encoders import DualEncoder, load_encoder
from textreel.synth.world.textual import draw_textual_videos


@pytest.fixture(scope="module")
def towers() -> DualEncoder:
    return load_encoder(locate("embedded:tiny/towers"))


@pytest.fixture(scope="module")
def videos() -> list[TextualVideo]:
    return list(draw_textual_videos(3, 0))


def test_a_memory_of_frames_holds_what_training_reads(towers: DualEncoder, videos) -> None:
    memory = memory_of_videos(videos, towers, size=12, source="here", seed=1)
    assert memory.vectors.shape == (12, towers.dim) and memory.vectors.dtype == torch.float16
    frames = torch.cat([f.values[:, 0] for _, f in encode_textual_videos(videos, towers)])
    nearest = (memory.vectors.float() @ frames.float().T).max(1).values
    torch.testing.assert_close(nearest, torch.ones(12), atol=2e-3, rtol=0)
    assert len(torch.unique(memory.vectors, dim=0)) == 12
    assert memory.revision == towers.revision
    assert (
        memory.make_up == "12 of the frames (caption+objects) of 3 textual videos from here, seed 1"
    )


def test_a_memory_of_captions_is_another(towers: DualEncoder, videos) -> None:
    frames = memory_of_videos(videos, towers, size=3)
    captions = memory_of_videos(videos, towers, size=3, mode="caption")
    assert not torch.equal(frames.vectors, captions.vectors)
    said = [frame.caption for video in videos for frame in video.frames]
    texts = memory_of_texts(said, towers, size=3, source="a.txt")
    assert torch.equal(texts.vectors, captions.vectors)
    assert texts.make_up.endswith("captions from a.txt, seed 0")


def test_a_memory_of_nothing_is_refused(towers: DualEncoder) -> None:
    with pytest.raises(MemoryBuildError, match="a memory of nothing: there are no frames"):
        memory_of_videos([], towers, size=1)
