"""An image-LLM as it is behind a session: the same protocol, its own refusals."""

from pathlib import Path

import pytest
import torch

from tests.models.image_mllm.tiny_image_llms import POSITIONS, save_image_llm
from textreel.media.sampling import SamplingSpec
from textreel.models.errors import NotAnImageLLMError
from textreel.models.image_mllm.pictures import PictureSettings
from textreel.serve.errors import (
    EncoderMismatchError,
    QuestionError,
    RunError,
    StoryError,
    TooManyFramesError,
)
from textreel.serve.run_files import find_model
from textreel.serve.session import Question, Session, load

QUESTION = "which colour is it ?"
OPTIONS = ("red", "green", "the blue square")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_image_llm(tmp_path_factory.mktemp("llms") / "tiny-vlm")


@pytest.fixture(scope="module")
def eyes(folder: Path) -> Session:
    return load(folder, sampling=SamplingSpec(num_frames=4))


def test_a_choice_comes_with_probabilities_and_what_was_seen(eyes: Session, home: Path) -> None:
    answer = eyes.ask(home / "two.mp4", QUESTION, options=OPTIONS)
    assert answer.chosen is not None
    assert answer.text == OPTIONS[answer.chosen]
    assert sum(answer.probabilities) == pytest.approx(1)
    assert answer.frame_times_s == (0.5, 1.5, 2.5, 3.5)
    assert (answer.sound_status, answer.encoder, answer.bridge) == ("unused", "tiny-vlm", "none")
    assert answer.frames is not None and answer.frames.shape == (4, 3, 32, 32)


def test_log_likelihoods_are_those_of_the_models_own_forward(eyes: Session, home: Path) -> None:
    reader, seen = eyes.reader, eyes.look(home / "one.mp4")
    answer = eyes.ask(seen, QUESTION, options=OPTIONS)
    asked = reader.write(seen, [reader.check(QUESTION, OPTIONS)])
    for index, letter in enumerate("ABC"):
        record = reader.collator.encode(asked.prompt.with_answer(letter))
        batch = reader.collator.collate([(record, seen.pictures)])
        with torch.no_grad():
            losses, _ = reader.model.token_losses(batch)
        assert answer.log_likelihoods[index] == pytest.approx(-float(losses.sum()), abs=1e-3)


def test_every_way_of_asking_gives_the_same_answer(eyes: Session, home: Path) -> None:
    clip = home / "one.mp4"
    answer = eyes.ask(clip, QUESTION, max_new_tokens=9)
    assert eyes.chat(clip).ask(QUESTION, max_new_tokens=9) == answer
    stream = eyes.stream(clip, QUESTION, max_new_tokens=9)
    assert "".join(stream) == answer.text
    assert stream.answer == answer
    every = [
        Question(video=clip, question=QUESTION),
        Question(video=home / "two.mp4", question=QUESTION),
        Question(video=clip, question=QUESTION, options=OPTIONS),
    ]
    first, second, third = eyes.ask_many(every, max_new_tokens=9)
    assert first == answer
    assert second == eyes.ask(home / "two.mp4", QUESTION, max_new_tokens=9)
    chosen = eyes.ask(clip, QUESTION, options=OPTIONS)
    assert third.probabilities == pytest.approx(chosen.probabilities, abs=1e-5)


def test_a_conversation_remembers_and_reads_the_video_once(eyes: Session, home: Path) -> None:
    talk = eyes.chat(home / "one.mp4")
    assert talk.remember
    first = talk.ask(QUESTION, max_new_tokens=3)
    read = eyes.reader.num_tokens(talk.seen)
    second = talk.ask("and why ?", max_new_tokens=3)
    assert talk.thread.reused >= read
    assert talk.answers == [first, second]
    fresh = eyes.chat(home / "one.mp4")
    again = fresh.reader.write(
        fresh.seen, [*talk._turns[:1], fresh.reader.check("and why ?", None)]
    )
    assert "and why ?" in again.prompt.text() and QUESTION in again.prompt.text()
    *_, text = fresh.reader.stream(again, fresh.thread, max_new_tokens=3)
    assert text == second.text
    talk.reset()
    assert talk.ask(QUESTION, max_new_tokens=3) == first


