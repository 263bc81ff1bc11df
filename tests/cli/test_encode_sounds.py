"""`textreel encode run` with encoders that hear, and the options that only they have."""

import json
import wave
from pathlib import Path

import pytest
import torch

from tests.media import traps
from tests.models import published_fakes as fakes
from textreel.cli.app import run
from textreel.features.store import FeatureStore
from textreel.models import imagebind_encoder


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "sounds").mkdir()
    traps.wave(home / "sounds")
    fakes.save_imagebind(home / "imagebind_huge.pth")
    fakes.save_clap(home / "clap")
    return home


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagebind_encoder, "ImageBindConfig", lambda: fakes.IMAGEBIND)
    whole = imagebind_encoder.load_imagebind
    monkeypatch.setattr(
        imagebind_encoder,
        "load_imagebind",
        lambda path, config, senses: whole(path, config=fakes.IMAGEBIND, senses=senses),
    )


def command(home: Path, out: Path, encoder: str, *more: str) -> list[str]:
    sounds = str(home / "sounds")
    return ["encode", "run", sounds, "--encoder", encoder, "--out", str(out), "--workers=1", *more]


@pytest.mark.slow  # a decoding process
def test_imagebind_stores_the_clips_of_a_sound(home, tmp_path, small, capsys) -> None:
    weights = ("--weights", str(home / "imagebind_huge.pth"))
    options = ("--clips", "3", "--clip-rule", "imagebind", "--sound-scale", "published")
    words = command(home, tmp_path / "s", "imagebind-audio", *weights, *options, "--json")
    assert run(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["encoded"], told["frames"]) == (1, 3)
    store = FeatureStore.open(tmp_path / "s")
    features = store[next(iter(store.ids()))]
    assert (features.encoder, features.modality) == ("imagebind#x20", "sound")
    assert torch.allclose(features.values.float().norm(dim=-1), torch.tensor(20.0), atol=0.05)


@pytest.mark.slow  # a decoding process
def test_clap_stores_windows(home, tmp_path, capsys) -> None:
    assert run(command(home, tmp_path / "s", str(home / "clap"))) == 0
    assert "1 of 1 files encoded" in capsys.readouterr().out
    assert FeatureStore.open(tmp_path / "s").identity.encoder == "clap"


@pytest.mark.slow  # a decoding process
def test_another_resampler_needs_another_store(home, tmp_path, capsys) -> None:
    words = command(home, tmp_path / "s", str(home / "clap"), "--resampler", "ffmpeg")
    assert run(words) == 0
    assert '"resampler":"ffmpeg"' in (tmp_path / "s" / "sampling.json").read_text()
    capsys.readouterr()
    assert run(command(home, tmp_path / "s", str(home / "clap"))) == 2
    assert "holds features of other frames: sampling" in capsys.readouterr().err


@pytest.mark.slow  # a decoding process
def test_a_sound_below_25_ms_is_listed_with_its_length(home, tmp_path, small, capsys) -> None:
    (tmp_path / "sounds").mkdir()
    with wave.open(str(tmp_path / "sounds" / "short.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 399))
    weights = ("--weights", str(home / "imagebind_huge.pth"))
    assert run(command(tmp_path, tmp_path / "s", "imagebind-audio", *weights)) == 3
    said = capsys.readouterr().err
    assert "its sound of 24.9 ms is shorter than one frame of 25 ms" in said


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("cut", r"cannot be read as ImageBind (imagebind_huge.pth), it may be cut short"),
        (
            "other",
            "weights are missing (first: sound.cls_token), 44 are left over (first: cls_token)",
        ),
        ("folder", "is a folder; the weights of ImageBind (imagebind_huge.pth) are one file"),
    ],
)
def test_a_wrong_weight_file_is_one_message(home, tmp_path, small, capsys, kind, wanted) -> None:
    file = tmp_path / "w.pth"
    if kind == "cut":
        whole = (home / "imagebind_huge.pth").read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
    elif kind == "other":
        fakes.save_frame_qformer(file, tmp_path / "b.pth")
    else:
        file.mkdir()
    words = command(home, tmp_path / "s", "imagebind-audio", "--weights", str(file))
    assert run(words) == 2
    said = capsys.readouterr()
    assert wanted in said.err and not said.out
    assert len(said.err.splitlines()) == 2  # the message, and the way out
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("encoder", "more", "wanted"),
    [
        ("clap", ["--clips", "3"], "--clips and --clip-rule have no effect on clap"),
        ("clap", ["--num-frames", "3"], "--fps and --policy have no effect on clap, which hears"),
        ("clap", ["--sound-scale", "unit"], "has no sound scale; only imagebind-audio has"),
        ("clap", ["--sound-scale", "double"], "--sound-scale double is not a choice of this"),
        ("clap", ["--clip-rule", "ours"], "--clip-rule ours is not a choice of this"),
        ("clap", ["--resampler", "linear"], "--resampler linear is not a resampler"),
        ("clap", ["--weights", "w.pth"], "brings its own weights; 1 more files were given"),
        ("imagebind-audio", [], "needs its published weights, imagebind_huge.pth; 0 files"),
        ("imagebind-audio", ["--weights", "."], ". is a folder; the weights of ImageBind"),
        ("imagebind-audio", ["--weights", "no.pth"], "no file no.pth, which should hold the"),
        ("eva-blip2", ["--weights", "a.pth"], "is read from two files, got 1"),
    ],
)
def test_options_without_effect_are_one_line(home, tmp_path, capsys, encoder, more, wanted) -> None:
    name = str(home / "clap") if encoder == "clap" else encoder
    assert run(command(home, tmp_path / "s", name, *more)) == 2
    said = capsys.readouterr()
    assert wanted in said.err and not said.out
    assert not (tmp_path / "s").exists()
