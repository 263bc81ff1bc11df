"""Files of many frames: encoded in parts while they are decoded, with the same features."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.features.media_files import make_videos
from tests.models.encoder_fakes import save_clip
from textreel.data.media_files import MediaFile
from textreel.features import stages
from textreel.features.encode import PreparedClip, join_features, join_parts
from textreel.features.pipeline import EncodeSettings, encode_files
from textreel.features.store import FeatureStore
from textreel.media import album
from textreel.media.album import HandOn
from textreel.media.decode import Decoded, decode_clip
from textreel.media.sampling import SamplingSpec
from textreel.media.worker import GuardedReader
from textreel.models.batch import Features
from textreel.models.encoders import DualEncoder, load_encoder

SETTINGS = EncodeSettings(spec=SamplingSpec(policy="every_frame"), workers=1)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    return load_encoder(save_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[MediaFile, ...]:
    return make_videos(tmp_path_factory.mktemp("videos"), count=8)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: GuardedReader, path: Path, spec: SamplingSpec, *, hand_on: HandOn) -> Decoded:
        return decode_clip(path, spec, hand_on=hand_on)

    monkeypatch.setattr(GuardedReader, "read_parts", read)


@pytest.mark.parametrize("patches", [False, True])
def test_a_long_file_goes_to_the_tower_in_parts_of_one_size(
    patches: bool, videos, encoder, tmp_path: Path, in_this_process, monkeypatch
) -> None:
    settings = replace(SETTINGS, patches=patches)
    encode_files(videos, tmp_path / "whole", encoder, settings)
    whole, sizes = FeatureStore.open(tmp_path / "whole"), []
    prepared = "encode_prepared_patches" if patches else "encode_prepared"
    encode = getattr(encoder, prepared)

    def counted(inputs):
        sizes.append(len(inputs["pixel_values"]))
        return encode(inputs)

    monkeypatch.setattr(encoder, prepared, counted)
    monkeypatch.setattr(stages, "LONG_FRAMES", 4)
    monkeypatch.setattr(album, "PART_BYTES", 3 * 64 * 48 * 3)
    report = encode_files(videos, tmp_path / "parts", encoder, settings)
    assert report.encoded == 8 and report.frames == sum(range(2, 10))
    # files of 2, 3 and 4 frames share a batch; the others come alone: 4 + 1, 4 + 2, ... 4 + 4 + 1
    assert sorted(sizes) == sorted([9, 4, 1, 4, 2, 4, 3, 4, 4, 4, 4, 1])
    parts = FeatureStore.open(tmp_path / "parts")
    for id in whole.ids():
        assert parts[id].times_s.tolist() == whole[id].times_s.tolist()
        torch.testing.assert_close(parts[id].values, whole[id].values, atol=1e-3, rtol=0)


def test_frames_that_were_found_late_take_their_place(encoder: DualEncoder) -> None:
    rows = torch.arange(3.0)[:, None]
    late = [
        PreparedClip(name="a", inputs={"x": rows[part]}, times_s=rows[part, 0].double())
        for part in ([0, 2], [1])
    ]
    whole = join_parts(late)
    assert whole.times_s.tolist() == [0, 1, 2] and whole.inputs["x"].tolist() == [[0], [1], [2]]
    tracks = [
        Features(
            values=part.inputs["x"][:, None],
            times_s=part.times_s,
            modality="image",
            encoder="e",
            revision="r",
        )
        for part in late
    ]
    assert join_features(tracks).values.flatten().tolist() == [0, 1, 2]