def test_more_frames_than_the_context_holds(folder: Path, home: Path) -> None:
    tiles = load(folder, pictures=PictureSettings(tiles=True), sampling=SamplingSpec(num_frames=8))
    assert tiles.reader.num_tokens(tiles.look(home / "one.mp4")) == 8 * 20
    tiles.reader.limit = 100
    with pytest.raises(
        TooManyFramesError, match=r"one\.mp4: 8 frames make 160 image tokens, but .* reads 100"
    ) as error:
        tiles.ask(home / "one.mp4", QUESTION)
    assert "--num-frames 1" in error.value.hint
    tiles.reader.limit = 60
    with pytest.raises(TooManyFramesError) as error:
        tiles.look(home / "one.mp4")
    assert "longer context" in error.value.hint


def test_questions_that_do_not_fit(eyes: Session, home: Path) -> None:
    with pytest.raises(QuestionError, match=rf"but this model reads {POSITIONS}"):
        eyes.ask("not opened.mp4", "what " * 200)
    with pytest.raises(QuestionError, match=r"a question of 90 words does not fit: .* and 400"):
        eyes.ask(home / "one.mp4", "a " * 90, max_new_tokens=400)
    with pytest.raises(QuestionError, match=r"does not fit: .* but the model reads 512"):
        eyes.ask(home / "one.mp4", "a " * 240)
    with pytest.raises(QuestionError, match=r"does not fit: .* but the model reads 512"):
        eyes.ask(home / "one.mp4", "a " * 240, options=["a", "b"])
    talk = eyes.chat(home / "one.mp4")
    talk.ask("a " * 60, max_new_tokens=2)
    with pytest.raises(QuestionError, match=r"120 words and 1 earlier turn does not fit") as error:
        talk.ask("a " * 120, max_new_tokens=200)
    assert error.value.hint.startswith("Begin a new conversation, ask")


def test_it_sees_no_stories_and_reads_no_features(eyes: Session, session: Session, home) -> None:
    with pytest.raises(StoryError, match="looks at pictures, so it cannot see a story"):
        eyes.ask(home / "story.txt", QUESTION)
    seen = session.look(home / "one.mp4")
    with pytest.raises(EncoderMismatchError, match="looks at pictures and reads no features"):
        eyes.ask(seen, QUESTION)
    with pytest.raises(EncoderMismatchError, match="was looked at by an image-LLM, and this run"):
        session.ask(eyes.look(home / "one.mp4"), QUESTION)


def test_a_sampling_beside_the_weights_holds(folder: Path, home: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(folder, tmp_path / "tuned"))
    (copy / "sampling.json").write_text(SamplingSpec(num_frames=2).to_json())
    assert len(load(copy).look(home / "one.mp4").frame_times_s) == 2
    with pytest.raises(RunError, match="says itself which frames are looked at"):
        load(copy, sampling=SamplingSpec(num_frames=4))


def test_settings_that_a_run_does_not_take(home: Path) -> None:
    with pytest.raises(RunError, match="so another sampling has no effect"):
        load(home / "run", sampling=SamplingSpec(num_frames=4))
    with pytest.raises(RunError, match="so picture settings have no effect"):
        load(home / "run", pictures=PictureSettings(tiles=True))


def test_names_lead_to_runs_or_to_image_llms(
    folder: Path, home: Path, tmp_path, monkeypatch
) -> None:
    assert find_model(folder) == (folder, "image-llm")
    assert find_model(home / "run") == (home / "run", "run")
    assert find_model("tiny")[1] == "run"
    assert find_model("someone/some-vlm") == (Path("someone/some-vlm"), "image-llm")
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    with pytest.raises(RunError, match="there is no run runs/typo"):
        find_model("runs/typo")
    with pytest.raises(RunError, match="is not a finished run: it lacks config"):
        load(tmp_path / "runs")
    with pytest.raises(NotAnImageLLMError, match="a model of kind 'llama', which has no eyes"):
        load(home / "decoder")
