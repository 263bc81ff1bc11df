"""Towers: what of a clip is encoded, when, and under which name; sounds through the pipeline."""

import wave
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.media import traps
from tests.models import published_fakes as fakes
from tests.models.encoder_fakes import save_clip
from textreel.data.media_files import find_media
from textreel.features.encode import encode_together, prepare_clip, prepare_sound
from textreel.features.errors import FeatureMismatchError, TowerError
from textreel.features.file_index import read_file_index
from textreel.features.pipeline import EncodeSettings, encode_files
from textreel.features.store import FeatureStore
from textreel.features.towers import (
    ImageBindTower,
    PictureTower,
    WindowTower,
    as_tower,
    sampling_of,
)
from textreel.media.clip import Clip
from textreel.media.cutting import Cutting
from textreel.media.decode import Decoded, decode_pieces, read_clip
from textreel.media.errors import NoStreamError, TooShortError
from textreel.media.sampling import SamplingSpec
from textreel.media.sound_clips import SoundClipSpec, sound_clips
from textreel.media.sound_pieces import cut_windows
from textreel.media.worker import GuardedReader
from textreel.media.write import write_clip
from textreel.models.encoders import load_encoder
from textreel.models.frame_encoder import load_frame_encoder
from textreel.models.imagebind_encoder import ImageBindEncoder, load_imagebind_encoder
from textreel.models.sound_text import SoundTextEncoder, load_sound_text_encoder

