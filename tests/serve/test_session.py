"""Asking a whole run: answers, their numbers, and that each part of the run has its effect."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.serve.runs import add_memory, add_statistics, make_run
from textreel.features.memory import Memory
from textreel.models.batch import Features
from textreel.serve.errors import RunError
from textreel.serve.run_files import BridgeSettings, save_run
from textreel.serve.session import Question, Session, load
from textreel.serve.story import parse_story

QUESTION = "which colour is the circle ?"
OPTIONS = ("red", "green", "the blue square")


def test_a_choice_comes_with_probabilities_and_what_was_seen(session: Session, home: Path) -> None:
    answer = session.ask(home / "one.mp4", QUESTION, options=OPTIONS)
    assert answer.options == OPTIONS
    assert answer.chosen is not None
    assert answer.text == OPTIONS[answer.chosen]
    assert sum(answer.probabilities) == pytest.approx(1)
    assert answer.probabilities == pytest.approx(
        torch.tensor(answer.log_likelihoods).softmax(0).tolist()
    )
    assert answer.frame_times_s == (0.5, 1.5, 2.5, 3.5)
    assert (answer.encoder, answer.bridge, answer.note) == ("towers", "none", "")


def test_log_likelihoods_are_those_of_whole_prompts(session: Session, home: Path) -> None:
    """Each option's, from one plain forward pass over prompt, video and option."""
    seen = session.look(home / "one.mp4")
    answer = session.ask(seen, QUESTION, options=OPTIONS)
    for index, option in enumerate(OPTIONS):
        words = f"question : {QUESTION} choices : a ) red b ) green c ) the blue square answer :"
        ids = session.reader.tokenizer.backend_tokenizer.encode
        tail = ids(words).ids
        wanted = [*ids(option).ids, 3]
        table = session.reader.model.decoder.get_input_embeddings()
        soft = session.reader.model.connector(
            seen.features.values[None].float(), times_s=seen.features.times_s[None]
        )[0]
        row = torch.cat(
            [
                table(torch.tensor([2, *ids("video :").ids])),
                soft,
                table(torch.tensor([*tail, *wanted])),
            ]
        )
        with torch.no_grad():
            logits = session.reader.model.decoder(inputs_embeds=row[None]).logits[0]
        steps = logits[-len(wanted) - 1 : -1].log_softmax(-1)
        total = steps[torch.arange(len(wanted)), torch.tensor(wanted)].sum()
        assert answer.log_likelihoods[index] == pytest.approx(float(total), abs=1e-4)


def test_the_video_changes_the_answer(session: Session, home: Path) -> None:
    one, two = (session.ask(home / f, QUESTION, options=OPTIONS) for f in ("one.mp4", "two.mp4"))
    assert one.probabilities != pytest.approx(two.probabilities, abs=1e-6)


def test_the_sound_is_never_passed_over_in_silence(session: Session, home: Path) -> None:
    silent, loud = (
        session.ask(home / f, QUESTION, options=OPTIONS) for f in ("one.mp4", "two.mp4")
    )
    assert (silent.sound_status, loud.sound_status) == ("absent", "unused")


def test_fewer_frames_than_asked_are_used_as_they_are(session: Session, home: Path) -> None:
    answer = session.ask(home / "short.mp4", QUESTION, options=OPTIONS)
    assert answer.frame_times_s == (0.0, 0.5)
    assert answer.note == "saw 2 of 4 frames: the file shows no more"


def test_an_open_question_is_answered_in_words(session: Session, home: Path) -> None:
    answer = session.ask(home / "one.mp4", QUESTION, max_new_tokens=5)
    assert answer.chosen is None
    assert answer.probabilities == ()
    assert 1 <= len(answer.text.split()) <= 5
    longer = session.ask(home / "one.mp4", QUESTION, max_new_tokens=9)
    assert longer.text.startswith(answer.text)


def test_many_questions_at_once_are_answered_as_one_by_one(session: Session, home: Path) -> None:
    every = [
        Question(video=home / "one.mp4", question=QUESTION, options=OPTIONS),
        Question(video=home / "story.txt", question="what moves ?", options=OPTIONS),
        Question(video=home / "two.mp4", question="what ?"),
        Question(video=home / "short.mp4", question=QUESTION, options=OPTIONS[:2]),
        Question(video=home / "one.mp4", question="what moves then ?"),
    ]
    together = session.ask_many(every, max_new_tokens=4)
    alone = [session.ask_many([question], max_new_tokens=4)[0] for question in every]
    for a, b in zip(together, alone, strict=True):
        assert a.text == b.text
        assert a.log_likelihoods == pytest.approx(b.log_likelihoods, abs=1e-4)
        assert a.frame_times_s == b.frame_times_s


