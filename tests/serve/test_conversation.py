"""Conversations of a run: the same answers as alone, the video encoded once, records of it all."""

import json
from pathlib import Path

import pytest

from textreel.data.record import Record
from textreel.serve.session import Session

QUESTIONS = ("which colour is the circle ?", "what moves ?", "what is left ?")
OPTIONS = ("red", "green")


def test_each_question_is_answered_as_if_it_were_the_only_one(session: Session, home) -> None:
    talk = session.chat(home / "one.mp4")
    assert not talk.remember
    for question in QUESTIONS:
        answer = talk.ask(question, max_new_tokens=4)
        alone = session.ask_many([_question(home / "one.mp4", question)], max_new_tokens=4)[0]
        assert answer == alone
        chosen = talk.ask(question, options=OPTIONS)
        together = session.ask_many([_question(home / "one.mp4", question, OPTIONS)])[0]
        assert chosen.probabilities == pytest.approx(together.probabilities, abs=1e-5)
        assert chosen.question == question
    assert talk.thread.reused > session.reader.num_tokens(talk.seen)
    assert len(talk.answers) == 6


def _question(video, question, options=None):
    from textreel.serve.session import Question

    return Question(video=video, question=question, options=options)


def test_told_to_remember_it_shows_earlier_turns(session: Session, home: Path) -> None:
    talk = session.chat(home / "one.mp4", remember=True)
    talk.ask(QUESTIONS[0], options=OPTIONS)
    asked = talk._asked(QUESTIONS[1], None)
    assert QUESTIONS[0] in asked.prompt.text()
    assert asked.prompt.text().count(QUESTIONS[1]) == 1
    before = talk.answers[0].text
    assert f"answer : {before}" in asked.prompt.text()
    talk.reset()
    assert talk.answers == []
    assert QUESTIONS[0] not in talk._asked(QUESTIONS[1], None).prompt.text()


def test_a_stream_is_the_answer_in_pieces(session: Session, home: Path) -> None:
    answer = session.ask(home / "one.mp4", QUESTIONS[0], max_new_tokens=6)
    stream = session.stream(home / "one.mp4", QUESTIONS[0], max_new_tokens=6)
    pieces = list(stream)
    assert len(pieces) > 1
    assert "".join(pieces) == answer.text
    assert stream.answer == answer
    unread = session.chat(home / "one.mp4").stream(QUESTIONS[0], max_new_tokens=6)
    assert unread.answer == answer


def test_a_broken_off_answer_is_left_out(session: Session, home: Path) -> None:
    talk = session.chat(home / "one.mp4")
    pieces = iter(talk.stream(QUESTIONS[0], max_new_tokens=6))
    next(pieces)
    pieces.close()
    assert talk.answers == []
    answer = talk.ask(QUESTIONS[0], max_new_tokens=6)
    assert answer == session.ask(home / "one.mp4", QUESTIONS[0], max_new_tokens=6)


def test_the_latest_video_stays_read_between_questions(
    session: Session, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    plain = session.reader.look
    monkeypatch.setattr(session.reader, "look", lambda video: looked.append(video) or plain(video))
    session._latest = None
    first = session.ask(home / "one.mp4", QUESTIONS[0], options=OPTIONS)
    session.ask(home / "one.mp4", QUESTIONS[1], options=OPTIONS)
    assert session.ask(home / "one.mp4", QUESTIONS[0], options=OPTIONS) == first
    assert len(looked) == 1
    session.ask(home / "two.mp4", QUESTIONS[0], options=OPTIONS)
    assert len(looked) == 2
    (home / "copy.mp4").write_bytes((home / "one.mp4").read_bytes())
    session.ask(home / "copy.mp4", QUESTIONS[0], options=OPTIONS)
    (home / "copy.mp4").write_bytes((home / "two.mp4").read_bytes())
    changed = session.ask(home / "copy.mp4", QUESTIONS[0], options=OPTIONS)
    assert len(looked) == 4
    other = session.ask(home / "two.mp4", QUESTIONS[0], options=OPTIONS)
    assert changed.probabilities == other.probabilities


def test_a_conversation_is_saved_as_a_record(session: Session, home: Path, tmp_path) -> None:
    talk = session.chat(home / "one.mp4")
    assert len(talk.record().messages) == 1
    answer = talk.ask(QUESTIONS[0], options=OPTIONS)
    talk.ask(QUESTIONS[1], max_new_tokens=3)
    talk.save(tmp_path / "chat.json")
    record = Record.from_json(json.loads((tmp_path / "chat.json").read_text()))
    assert record == talk.record()
    kinds = [[part.kind for part in message.parts] for message in record.messages]
    assert kinds == [["video", "text"], ["text"], ["text"], ["text"]]
    assert record.messages[0].parts[1].value == f"{QUESTIONS[0]}\n- red\n- green"
    assert record.messages[1].parts[0].value == answer.text
