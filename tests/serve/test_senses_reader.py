"""A run with eyes and ears: what it says of sound, and what it does without one."""

import json
import wave as wave_files
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.models import published_fakes as fakes
from tests.serve.runs import save_decoder
from textreel.cli.app import run as run_command
from textreel.data.prompt import PromptTemplate
from textreel.data.senses_prompt import SensesTemplate
from textreel.features.dual_sound import DualSoundTower
from textreel.features.towers import ImageBindTower
from textreel.media.clip import Clip
from textreel.media.sampling import SamplingSpec
from textreel.media.sound_clips import SoundClipSpec
from textreel.media.write import write_clip
from textreel.models.decoder import load_decoder, locate
from textreel.models.encoders import load_encoder
from textreel.models.imagebind_encoder import load_imagebind_encoder
from textreel.models.qformer_connector import QFormerConnectorConfig
from textreel.models.video_llama import EncoderSource, VideoLlama, VideoLlamaConfig
from textreel.serve.bridging import save_sound_means
from textreel.serve.errors import (
    EncoderMismatchError,
    NothingToSeeError,
    QuestionError,
    RunError,
    StoryError,
    TooManyFramesError,
)
from textreel.serve.looking import Seen
from textreel.serve.run_files import BridgeSettings
from textreel.serve.senses_files import SensesSettings, load_senses_settings, save_senses_settings
from textreel.serve.senses_looking import Senses
from textreel.serve.senses_reader import held_back, load_senses_reader
from textreel.serve.session import Session, _identity, _light, load

TOWERS = "embedded:tiny/towers"
WORDS = PromptTemplate(
    name="w",
    choice_instruction="",
    open_instruction="",
    summary_instruction="summary",
    question="question {question} ",
    choices_lead="choices ",
    option="{text} ",
    choice_target="{text}",
    choice_lead="answer : ",
    open_lead="answer : ",
    video_lead="video : ",
)
TEMPLATE = SensesTemplate(
    name="test",
    layout="plain",
    words=WORDS,
    seen="{video}",
    still="{video}",
    heard="{sound}",
    both="{video}{sound}",
)
SHAPE = QFormerConnectorConfig(
    feature_dim=256, vectors_per_step=1, queries=3, width=16, heads=2, mlp_hidden=16, max_steps=8
)


def make_senses_run(home: Path, name: str, *, senses: str = "both", **changes: object) -> Path:
    """Write a run on the package's towers and a tiny random decoder."""
    decoder = home / "decoder"
    if not decoder.is_dir():
        save_decoder(decoder)
    encoder = load_encoder(locate(TOWERS))
    source = EncoderSource(name=encoder.name, revision=encoder.revision, weights=(TOWERS,))
    config = VideoLlamaConfig(
        decoder=str(decoder),
        image=None if senses == "ear" else SHAPE,
        sound=None if senses == "eye" else replace(SHAPE, queries=2),
        image_encoder=EncoderSource() if senses == "ear" else source,
        sound_encoder=EncoderSource() if senses == "eye" else source,
    )
    VideoLlama(load_decoder(str(decoder)), config).save_pretrained(home / name)
    settings = {
        "template": TEMPLATE,
        "sampling": SamplingSpec(num_frames=4),
        "clips": SoundClipSpec(rule="imagebind"),
    }
    save_senses_settings(home / name, SensesSettings(**(settings | changes)))  # type: ignore[arg-type]
    return home / name


def wave(seconds: float, *, loud: float = 0.3) -> np.ndarray:
    count = round(16_000 * seconds)
    return (loud * np.sin(np.arange(count) / 5)).astype(np.float32)[None]


def write(path: Path, *, frames: int, sound: np.ndarray | None = None) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (frames, 3, 32, 32), dtype=np.uint8)
    clip = Clip(
        frames=pixels,
        frame_times_s=np.arange(frames) * 0.5,
        duration_s=frames * 0.5,
        source=path.name,
        sound=sound,
        sound_rate_hz=None if sound is None else 16_000,
    )
    write_clip(path, clip)
    return path


