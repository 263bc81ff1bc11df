"""What cannot be answered is refused with one clear message, before or instead of an answer."""

import wave
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.models.encoder_fakes import save_clip
from tests.serve.runs import add_memory, make_run
from textreel.data.errors import FingerprintError
from textreel.media.errors import MissingFileError, NotMediaError
from textreel.serve.errors import (
    EncoderMismatchError,
    NothingToSeeError,
    OptionsError,
    QuestionError,
    RunError,
    StoryError,
    TooManyFramesError,
)
from textreel.serve.questions import check_options, check_question
from textreel.serve.run_files import BridgeSettings
from textreel.serve.session import Session, load
from textreel.serve.story import parse_story

QUESTION = "which colour is the circle ?"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "0 options given, but a choice is between 2 and 26"),
        (["red"], "1 option given, but"),
        (["red"] * 27, "27 options given, but"),
        (["red", "  "], "option 2 of 2 is empty"),
        (["red", "green", " RED "], "options 1 and 3 of 3 are the same: 'RED'"),
    ],
)
def test_options_between_which_nothing_can_be_chosen(
    session: Session, options: list[str], message: str
) -> None:
    with pytest.raises(OptionsError, match=message) as error:
        session.ask("not opened.mp4", QUESTION, options=options)
    assert error.value.exit_code == 2
    assert error.value.hint


def test_options_lose_white_space_at_their_ends_only() -> None:
    assert check_options([" a red  one ", "b"]) == ("a red  one", "b")


def test_an_empty_question(session: Session) -> None:
    with pytest.raises(QuestionError, match="the question is empty"):
        session.ask("not opened.mp4", " \n")


def test_a_question_of_ten_thousand_words(session: Session) -> None:
    long = "what " * 10_000
    with pytest.raises(
        QuestionError, match=r"10,000 words make 10,000 tokens, but this model reads 64"
    ) as error:
        session.ask("not opened.mp4", long)
    assert error.value.exit_code == 2


def test_a_question_that_fits_alone_but_not_with_its_video(session: Session, home: Path) -> None:
    long = "what " * 60
    with pytest.raises(QuestionError, match=r"a question of 60 words does not fit: .* 64"):
        session.ask(home / "one.mp4", long, options=["red", "green"])
    with pytest.raises(QuestionError, match=r"a question of 60 words does not fit: .* 64"):
        session.ask(home / "one.mp4", long)


def test_an_answer_that_would_not_fit_behind_its_question(session: Session, home: Path) -> None:
    with pytest.raises(
        QuestionError, match=r"40 words does not fit: 51 tokens with its video, and 30 for"
    ):
        session.ask(home / "one.mp4", "what " * 40, max_new_tokens=30)


def test_a_decoder_without_a_limit_takes_any_question() -> None:
    tokenizer = Tokenizer(models.WordLevel({"what": 0}, unk_token="what"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    long = "what " * 100
    assert check_question(long, tokenizer=tokenizer, limit=None) == long.strip()


def test_files_that_are_no_videos_are_refused_by_their_reader(session: Session, home: Path) -> None:
    with pytest.raises(MissingFileError, match=r"gone\.mp4"):
        session.ask(home / "gone.mp4", QUESTION)
    (home / "text.mp4").write_text("this is a text, whatever its name says\n" * 20)
    with pytest.raises(NotMediaError, match=r"text\.mp4"):
        session.ask(home / "text.mp4", QUESTION)
    with pytest.raises(StoryError, match=r"there is no story .*gone\.txt"):
        session.ask(home / "gone.txt", QUESTION)


def test_a_sound_file_shows_nothing(session: Session, home: Path) -> None:
    path = home / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(range(200)) * 80)
    with pytest.raises(NothingToSeeError, match=r"sound\.wav shows nothing: it has 0 frames"):
        session.ask(path, QUESTION)


def test_a_story_of_more_lines_than_the_model_has_places(session: Session, home: Path) -> None:
    story = parse_story("a red circle\n" * 7, name="long.txt")
    with pytest.raises(
        TooManyFramesError, match=r"long\.txt has too many frames .*: 7 frames"
    ) as e:
        session.ask(story, QUESTION)
    assert e.value.exit_code == 2


def test_features_of_another_encoder(session: Session, home: Path) -> None:
    seen = session.look(home / "one.mp4")
    foreign = replace(seen.features, encoder="clip-b32", revision="abc")
    with pytest.raises(
        EncoderMismatchError,
        match=r"the features were made by clip-b32 \(revision abc\), but .*tow",
    ):
        session.ask(foreign, QUESTION)
    with pytest.raises(EncoderMismatchError, match=r"one\.mp4 were made by clip-b32"):
        session.ask(replace(seen, features=foreign), QUESTION)


def test_a_run_whose_encoder_was_exchanged(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    save_clip(tmp_path / "towers", seed=99)
    with pytest.raises(EncoderMismatchError, match=r"the features of .*run were made by towers"):
        load(run)


def test_a_bridge_whose_material_is_missing_or_foreign(tmp_path: Path) -> None:
    run = make_run(tmp_path, bridge=BridgeSettings(name="mean_shift"))
    with pytest.raises(RunError, match="the encoder towers has no stored means"):
        load(run)
    make_run(tmp_path, bridge=BridgeSettings(name="memory"))
    with pytest.raises(RunError, match=r"by a memory, but has no memory\.safetensors"):
        load(run)
    add_memory(run, ["a red circle", "a blue square"])
    save_clip(tmp_path / "towers", seed=99)
    make_run(tmp_path, bridge=BridgeSettings(name="memory"))
    with pytest.raises(FingerprintError, match=r"is a memory of towers"):
        load(run)


def test_an_unknown_run() -> None:
    with pytest.raises(RunError, match="there is no run nowhere: no such folder"):
        load("nowhere")