def test_a_file_is_looked_at_once_for_many_questions(
    session: Session, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    plain = session.look
    monkeypatch.setattr(session, "look", lambda video: opened.append(video) or plain(video))
    asked = [Question(video=home / "one.mp4", question=q) for q in ("what ?", "which ?")]
    session.ask_many(asked, max_new_tokens=1)
    assert opened == [home / "one.mp4"]


def test_what_was_looked_at_can_be_asked_again(session: Session, home: Path) -> None:
    seen = session.look(home / "one.mp4")
    assert seen.clip is not None
    assert seen.clip.frames.shape == (4, 3, 32, 32)
    again = session.ask(seen, QUESTION, options=OPTIONS)
    assert again == session.ask(home / "one.mp4", QUESTION, options=OPTIONS)
    ready: Features = seen.features
    assert session.ask(ready, QUESTION, options=OPTIONS).probabilities == again.probabilities
    assert session.ask(seen.clip, QUESTION, options=OPTIONS).probabilities == again.probabilities


def test_a_story_stands_where_a_video_does(session: Session, home: Path) -> None:
    answer = session.ask(home / "story.txt", QUESTION, options=OPTIONS)
    assert answer.frame_times_s == (0.0, 1.0, 2.0)
    assert answer.sound_status == "absent"
    text = (home / "story.txt").read_text()
    told = session.ask(parse_story(text, name="story.txt"), QUESTION, options=OPTIONS)
    assert told == answer


def test_unknown_words_are_named_wherever_they_stand(session: Session, home: Path) -> None:
    (home / "odd.txt").write_text("a Zeppelin appears\n")
    answer = session.ask(home / "odd.txt", "what is the Gondola ?", options=["red", "plaid"])
    assert answer.note == "does not know: gondola, plaid, zeppelin"


def test_both_are_asked_in_a_comparison(session: Session, home: Path) -> None:
    pair = session.compare(home / "story.txt", home / "one.mp4", QUESTION, options=OPTIONS)
    assert pair.story == session.ask(home / "story.txt", QUESTION, options=OPTIONS)
    assert pair.video == session.ask(home / "one.mp4", QUESTION, options=OPTIONS)
    assert pair.agree == (pair.story.text == pair.video.text)


def test_a_memory_moves_pictures_and_leaves_stories_alone(home: Path, session: Session) -> None:
    """Over a memory of one row all pictures become that row."""
    run = make_run(home, name="memory", bridge=BridgeSettings(name="memory", temperature=0.1))
    row = add_memory(run, ["a red circle"])[0]
    bridged = load(run)
    one, two = (bridged.ask(home / f, QUESTION, options=OPTIONS) for f in ("one.mp4", "two.mp4"))
    assert one.bridge == "memory"
    assert one.probabilities == pytest.approx(two.probabilities, abs=1e-5)
    same = Features(
        values=row.half().expand(4, 1, -1),
        times_s=torch.tensor(one.frame_times_s, dtype=torch.float64),
        modality="text",
        encoder=bridged.reader.encoder.name,
        revision=bridged.reader.encoder.revision,
    )
    direct = session.ask(same, QUESTION, options=OPTIONS)
    assert one.probabilities == pytest.approx(direct.probabilities, abs=1e-3)
    story = bridged.ask(home / "story.txt", QUESTION, options=OPTIONS)
    assert story.bridge == "none"
    plain = session.ask(home / "story.txt", QUESTION, options=OPTIONS)
    assert story.probabilities == pytest.approx(plain.probabilities)


def test_a_mean_shift_comes_from_the_statistics_of_the_tower(home: Path, session: Session) -> None:
    run = make_run(home, name="shift", bridge=BridgeSettings(name="mean_shift"))
    add_statistics(run)
    answer = load(run).ask(home / "one.mp4", QUESTION, options=OPTIONS)
    assert answer.bridge == "mean_shift"
    plain = session.ask(home / "one.mp4", QUESTION, options=OPTIONS)
    assert answer.probabilities != pytest.approx(plain.probabilities, abs=1e-6)


def test_a_model_of_a_small_world_says_so(home: Path) -> None:
    run = make_run(home, name="small", knows="its own world of coloured shapes")
    answer = load(run).ask(home / "one.mp4", "what is a cat ?", max_new_tokens=1)
    assert answer.note == "does not know: cat; knows only its own world of coloured shapes"


def test_a_run_moves_together_with_its_models(home: Path, tmp_path: Path) -> None:
    before = load(make_run(tmp_path / "here")).ask(home / "one.mp4", QUESTION, options=OPTIONS)
    (tmp_path / "here").rename(tmp_path / "there")
    after = load(tmp_path / "there" / "run").ask(home / "one.mp4", QUESTION, options=OPTIONS)
    assert after == before


def test_a_saved_session_answers_the_same(home: Path, tmp_path: Path, session: Session) -> None:
    settings = replace(session.reader.settings, bridge=BridgeSettings(name="memory", top_k=2))
    vectors = session.reader.encoder.encode_texts(["a red circle", "a blue square", "left"])
    memory = Memory(
        vectors=vectors.half(),
        encoder="towers",
        revision=session.reader.encoder.revision,
        make_up="test",
    )
    settings = replace(settings, encoder=str(home / "towers"))
    session.reader.model.config = replace(
        session.reader.model.config, decoder=str(home / "decoder")
    )
    save_run(tmp_path / "new", session.reader.model, settings, memory=memory)
    loaded = load(tmp_path / "new")
    assert loaded.reader.settings.bridge == settings.bridge
    story, one = home / "story.txt", home / "one.mp4"
    plain = session.ask(story, QUESTION, options=OPTIONS).probabilities
    assert loaded.ask(story, QUESTION, options=OPTIONS).probabilities == pytest.approx(plain)
    assert loaded.ask(one, QUESTION, options=OPTIONS).bridge == "memory"


def test_a_memory_goes_with_its_bridge_and_its_encoder(session: Session, tmp_path: Path) -> None:
    memory = Memory(vectors=torch.eye(10).half(), encoder="clip", revision="abc", make_up="test")
    with pytest.raises(RunError, match="a memory was given for the bridge 'none'"):
        save_run(tmp_path / "new", session.reader.model, session.reader.settings, memory=memory)
    settings = replace(session.reader.settings, bridge=BridgeSettings(name="memory"))
    with pytest.raises(RunError, match="no memory was given for the bridge 'memory'"):
        save_run(tmp_path / "new", session.reader.model, settings)
    with pytest.raises(
        RunError, match=r"the memory is of clip \(revision abc\), but the model was"
    ):
        save_run(tmp_path / "new", session.reader.model, settings, memory=memory)
    assert not (tmp_path / "new").exists()