def write_sound(path: Path, sound: np.ndarray) -> Path:
    with wave_files.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        file.writeframes((sound[0] * 32_767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("senses")
    make_senses_run(home, "run")
    make_senses_run(home, "eye", senses="eye")
    make_senses_run(home, "ear", senses="ear")
    write(home / "both.mp4", frames=6, sound=wave(3))
    write(home / "mute.mp4", frames=3)
    write(home / "silent.mp4", frames=6, sound=wave(3, loud=0.0))
    write_sound(home / "heard.wav", wave(3))
    (home / "story.txt").write_text("a red circle\nthe circle moves\n")
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(home / "still.png")
    return home


@pytest.fixture(scope="module")
def session(home: Path) -> Session:
    return load(home / "run")


OPTIONS = ["red circle", "blue square"]


def test_a_video_with_sound_is_seen_and_heard(session: Session, home: Path) -> None:
    answer = session.ask(home / "both.mp4", "what moves ?", options=OPTIONS)
    assert answer.sound_status == "used" and len(answer.frame_times_s) == 4
    assert sum(answer.probabilities) == pytest.approx(1.0)
    seen = session.look(home / "both.mp4")
    assert seen.heard is not None and seen.heard.values.shape == (8, 1, 256)
    assert session.reader.num_tokens(seen) == 5
    deaf = session.ask(replace(seen, heard=None), "what moves ?", options=OPTIONS)
    assert deaf.log_likelihoods != answer.log_likelihoods, "the sound reaches the answer"


@pytest.mark.parametrize(
    ("file", "status", "frames"),
    [("mute.mp4", "absent", 3), ("silent.mp4", "silent", 4), ("still.png", "absent", 1)],
)
def test_without_a_usable_sound_the_answer_is_by_sight(
    session: Session, home: Path, file: str, status: str, frames: int
) -> None:
    answer = session.ask(home / file, "what moves ?")
    assert (answer.sound_status, len(answer.frame_times_s)) == (status, frames)
    assert session.look(home / file).heard is None
    if frames < 4:
        assert f"saw {frames} of 4 frames" in answer.note


def test_a_sound_file_is_answered_by_ear(session: Session, home: Path) -> None:
    answer = session.ask(home / "heard.wav", "what moves ?", options=OPTIONS)
    assert answer.sound_status == "used" and answer.frame_times_s == ()
    assert session.look(home / "heard.wav").features is None
    with pytest.raises(NothingToSeeError, match="has eyes only, and the file has 0 frames"):
        load(home / "eye").ask(home / "heard.wav", "what ?")


def test_a_sound_that_is_damaged_or_too_short_is_undecodable(session: Session, home: Path) -> None:
    seen = session.look(home / "both.mp4")
    assert seen.clip is not None
    damaged = replace(seen.clip, sound=None, sound_rate_hz=None, sound_status="undecodable")
    assert session.ask(damaged, "what ?").sound_status == "undecodable"
    short = replace(seen.clip, sound=wave(0.02), sound_rate_hz=16_000, sound_status="used")
    answer = session.ask(short, "what ?")
    assert answer.sound_status == "undecodable"
    assert "its sound of 20.0 ms is too short for towers" in answer.note


def test_a_run_with_one_sense_uses_it_and_says_so(home: Path) -> None:
    ear, eye = load(home / "ear"), load(home / "eye")
    assert ear.ask(home / "both.mp4", "what ?", options=OPTIONS).frame_times_s == ()
    assert eye.ask(home / "both.mp4", "what ?", options=OPTIONS).sound_status == "unused"
    with pytest.raises(NothingToSeeError, match="has ears only, and the file has 3 frames"):
        ear.ask(home / "mute.mp4", "what ?")


def test_many_answers_are_those_of_single_questions(session: Session, home: Path) -> None:
    from textreel.serve.session import Question

    asked = [
        Question(video=home / name, question="what moves ?", options=options)
        for name in ("both.mp4", "mute.mp4", "heard.wav")
        for options in (tuple(OPTIONS), None)
    ]
    many = session.ask_many(asked, max_new_tokens=4)
    for one, answer in zip(asked, many, strict=True):
        alone = session.ask(one.video, one.question, options=one.options, max_new_tokens=4)
        assert (answer.text, answer.sound_status) == (alone.text, alone.sound_status)


def test_two_sounds_looked_at_are_told_apart(session: Session, home: Path) -> None:
    one, other = session.look(home / "heard.wav"), session.look(home / "heard.wav")
    assert one.features is None and one.pictures is None
    assert _identity(one) != _identity(other) and _identity(one) == _identity(one)


def test_a_single_picture_keeps_its_pixels_among_many_questions() -> None:
    frames = np.zeros((2, 3, 8, 8), np.uint8)
    clip = Clip(frames=frames, frame_times_s=np.arange(2.0), duration_s=2.0, source="s")
    single = replace(clip, frames=frames[:1], frame_times_s=np.zeros(1))
    seen = Seen(source="s", clip=clip)
    assert _light(seen).clip is None
    still = replace(seen, clip=single)
    assert _light(still) is still


def test_a_conversation_goes_on_and_a_story_is_read(session: Session, home: Path) -> None:
    talk = session.chat(home / "both.mp4", remember=True)
    first, second = talk.ask("what moves ?", options=OPTIONS), talk.ask("then ?", options=OPTIONS)
    assert first.sound_status == second.sound_status == "used" and talk.thread.reused > 5
    told = session.ask(home / "story.txt", "what moves ?", options=OPTIONS)
    assert told.sound_status == "absent" and len(told.frame_times_s) == 2


def test_more_frames_than_positions_are_one_clear_error(session: Session) -> None:
    many = Clip(
        frames=np.zeros((33, 3, 8, 8), np.uint8),
        frame_times_s=np.arange(33.0),
        duration_s=33.0,
        source="long.mp4",
    )
    with pytest.raises(TooManyFramesError, match=r"long.mp4 has too many .* 33 steps of time, but"):
        session.ask(many, "what ?")


def test_questions_and_videos_that_cannot_be_answered_say_why(session: Session, home: Path) -> None:
    with pytest.raises(QuestionError, match="tokens with what is seen and heard"):
        session.ask(home / "both.mp4", " ".join(["what"] * 48))
    seen = session.look(home / "both.mp4")
    assert seen.features is not None and seen.heard is not None
    other = replace(seen, heard=replace(seen.heard, revision="other"))
    with pytest.raises(EncoderMismatchError, match="its sound were encoded by towers"):
        session.ask(other, "what ?")
    with pytest.raises(EncoderMismatchError, match=r"holds nothing that .* reads"):
        session.ask(replace(seen, features=None, heard=None), "what ?")
    assert session.ask(seen.features, "what ?", max_new_tokens=1).sound_status == "absent"


@pytest.mark.slow
def test_a_run_comes_back_with_all_its_settings(home: Path) -> None:
    settings = load_senses_settings(home / "run")
    assert settings.template == TEMPLATE and settings.clips.rule == "imagebind"
    run = make_senses_run(
        home,
        "bridged",
        bridges={"image": BridgeSettings(name="mean_shift"), "sound": BridgeSettings(name="none")},
        knows="shapes",
    )
    answer = load(run).ask(home / "both.mp4", "what ?", max_new_tokens=1)
    assert answer.bridge == "mean_shift, none" and answer.note.endswith("knows only shapes")
    make_senses_run(home, "bridged", bridges={"sound": BridgeSettings(name="mean_shift")})
    with pytest.raises(RunError, match="moves sounds by their mean, but has no sound_mean"):
        load(run)
    save_sound_means(run, sound=torch.zeros(256), text=torch.ones(256))
    assert load(run).ask(home / "heard.wav", "what ?", max_new_tokens=1).bridge == "mean_shift"


def test_damaged_settings_are_told_by_name(home: Path) -> None:
    run = make_senses_run(home, "damaged")
    path = run / "run.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"more": 1}))
    with pytest.raises(RunError, match="fields that are missing or unknown: more"):
        load(run)
    path.write_text(json.dumps(values | {"clips": {"other": 1}}))
    with pytest.raises(RunError, match="fields of a part of it are not the known ones"):
        load(run)
    path.write_text("{")
    with pytest.raises(RunError, match=r"run.json is not JSON"):
        load(run)


@pytest.mark.slow
def test_other_encoders_than_the_run_names_are_refused(home: Path) -> None:
    fakes.save_imagebind(home / "imagebind_huge.pth")
    bound = load_imagebind_encoder(
        home / "imagebind_huge.pth",
        sound_scale="published",
        senses=["sound"],
        config=fakes.IMAGEBIND,
    )
    with pytest.raises(EncoderMismatchError, match="reads sound of towers"):
        load_senses_reader(home / "ear", senses=Senses(ear=ImageBindTower(bound)))
    with pytest.raises(RunError, match="the bridge of its sound needs an encoder that reads"):
        run = make_senses_run(home, "b", bridges={"sound": BridgeSettings(name="mean_shift")})
        load_senses_reader(run, senses=Senses())
    with pytest.raises(StoryError, match="by an encoder without a text side"):
        load_senses_reader(home / "run", senses=Senses()).look(home / "story.txt")


@pytest.mark.slow
def test_the_command_line_says_what_became_of_the_sound(home: Path, capsys) -> None:
    words = ["ask", str(home / "run"), str(home / "both.mp4"), "what moves ?"]
    assert run_command([*words, "--option", "red", "--option", "blue"]) == 0
    said = capsys.readouterr().out
    assert "sound   used" in said and "saw     4 frames" in said
    assert run_command(["ask", str(home / "run"), str(home / "heard.wav"), "what ?"]) == 0
    said = capsys.readouterr().out
    assert "saw     nothing" in said and "sound   used" in said


def test_a_clip_of_another_rate_and_more_channels_is_heard_as_its_mean(session: Session) -> None:
    seen = session.look(clip_of(wave(3)))
    louder, softer = wave(3) * 1.5, wave(3) * 0.5
    stereo = session.look(clip_of(np.concatenate([louder, softer])))
    assert seen.heard is not None and stereo.heard is not None
    torch.testing.assert_close(stereo.heard.values, seen.heard.values)
    faster = session.look(clip_of(np.repeat(wave(3), 2, axis=1), rate_hz=32_000))
    assert faster.heard is not None and faster.heard.values.shape == seen.heard.values.shape
    assert faster.heard.times_s.tolist() == pytest.approx(seen.heard.times_s.tolist(), abs=1e-3)


def clip_of(sound: np.ndarray, *, rate_hz: int = 16_000) -> Clip:
    return Clip(
        frames=np.zeros((2, 3, 16, 16), np.uint8),
        frame_times_s=np.array([0.0, 1.0]),
        duration_s=3.0,
        source="c",
        sound=sound,
        sound_rate_hz=rate_hz,
        sound_status="used",
    )


def test_a_run_may_hear_by_clap_and_not_by_what_has_no_ears(home: Path) -> None:
    for folder, save, text in (
        ("clap", fakes.save_clap, ""),
        ("blip2", fakes.save_blip2, "eva-blip2 does not hear, so it cannot serve as an ear"),
    ):
        save(home / folder)
        name = "eva-blip2" if folder == "blip2" else folder
        source = EncoderSource(name=name, weights=(str(home / folder),))
        shape = replace(SHAPE, feature_dim=10)
        config = VideoLlamaConfig(decoder=str(home / "decoder"), sound=shape, sound_encoder=source)
        VideoLlama(load_decoder(config.decoder), config).save_pretrained(home / "by")
        settings = SensesSettings(template=TEMPLATE, sampling=SamplingSpec(num_frames=4))
        save_senses_settings(home / "by", settings)
        if text:
            with pytest.raises(RunError, match=text):
                load(home / "by")
        else:
            answer = load(home / "by").ask(home / "heard.wav", "what ?", max_new_tokens=1)
            assert (answer.sound_status, answer.encoder) == ("used", "clap")


def test_the_beginning_of_a_stop_is_held_back() -> None:
    assert held_back("a ball #", "###") == "a ball" and held_back("a # b", "###") == "a # b"
    assert held_back("a ball", None) == "a ball"


def test_quiet_clips_are_left_out_and_the_loudest_stays() -> None:
    tower = DualSoundTower(load_encoder(locate(TOWERS)))
    sound = np.concatenate([wave(2), wave(6, loud=0.01)], axis=1)
    clip = Clip(
        frames=np.empty((0, 3, 0, 0), np.uint8),
        frame_times_s=np.empty(0),
        duration_s=8.0,
        source="s",
        sound=sound,
        sound_rate_hz=16_000,
        sound_status="used",
    )
    inputs, times_s = tower.prepare(clip, start_s=0.0)
    assert times_s == pytest.approx([1.0, 1 + 6 / 7, 1 + 12 / 7], abs=1e-3)
    assert inputs["mels"].shape == (3, 198, 64)
    assert json.loads(tower.rule(SamplingSpec()))["dual_sound"]["quiet"] == 0.125
    with pytest.raises(ValueError, match=r"has no sound for towers \(its sound: absent\)"):
        tower.prepare(
            replace(clip, sound=None, sound_rate_hz=None, sound_status="absent"), start_s=0
        )


def test_an_encoder_without_ears_is_no_sound_tower(tmp_path: Path) -> None:
    from tests.models.encoder_fakes import save_clip

    save_clip(tmp_path / "clip")
    with pytest.raises(ValueError, match="has no sound tower, so it cannot hear"):
        DualSoundTower(load_encoder(tmp_path / "clip"))
