"""Pixels of Video-LLaMA's training: crops, bytes that wrap around, and names that tell them."""

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from tests.media import traps
from tests.models import published_fakes as fakes
from textreel.cli.errors import OptionError
from textreel.cli.sound_options import with_pixels
from textreel.data.media_files import find_media
from textreel.features.errors import TowerError
from textreel.features.pipeline import EncodeSettings, encode_files
from textreel.features.pixels import CroppedTower, pixels_of
from textreel.features.towers import ImageBindTower
from textreel.media.album import HandOn, Part
from textreel.media.decode import Decoded, decode_clip
from textreel.media.sampling import SamplingSpec
from textreel.media.worker import GuardedReader
from textreel.models.decoder import locate
from textreel.models.encoders import load_encoder
from textreel.models.frame_encoder import FrameEncoder, load_frame_encoder
from textreel.models.imagebind_encoder import load_imagebind_encoder
from textreel.models.training_pixels import SIDE_PX, draw_box, to_bytes, training_frames

EDGE = np.zeros((2, 3, 32, 48), dtype=np.uint8)
EDGE[..., 20:] = 255


@pytest.fixture
def frame_encoder(tmp_path: Path) -> FrameEncoder:
    fakes.save_frame_qformer(tmp_path / "eva_vit_g.pth", tmp_path / "blip2.pth")
    return load_frame_encoder(
        [tmp_path / "eva_vit_g.pth", tmp_path / "blip2.pth"],
        eva_config=fakes.EVA,
        qformer=fakes.QFORMER,
    )


def test_overshoot_wraps_as_the_published_cast_or_is_held() -> None:
    values = torch.tensor([-3.2, -0.5, 12.9, 255.9, 258.7])
    assert to_bytes(values, wrapped=True).tolist() == [253, 0, 12, 255, 2]
    assert to_bytes(values, wrapped=False).tolist() == [0, 0, 12, 255, 255]


def test_a_clip_has_one_crop_and_a_still_never_wraps() -> None:
    wrapped, held = (training_frames(EDGE, clip="c", wrapped=w) for w in (True, False))
    assert wrapped.shape == held.shape == (2, 3, SIDE_PX, SIDE_PX)
    assert np.array_equal(wrapped[0], wrapped[1]), "the same crop for all frames"
    apart = wrapped != held
    assert 0 < apart.mean() < 0.1, "specks"
    assert set(held[apart].tolist()) <= {0, 255}
    part = training_frames(EDGE[1:], clip="c", wrapped=True)
    assert np.array_equal(part, wrapped[1:]), "the same crop for all parts"
    assert not np.array_equal(training_frames(EDGE, clip="b", wrapped=True), wrapped)
    assert training_frames(EDGE[:0], clip="a", wrapped=True).shape == (0, 3, 32, 48)


@pytest.mark.parametrize("count", [1, 5])
def test_a_clip_in_parts_has_the_crop_of_a_whole_one(
    frame_encoder, tmp_path, monkeypatch, count
) -> None:
    files = find_media([traps.plain(tmp_path)]).files

    def read(self: GuardedReader, path: Path, spec: SamplingSpec, *, hand_on: HandOn) -> Decoded:
        def sharp(part: Part) -> None:
            noise = np.random.default_rng(0).random(part.frames.shape[1:]) < 0.5
            frames = np.broadcast_to(255 * noise.astype(np.uint8), part.frames.shape)
            hand_on(replace(part, frames=frames))

        return decode_clip(path, spec, hand_on=sharp)

    monkeypatch.setattr(GuardedReader, "read_parts", read)
    settings = EncodeSettings(spec=SamplingSpec(num_frames=count), workers=1)
    prepared: dict[str, torch.Tensor] = {}
    for per_part in (8, 1, 3):
        size = per_part * decode_clip(files[0].path, settings.spec).clip.frames[0].nbytes
        monkeypatch.setattr("textreel.media.album.PART_BYTES", size)
        for pixels in ("wrapped", "cropped"):
            tower = CroppedTower(frame_encoder, pixels=pixels)
            seen: list[torch.Tensor] = []
            encode = tower.encode
            monkeypatch.setattr(
                tower, "encode", lambda inputs, e=encode, s=seen: s.append(inputs) or e(inputs)
            )
            encode_files(files, tmp_path / f"{pixels}-{per_part}", tower, settings)
            (inputs,) = seen
            wanted = prepared.setdefault(pixels, inputs["pixel_values"])
            assert inputs["pixel_values"].equal(wanted), (pixels, per_part)
    still = prepared["wrapped"].equal(prepared["cropped"])
    assert still == (count == 1), "a clip wraps, a still does not"


def test_crops_are_of_the_published_sizes() -> None:
    rng = Random(0)
    boxes = [draw_box(rng, side=100) for _ in range(300)]
    shares = [tall * wide / 10_000 for _, _, tall, wide in boxes]
    assert 0.49 < min(shares) < 0.55 and 0.9 < max(shares) <= 1
    ratios = [wide / tall for _, _, tall, wide in boxes]
    assert 0.72 < min(ratios) < 0.85 and 1.2 < max(ratios) < 1.36
    assert all(top + tall <= 100 and left + wide <= 100 for top, left, tall, wide in boxes)

    class Wide(Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    assert draw_box(Wide(0), side=100) == (0, 0, 100, 100), "no draw fits"


def test_a_store_s_encoder_says_which_pixels(frame_encoder) -> None:
    encoder = frame_encoder
    assert with_pixels(encoder, None) is encoder and with_pixels(encoder, "squashed") is encoder
    tower = with_pixels(encoder, "wrapped")
    assert isinstance(tower, CroppedTower)
    assert (tower.name, tower.revision) == ("eva-blip2#wrapped", encoder.revision)
    held = CroppedTower(encoder, pixels="cropped")
    seen = [t.prepare_some(EDGE, clip="c", still=False)["pixel_values"] for t in (tower, held)]
    assert not seen[0].equal(seen[1])
    names = ("eva-blip2", "eva-blip2#fp32", "eva-blip2#cropped", tower.name)
    assert [pixels_of(n) for n in names] == ["squashed", "squashed", "cropped", "wrapped"]
    with pytest.raises(OptionError, match="--pixels x is not a choice of this option"):
        with_pixels(encoder, "x")


def test_other_encoders_have_no_such_pixels(tmp_path: Path) -> None:
    with pytest.raises(TowerError, match="are for eva-blip2 and imagebind-image, not for towers"):
        CroppedTower(load_encoder(locate("embedded:tiny/towers")), pixels="wrapped")
    with pytest.raises(TowerError, match="are for eva-blip2 and imagebind-image, not for towers"):
        with_pixels(load_encoder(locate("embedded:tiny/towers")), "squashed")
    fakes.save_imagebind(tmp_path / "imagebind_huge.pth")
    ear = load_imagebind_encoder(
        tmp_path / "imagebind_huge.pth",
        sound_scale="unit",
        senses=["sound"],
        config=fakes.IMAGEBIND,
    )
    for pixels in ("squashed", "wrapped"):
        with pytest.raises(TowerError, match="--pixels has no effect on imagebind, which hears"):
            with_pixels(ImageBindTower(ear), pixels)
