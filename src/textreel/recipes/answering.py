"""Exam questions put to a model: prompts in, `ChoiceRow`s out.

`sit_exam` asks any session, a run or an image-LLM, about files or clips; `answer_exam` asks a
`TrackLM` under training about features that are there already, and gives the same answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from textreel.data.collate import Collator
from textreel.data.prompt import Turn
from textreel.data.textual_video import TextualQuestion
from textreel.evaluate.rows import ChoiceRow
from textreel.models.batch import Features
from textreel.models.track_lm import TrackLM
from textreel.serve.looking import Video
from textreel.serve.session import Question, Session

BATCH_SIZE = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class ExamItem:
    """One question about one video.

    Attributes:
        id: unique in its exam.
        video_id: whose features answer it.
        question: the question.
    """

    id: str
    video_id: str
    question: TextualQuestion


def sit_exam(
    session: Session, items: Sequence[ExamItem], videos: Mapping[str, Video]
) -> list[ChoiceRow]:
    """Choose an option for every question as `Session.ask` does; each video is looked at once.

    Args:
        session: a run or an image-LLM.
        items: the questions.
        videos: by video id: a file, a clip, or whatever else the session looks at.

    Returns:
        A row per question, in order.

    Raises:
        MediaError, TooManyFramesError, QuestionError: see `Session.ask`.
    """
    about: dict[str, list[ExamItem]] = {}
    for item in items:
        about.setdefault(item.video_id, []).append(item)
    rows: dict[str, ChoiceRow] = {}
    for video_id, asked in about.items():
        video = videos[video_id]
        questions = [
            Question(
                video=video,
                question=item.question.question,
                options=item.question.options,
            )
            for item in asked
        ]
        for item, answer in zip(asked, session.ask_many(questions), strict=True):
            rows[item.id] = exam_row(item, answer.chosen, answer.probabilities)
    return [rows[item.id] for item in items]


def answer_exam(
    model: TrackLM,
    collator: Collator,
    items: Sequence[ExamItem],
    features: Mapping[str, Features] | None,
    *,
    captions: Mapping[str, Sequence[str]] | None = None,
) -> list[ChoiceRow]:
    """Choose an option for every question, through the model's own bridge.

    Args:
        model: scored as it is; its `bridge` is applied.
        collator: the model's.
        items: the questions.
        features: by video id; None: the model gets no video.
        captions: by video id, lines of text to read before the question.

    Returns:
        A row per question, in order.
    """
    choices = collator.encode_choices(
        [
            collator.write(
                item.id,
                turns=[
                    Turn(
                        task="choice",
                        question=item.question.question,
                        options=item.question.options,
                    )
                ],
                video=features is not None,
                context=() if captions is None else captions[item.video_id],
            )
            for item in items
        ]
    )
    order = sorted(range(len(items)), key=lambda i: len(choices[i].prompt.token_ids))
    rows: dict[int, ChoiceRow] = {}
    for start in range(0, len(order), BATCH_SIZE):
        part = order[start : start + BATCH_SIZE]
        batch = collator.collate(
            [
                (choices[i].prompt, None if features is None else features[items[i].video_id])
                for i in part
            ]
        ).to(model.decoder.device)
        scores = model.score(batch, [choices[i].options for i in part])
        for i, score in zip(part, scores, strict=True):
            rows[i] = exam_row(items[i], score.best, tuple(score.probabilities().tolist()))
    return [rows[i] for i in range(len(items))]


def exam_row(item: ExamItem, chosen: int | None, probabilities: tuple[float, ...]) -> ChoiceRow:
    """Return the row of a question that was answered."""
    return ChoiceRow(
        question_id=item.id,
        video_id=item.video_id,
        kind=item.question.kind,
        answer=item.question.answer,
        chosen=chosen,
        num_options=len(item.question.options),
        probabilities=probabilities,
        prompt=item.question.question,
    )
