from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.image_mllm.tiny_image_llms import save_image_llm
from textreel.data.collate import Collator
from textreel.data.textual_video import TextualFrame, TextualQuestion, TextualVideo
from textreel.evaluate.rows import ChoiceRow
from textreel.media.clip import Clip
from textreel.models.batch import Features
from textreel.models.track_lm import TrackLM
from textreel.recipes import answering
from textreel.recipes.answering import ExamItem, answer_exam, sit_exam
from textreel.serve.session import Session, load

QUESTIONS = (
    TextualQuestion(
        question="what colour is the circle ?",
        options=("red", "blue", "green", "yellow"),
        answer=1,
        kind="colour",
    ),
    TextualQuestion(
        question="how many objects are there at the end ?",
        options=("one", "two", "three"),
        answer=0,
        kind="count",
    ),
)
STORIES = {
    "a": ("a red circle on a black background", "a blue circle on a black background"),
    "b": ("a green square on a white background",) * 3,
}
ITEMS = tuple(
    ExamItem(id=f"{video}-{question.kind}", video_id=video, question=question)
    for video in STORIES
    for question in QUESTIONS
)


def story(id: str) -> TextualVideo:
    frames = tuple(TextualFrame(caption=line) for line in STORIES[id])
    return TextualVideo(id=id, frames=frames, caption="")


@pytest.fixture(scope="module")
def session(toy_run: Path) -> Session:
    return load(toy_run)


@pytest.fixture(scope="module")
def model(session: Session) -> TrackLM:
    return session.reader.model


@pytest.fixture(scope="module")
def collator(session: Session) -> Collator:
    return session.reader.collator


@pytest.fixture(scope="module")
def features(session: Session) -> dict[str, Features]:
    return {id: session.look(story(id)).features for id in STORIES}


def probabilities(rows: list[ChoiceRow]) -> torch.Tensor:
    return torch.tensor([p for row in rows for p in row.probabilities])


def test_the_exam_and_ask_say_the_same(
    session: Session, model: TrackLM, collator: Collator, features: dict[str, Features]
) -> None:
    rows = answer_exam(model, collator, ITEMS, features)
    for item, row in zip(ITEMS, rows, strict=True):
        options = item.question.options
        answer = session.ask(story(item.video_id), item.question.question, options=options)
        assert (row.question_id, row.video_id) == (item.id, item.video_id)
        assert (row.kind, row.prompt) == (item.question.kind, item.question.question)
        assert (row.chosen, row.num_options) == (answer.chosen, len(options))
        assert row.probabilities == pytest.approx(answer.probabilities, abs=1e-5)
        assert row.answer == item.question.answer


def test_a_session_sits_the_same_exam(
    session: Session, model: TrackLM, collator: Collator, features: dict[str, Features]
) -> None:
    rows = answer_exam(model, collator, ITEMS, features)
    sat = sit_exam(session, ITEMS[::-1], {id: story(id) for id in STORIES})
    assert [row.question_id for row in sat] == [item.id for item in ITEMS[::-1]]
    for row, other in zip(rows, sat[::-1], strict=True):
        assert (row.chosen, row.kind, row.answer) == (other.chosen, other.kind, other.answer)
        assert row.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_an_image_llm_sits_it_through_the_same_function(tmp_path: Path) -> None:
    eyes = load(save_image_llm(tmp_path / "vlm"))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
    clips = {
        id: Clip(
            frames=pixels if id == "a" else np.ascontiguousarray(pixels[::-1]),
            frame_times_s=np.arange(2.0),
            duration_s=2.0,
            source=id,
        )
        for id in STORIES
    }
    rows = sit_exam(eyes, ITEMS, clips)
    for item, row in zip(ITEMS, rows, strict=True):
        asked = eyes.ask(
            clips[item.video_id], item.question.question, options=item.question.options
        )
        assert (row.chosen, row.video_id) == (asked.chosen, item.video_id)
        assert row.probabilities == pytest.approx(asked.probabilities, abs=1e-5)
    assert rows[0].probabilities != pytest.approx(rows[2].probabilities, abs=1e-6)


def test_batches_change_nothing(
    model: TrackLM,
    collator: Collator,
    features: dict[str, Features],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = answer_exam(model, collator, ITEMS, features)
    monkeypatch.setattr(answering, "BATCH_SIZE", 3)
    parts = answer_exam(model, collator, ITEMS, features)
    assert [row.question_id for row in parts] == [item.id for item in ITEMS]
    torch.testing.assert_close(probabilities(parts), probabilities(whole), atol=1e-5, rtol=0)


def test_the_video_matters_and_without_it_videos_are_alike(
    model: TrackLM, collator: Collator, features: dict[str, Features]
) -> None:
    seen = answer_exam(model, collator, ITEMS, features)
    assert seen[0].probabilities != pytest.approx(seen[2].probabilities, abs=1e-6)
    blind = answer_exam(model, collator, ITEMS, None)
    assert blind[0].probabilities == pytest.approx(blind[2].probabilities, abs=1e-6)
    assert blind[0].probabilities != pytest.approx(seen[0].probabilities, abs=1e-6)


def test_captions_are_read_before_the_question(model: TrackLM, collator: Collator) -> None:
    blind = answer_exam(model, collator, ITEMS, None)
    told = answer_exam(model, collator, ITEMS, None, captions=STORIES)
    assert told[0].probabilities != pytest.approx(blind[0].probabilities, abs=1e-6)
    assert told[0].probabilities != pytest.approx(told[2].probabilities, abs=1e-6)
    silent = answer_exam(model, collator, ITEMS, None, captions=dict.fromkeys(STORIES, ()))
    assert silent == blind


def test_a_row_has_probabilities_of_its_options(
    model: TrackLM, collator: Collator, features: dict[str, Features]
) -> None:
    for row in answer_exam(model, collator, ITEMS, features):
        assert sum(row.probabilities) == pytest.approx(1)
        assert row.chosen is not None
        assert len(row.probabilities) == row.num_options
