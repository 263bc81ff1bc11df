"""Sounds that are heard piece after piece: the same inputs, few at a time; and which resampler."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.media import traps
from tests.models import published_fakes as fakes
from tests.models.encoder_fakes import save_clip
from textreel.data.media_files import find_media
from textreel.data.quarantine import Quarantine
from textreel.features import listening, stages
from textreel.features.dual_sound import DualSoundTower
from textreel.features.encode import encode_together, prepare_sound
from textreel.features.errors import FeatureMismatchError, FeatureStoreError, TowerError
from textreel.features.file_index import read_file_index
from textreel.features.freed import give_back
from textreel.features.listening import Groups, hear
from textreel.features.pipeline import EncodeSettings, encode_files, open_store
from textreel.features.rules import require_rule
from textreel.features.store import FeatureStore
from textreel.features.towers import (
    ImageBindTower,
    PictureTower,
    SoundTower,
    WindowTower,
    sampling_of,
)
from textreel.media.decode import decode_clip
from textreel.media.errors import TooShortError
from textreel.media.sampling import SamplingSpec
from textreel.media.sound_clips import SoundClipSpec
from textreel.media.sound_pieces import Piece
from textreel.models.decoder import locate
from textreel.models.encoders import load_encoder
from textreel.models.imagebind_encoder import load_imagebind_encoder
from textreel.models.sound_text import load_sound_text_encoder
from textreel.serve.senses_looking import Senses, look_and_listen

ONE = SamplingSpec(num_frames=1)


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SoundTower]:
    folder = tmp_path_factory.mktemp("weights")
    fakes.save_imagebind(folder / "imagebind_huge.pth")
    fakes.save_clap(folder / "clap")
    imagebind = load_imagebind_encoder(
        folder / "imagebind_huge.pth",
        sound_scale="published",
        senses=["sound"],
        config=fakes.IMAGEBIND,
    )
    return {
        "imagebind": ImageBindTower(imagebind, clips=SoundClipSpec(num_clips=9)),
        "windows": WindowTower(load_sound_text_encoder(folder / "clap")),
        "dual": DualSoundTower(load_encoder(locate("embedded:tiny/towers"))),
    }


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return traps.long_sound(tmp_path_factory.mktemp("sound"))


@pytest.mark.parametrize("name", ["imagebind", "windows", "dual"])
@pytest.mark.parametrize("spec", [ONE, replace(ONE, start_s=2.5, end_s=11.7)])
def test_a_file_is_heard_as_its_sound_in_memory_is(towers, sound, name, spec) -> None:
    tower = towers[name]
    clip = decode_clip(sound, spec, sound=tower.sound, sound_rate_hz=tower.sound_rate_hz).clip
    prepared = prepare_sound("a", clip, tower, start_s=spec.start_s or 0.0)
    ((_, wanted),) = encode_together([prepared], tower)
    found, decoded = hear(sound, tower, spec)
    assert found is not None and decoded.clip.sound is None
    assert torch.equal(found.values, wanted.values) and torch.equal(found.times_s, wanted.times_s)
    assert len(found.times_s) > 2


def test_a_long_sound_goes_to_the_tower_in_parts_with_the_same_inputs(
    towers, sound, monkeypatch
) -> None:
    tower, given = towers["windows"], []
    clip = decode_clip(sound, ONE, sound="mono", sound_rate_hz=tower.sound_rate_hz).clip
    inputs, times_s = tower.prepare(clip, start_s=0.0)
    budget = 4 * inputs["input_features"][0].numel()
    monkeypatch.setitem(tower._encoder._runner.budget, "sound", budget)
    wanted = tower.encode(inputs)
    monkeypatch.setattr(listening, "LONG_PIECES", 4)

    def encode(prepared):
        given.append(prepared["input_features"])
        return WindowTower.encode(tower, prepared)

    monkeypatch.setattr(tower, "encode", encode)
    found, _ = hear(sound, tower, ONE)
    assert found is not None and found.times_s.tolist() == times_s
    assert [len(part) for part in given] == [4, 4]
    assert torch.equal(found.values[:, 0], wanted.half())  # parts are whole batches
    assert torch.equal(torch.cat(given), inputs["input_features"])
    assert inputs["input_features"].dtype == torch.float32


def test_freed_memory_is_given_back_where_it_can_be(monkeypatch) -> None:
    told = []
    libc = SimpleNamespace(malloc_trim=told.append)
    monkeypatch.setattr("ctypes.CDLL", lambda _: libc)
    monkeypatch.setattr("sys.platform", "linux")
    give_back()
    assert told == [0]
    del libc.malloc_trim  # another C library
    give_back()
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr("ctypes.CDLL", None)
    give_back()


def test_pieces_come_in_groups_or_all_together(towers) -> None:
    pieces = [Piece(samples=np.zeros((1, 5), np.float32), start=i, total=20) for i in range(9)]
    for name, sizes in (("windows", [4, 4, 1]), ("imagebind", [9])):
        found: list[Sequence[Piece]] = []
        groups = Groups(towers[name], found.append)
        for piece in pieces:
            groups.take(piece)
        groups.finish()
        assert [len(group) for group in found] == sizes
        assert [piece.start for group in found for piece in group] == list(range(9))
    with pytest.raises(TooShortError, match=r"sound of 0\.0 ms is too short for clap"):
        hear_nothing = Groups(
            towers["windows"],
            lambda none: towers["windows"].prepare_pieces(none, source="a", start_s=0.0),
        )
        hear_nothing.finish()


@pytest.mark.parametrize("name", ["imagebind", "windows"])
def test_the_pipeline_hears_a_long_sound_in_parts(towers, sound, tmp_path, monkeypatch, name):
    for module in (listening, stages):
        monkeypatch.setattr(module, "LONG_PIECES", 5)
    tower = towers[name]
    wanted, _ = hear(sound, tower, ONE)
    settings = EncodeSettings(spec=SamplingSpec(), workers=1)
    report = encode_files(find_media([sound]).files, tmp_path / "store", tower, settings)
    assert (report.encoded, report.bad) == (1, 0)
    store = FeatureStore.open(tmp_path / "store")
    found = store[read_file_index(store.path)[str(sound)]]
    assert wanted is not None and torch.equal(found.times_s, wanted.times_s)
    torch.testing.assert_close(found.values, wanted.values, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["imagebind", "windows", "dual"])
def test_a_file_without_sound_in_the_window_is_bad_and_the_others_are_heard(
    towers, sound, tmp_path, name
) -> None:
    files = find_media([sound, traps.wave(tmp_path)]).files  # a second of sound
    settings = EncodeSettings(spec=SamplingSpec(start_s=5.0), workers=1, max_bad=None)
    report = encode_files(files, tmp_path / "store", towers[name], settings)
    assert (report.encoded, report.bad) == (1, 1)
    (bad,) = Quarantine(tmp_path / "store" / "quarantine.jsonl")
    assert bad.message.startswith("its sound of 0.0 ms is ")


def test_another_resampler_makes_other_features_of_another_name(towers, sound, tmp_path) -> None:
    ours, theirs = SamplingSpec(), SamplingSpec(resampler="ffmpeg")
    for tower in towers.values():
        assert sampling_of(tower, ours) != sampling_of(tower, theirs)
    assert sampling_of(towers["imagebind"], ours) == "67d87019d0cf0990"  # of stores made before
    tower, files = towers["imagebind"], find_media([sound]).files
    out = tmp_path / "store"
    encode_files(files, out, tower, EncodeSettings(spec=theirs, workers=1))
    assert json.loads((out / "sampling.json").read_text())["resampler"] == "ffmpeg"
    with pytest.raises(FeatureMismatchError, match="holds features of other frames: sampling"):
        encode_files(files, out, tower, EncodeSettings(spec=ours, workers=1))
    (found,) = FeatureStore.open(out).read_many(FeatureStore.open(out).ids())
    (wanted, other) = (hear(sound, tower, spec)[0] for spec in (theirs, ours))
    assert wanted is not None and other is not None
    assert torch.equal(found.values, wanted.values)
    assert not torch.equal(found.values, other.values)


def test_a_run_refuses_sounds_that_were_heard_in_another_way(towers, tmp_path) -> None:
    ours, theirs, clips = SamplingSpec(), SamplingSpec(resampler="ffmpeg"), SoundClipSpec
    for tower in towers.values():
        for spec, other in ((ours, theirs), (theirs, ours)):
            store = open_store(tmp_path / tower.name / spec.resampler, tower, spec)
            kept = tower.cutting.rule if tower is not towers["windows"] else clips()
            require_rule(store, spec, kept)
            require_rule(store, replace(spec, num_frames=3), kept)
            said = f"resampler '{spec.resampler}' in the store but resampler '{other.resampler}'"
            with pytest.raises(FeatureMismatchError, match=said):
                require_rule(store, other, kept)
            with pytest.raises(FeatureMismatchError, match=r"start_s None in the .* start_s 2\.0"):
                require_rule(store, replace(spec, start_s=2.0), kept)
    store = open_store(tmp_path / "store", towers["imagebind"], ours)
    said = "other pieces of sound: num_clips 9 in the store but num_clips 8 here"
    with pytest.raises(FeatureMismatchError, match=said):
        require_rule(store, ours, clips())


def test_a_run_refuses_features_of_other_frames(tmp_path) -> None:
    ours, theirs = SamplingSpec(), SamplingSpec(num_frames=4, policy="video_llama_floor")
    tower = PictureTower(load_encoder(save_clip(tmp_path / "clip")))
    store = open_store(tmp_path / "store", tower, theirs)
    require_rule(store, replace(theirs, resampler="ffmpeg"), SoundClipSpec())
    said = (
        "other frames: num_frames 4, policy 'video_llama_floor' in the store but num_frames 8, "
        "policy 'centres' here"
    )
    with pytest.raises(FeatureMismatchError, match=said) as caught:
        require_rule(store, ours, SoundClipSpec())
    assert "encode again into another store by the run's rule" in caught.value.hint
    (store.path / "sampling.json").write_text("{")
    with pytest.raises(
        FeatureStoreError, match=r"sampling.json cannot be read: Expecting property"
    ):
        require_rule(store, ours, SoundClipSpec())
    (store.path / "sampling.json").write_text("null")
    with pytest.raises(FeatureStoreError, match=r"cannot be read: it holds no settings"):
        require_rule(store, ours, SoundClipSpec())
    (store.path / "sampling.json").unlink()  # of imported features nobody knows
    require_rule(store, ours, SoundClipSpec())


def test_a_session_listens_with_the_resampler_of_its_run(towers, sound) -> None:
    ear = towers["dual"]
    for name, other in (("sinc", "ffmpeg"), ("ffmpeg", "sinc")):
        spec = SamplingSpec(resampler=name)
        wanted, _ = hear(sound, ear, spec)
        unlike, _ = hear(sound, ear, replace(spec, resampler=other))
        clip = decode_clip(sound, ONE, sound="all", sound_rate_hz=None).clip
        for video in (sound, clip):
            seen = look_and_listen(video, Senses(ear=ear), sampling=spec, name="run")
            assert seen.heard is not None and wanted is not None and unlike is not None
            assert torch.equal(seen.heard.values, wanted.values)
            assert not torch.equal(seen.heard.values, unlike.values)


def test_a_resampler_for_pictures_is_refused(tmp_path) -> None:
    encoder = load_encoder(save_clip(tmp_path / "clip"))
    settings = EncodeSettings(spec=SamplingSpec(resampler="ffmpeg"))
    with pytest.raises(TowerError, match="resampler ffmpeg has no effect on clip, which hears not"):
        encode_files([], tmp_path / "store", encoder, settings)
    assert not (tmp_path / "store").exists()
