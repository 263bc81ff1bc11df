"""ImageBind's own example, with its published weights, where they are at hand.

Nothing here downloads 4.5 GB: `TEXTREEL_IMAGEBIND` names `imagebind_huge.pth`, and
`TEXTREEL_SHARED` the folder with the three pictures and sounds.
"""

import os
from pathlib import Path

import pytest
import torch

from tests.parity.cases import SHARED
from textreel.features.towers import ImageBindTower
from textreel.media.decode import read_clip
from textreel.media.sampling import SamplingSpec
from textreel.media.sound_clips import SoundClipSpec
from textreel.models.open_encoder import open_encoder

NAMES = ("dog", "car", "bird")
WANTED = (0.807, 0.788, 0.996)
"""Softmax over the sounds, of each picture at its own (facebookresearch/ImageBind, README)."""
WEIGHTS = os.environ.get("TEXTREEL_IMAGEBIND", "")
SOUNDS = SHARED / "media" / "sound"


@pytest.mark.slow
@pytest.mark.skipif(not Path(WEIGHTS).is_file(), reason="TEXTREEL_IMAGEBIND names no weights")
@pytest.mark.skipif(not SOUNDS.is_dir(), reason=f"no pictures and sounds in {SOUNDS}")
def test_each_picture_finds_its_sound_as_published() -> None:
    eye = open_encoder("imagebind-image", weights=[WEIGHTS])
    frames = [read_clip(SOUNDS / f"imagebind_{n}.jpg", SamplingSpec()).frames for n in NAMES]
    seen = torch.cat([eye.encode_frames(frame[:1]) for frame in frames])
    del eye
    ear = open_encoder("imagebind-audio", weights=[WEIGHTS], sound_scale="published")
    tower = ImageBindTower(ear, clips=SoundClipSpec(num_clips=3, rule="imagebind"))
    heard = []
    for name in NAMES:
        clip = read_clip(SOUNDS / f"imagebind_{name}.wav", SamplingSpec(), sound="all")
        heard.append(tower.encode(tower.prepare(clip, start_s=0.0)[0]).mean(0))
    found = torch.softmax(seen @ torch.stack(heard).T, dim=-1).diagonal()
    torch.testing.assert_close(found, torch.tensor(WANTED), atol=0.02, rtol=0)
