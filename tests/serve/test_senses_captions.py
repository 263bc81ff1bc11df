"""Captions by runs of two senses; one encoder that serves both."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.models import published_fakes as fakes
from tests.serve.test_senses_reader import (
    SHAPE,
    TEMPLATE,
    make_senses_run,
    wave,
    write,
    write_sound,
)
from textreel.cli.app import run as run_command
from textreel.features.towers import ImageBindTower
from textreel.media.sampling import SamplingSpec
from textreel.models import imagebind_files
from textreel.models.decoder import load_decoder
from textreel.models.video_llama import EncoderSource, VideoLlama, VideoLlamaConfig
from textreel.serve.captions import STYLES, CaptionError
from textreel.serve.senses_captions import caption_senses
from textreel.serve.senses_files import SensesSettings, save_senses_settings
from textreel.serve.senses_reader import load_senses_reader


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("captions")
    make_senses_run(home, "run")
    write(home / "both.mp4", frames=6, sound=wave(3))
    write(home / "mute.mp4", frames=3)
    write_sound(home / "heard.wav", wave(3))
    return home


def test_captions_say_what_is_seen_and_heard_or_each_frame_alone(home: Path, capsys) -> None:
    reader = load_senses_reader(home / "run")
    style = replace(STYLES["summary"], max_new_tokens=3)
    (one,) = caption_senses(reader, home / "both.mp4", style=style)
    (mute,) = caption_senses(reader, home / "mute.mp4", style=style)
    assert one.style == "summary" and one.bridge == "none" and one.end_s > one.start_s
    assert mute.source == str(home / "mute.mp4")
    frames = replace(STYLES["frames"], max_new_tokens=2)
    each = caption_senses(reader, home / "both.mp4", style=frames)
    assert len(each) == 4 and all(c.start_s == c.end_s for c in each)
    (heard,) = caption_senses(reader, home / "heard.wav", style=style)
    assert heard.start_s < heard.end_s
    with pytest.raises(CaptionError, match="has no pictures to caption one by one"):
        caption_senses(reader, home / "heard.wav", style=frames)
    with pytest.raises(CaptionError, match="no captions in the style vatex, and none with words"):
        caption_senses(reader, home / "both.mp4", style=STYLES["vatex"])
    words = ["caption", str(home / "run"), str(home / "both.mp4"), "--max-new-tokens", "2"]
    assert run_command([*words, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["captions"]) == 1
    assert run_command([*words, "--begin", "a"]) == 2


def test_imagebind_serves_both_senses_a_tower_for_each(home: Path, monkeypatch) -> None:
    monkeypatch.setattr(imagebind_files, "ImageBindConfig", lambda: fakes.IMAGEBIND)
    file = home / "imagebind_huge.pth"
    fakes.save_imagebind(file)
    shape = replace(SHAPE, feature_dim=6)
    config = VideoLlamaConfig(
        decoder=str(home / "decoder"),
        image=shape,
        sound=shape,
        image_encoder=EncoderSource(name="imagebind", weights=(str(file),)),
        sound_encoder=EncoderSource(name="imagebind#x20", weights=(str(file),)),
    )
    VideoLlama(load_decoder(config.decoder), config).save_pretrained(home / "imagebind")
    settings = SensesSettings(template=TEMPLATE, sampling=SamplingSpec(num_frames=4))
    save_senses_settings(home / "imagebind", settings)
    reader = load_senses_reader(home / "imagebind")
    assert isinstance(reader.senses.ear, ImageBindTower)
    seen = reader.look(home / "both.mp4")
    assert seen.features is not None and seen.heard is not None
    lengths = [f.values.float().norm(dim=-1).mean() for f in (seen.features, seen.heard)]
    assert lengths == pytest.approx([1.0, 20.0], rel=1e-2)