SPEC = SamplingSpec(num_frames=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    fakes.save_imagebind(folder / "imagebind_huge.pth")
    fakes.save_frame_qformer(folder / "eva_vit_g.pth", folder / "blip2.pth")
    fakes.save_clap(folder / "clap")
    return folder


@pytest.fixture(scope="module")
def imagebind(folder: Path) -> ImageBindEncoder:
    return load_imagebind_encoder(
        folder / "imagebind_huge.pth",
        sound_scale="published",
        senses=["sound"],
        config=fakes.IMAGEBIND,
    )


@pytest.fixture(scope="module")
def clap(folder: Path) -> SoundTextEncoder:
    return load_sound_text_encoder(folder / "clap")


def clip_of(seconds: float, *, rate_hz: int, channels: int = 1) -> Clip:
    time_s = np.arange(round(rate_hz * seconds)) / rate_hz
    sound = np.stack([np.sin(300 * (1 + c) * time_s) for c in range(channels)])
    return Clip(
        frames=np.zeros((2, 3, 16, 16), np.uint8),
        frame_times_s=np.array([0.0, 1.0]),
        duration_s=seconds,
        source="a.wav",
        sound=sound.astype(np.float32),
        sound_rate_hz=rate_hz,
        sound_status="used",
    )


def test_imagebind_hears_the_published_clips_at_their_middles(imagebind) -> None:
    clip = clip_of(10.0, rate_hz=16_000, channels=2)
    tower = ImageBindTower(imagebind, clips=SoundClipSpec(num_clips=5, rule="imagebind"))
    ((name, features),) = encode_together([prepare_sound("a", clip, tower, start_s=0.0)], tower)
    assert (name, features.modality, features.encoder) == ("a", "sound", "imagebind#x20")
    assert features.times_s.tolist() == [1, 3, 5, 7, 9]
    mels = sound_clips(clip.sound, SoundClipSpec(num_clips=5, rule="imagebind")).mels
    wanted = imagebind.encode_prepared_sounds({"mels": torch.from_numpy(mels)})
    assert torch.equal(features.values, wanted.half()[:, None])
    assert features.values.shape == (5, 1, 6)


def test_a_window_of_a_sound_is_heard_alone(imagebind) -> None:
    tower = ImageBindTower(imagebind)
    whole = clip_of(6.0, rate_hz=16_000)
    inputs, times_s = tower.prepare(whole, start_s=3.0)
    alone, own_s = tower.prepare(replace(whole, sound=whole.sound[:, 48_000:]), start_s=0.0)
    assert torch.equal(inputs["mels"], alone["mels"])
    assert times_s == [3.0 + time_s for time_s in own_s]


def test_windows_cover_a_sound_and_end_with_it(clap) -> None:
    tower = as_tower(clap)
    assert isinstance(tower, WindowTower) and tower.dim == 10
    inputs, times_s = tower.prepare(clip_of(5.0, rate_hz=8_000), start_s=0.0)
    assert times_s == [1.0, 2.5, 4.0]
    assert tower.encode(inputs).shape == (3, 10)
    _, times_s = tower.prepare(clip_of(1.0, rate_hz=8_000), start_s=0.0)
    assert times_s == [0.5]
    for samples in (10, 11, 20, 21, 999):
        starts, length = cut_windows(samples, 10)
        assert starts[0] == 0 and starts[-1] + length == samples
        assert all(b - a <= 10 for a, b in pairwise(starts))


def test_files_without_a_usable_sound_say_why(imagebind, clap) -> None:
    silent = replace(clip_of(1, rate_hz=16_000), sound=None, sound_rate_hz=None)
    silent = replace(silent, sound_status="absent")
    short = clip_of(0.02, rate_hz=16_000)
    for tower in (as_tower(imagebind), as_tower(clap)):
        with pytest.raises(NoStreamError, match=r"has no sound to encode \(its sound: absent\)"):
            tower.prepare(silent, start_s=0.0)
    with pytest.raises(TooShortError, match=r"sound of 20.0 ms is shorter than one frame"):
        as_tower(imagebind).prepare(short, start_s=0.0)
    with pytest.raises(TooShortError, match=r"sound of 20.0 ms is too short for clap"):
        as_tower(clap).prepare(clip_of(0.02, rate_hz=8_000), start_s=0.0)


def test_what_decides_the_features_decides_the_sampling(imagebind, clap) -> None:
    towers = [
        ImageBindTower(imagebind),
        ImageBindTower(imagebind, clips=SoundClipSpec(num_clips=3)),
        ImageBindTower(imagebind, clips=SoundClipSpec(rule="imagebind")),
        WindowTower(clap),
    ]
    window = replace(SPEC, start_s=1.0)
    names = [sampling_of(tower, spec) for tower in towers for spec in (SPEC, window)]
    assert len(set(names)) == len(names)
    other_frames = SamplingSpec(num_frames=7)
    assert sampling_of(towers[0], SPEC) == sampling_of(towers[0], other_frames)


def test_only_what_a_tower_has_can_be_had(imagebind, clap, folder, tmp_path) -> None:
    frames = load_frame_encoder(
        [folder / "eva_vit_g.pth", folder / "blip2.pth"],
        eva_config=fakes.EVA,
        qformer=fakes.QFORMER,
    )
    for wrong in (frames, imagebind):
        with pytest.raises(TowerError, match=r"patches of .* cannot be had"):
            as_tower(wrong, patches=True)
    with pytest.raises(TowerError, match="clap has no picture tower"):
        as_tower(clap, patches=True)
    with pytest.raises(TowerError, match="patches of imagebind#x20 cannot be had"):
        as_tower(ImageBindTower(imagebind), patches=True)
    clip = load_encoder(save_clip(tmp_path / "clip"))
    assert as_tower(clip, patches=True).name == "clip#patches"
    tower = as_tower(frames)
    assert isinstance(tower, PictureTower)
    clip = prepare_clip("a", clip_of(1, rate_hz=16_000), tower)
    ((_, features),) = encode_together([clip], tower)
    assert features.values.shape == (2, 3, 12) and features.times_s.tolist() == [0.0, 1.0]
    with pytest.raises(TowerError, match="clap hears; it has no use for frames"):
        as_tower(clap).prepare_frames(np.zeros((1, 3, 4, 4), np.uint8))


@pytest.fixture(scope="module")
def sounding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with sound, a sound file, a video without, and a sound of 12 ms."""
    folder = tmp_path_factory.mktemp("media")
    frames = np.zeros((8, 3, 32, 32), np.uint8)
    seen = replace(clip_of(2.0, rate_hz=16_000), frames=frames, frame_times_s=np.arange(8) / 4)
    write_clip(folder / "both.mp4", seen, fps=4)
    traps.wave(folder).rename(folder / "heard.wav")
    mute = replace(seen, sound=None, sound_rate_hz=None, sound_status="absent")
    write_clip(folder / "mute.mp4", mute, fps=4)
    with wave.open(str(folder / "short.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 200))
    return folder


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(
        self: GuardedReader, path: Path, spec: SamplingSpec, cutting: Cutting, **take: Any
    ) -> Decoded:
        return decode_pieces(path, spec, cutting, **take)

    monkeypatch.setattr(GuardedReader, "read_pieces", read)


@pytest.mark.usefixtures("in_this_process")
def test_sounds_go_through_the_pipeline_into_a_store(sounding, imagebind, tmp_path) -> None:
    files = find_media([sounding]).files
    settings = EncodeSettings(spec=SamplingSpec(), workers=1, max_bad=None)
    tower = ImageBindTower(imagebind, clips=SoundClipSpec(num_clips=2))
    report = encode_files(files, tmp_path / "s", tower, settings)
    assert (report.encoded, report.bad) == (2, 2)
    assert report.bad_by_kind == {"NoStreamError": 1, "TooShortError": 1}
    store = FeatureStore.open(tmp_path / "s")
    index = read_file_index(tmp_path / "s")
    features = store[index[str(sounding / "both.mp4")]]
    clip = read_clip(sounding / "both.mp4", SPEC, sound="all")
    inputs, times_s = tower.prepare(clip, start_s=0.0)
    assert features.modality == "sound" and features.times_s.tolist() == times_s
    wanted = tower.encode(inputs).half()[:, None]
    torch.testing.assert_close(features.values, wanted, atol=0.02, rtol=0)
    rule = (tmp_path / "s" / "sampling.json").read_text()
    assert '"sound_clips":{"num_clips":2,"rule":"video-llama"}' in rule
    assert encode_files(files, tmp_path / "s", tower, settings).skipped == 2
    with pytest.raises(FeatureMismatchError):
        encode_files(files, tmp_path / "s", ImageBindTower(imagebind), settings)
