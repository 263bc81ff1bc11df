"""Blind answerability: how many questions a language model answers without the video.

A question that the model answers from the words of its options alone measures nothing and teaches
little. The model sees question and options; one letter is asked for. The share is compared with
chance, and what it could not be read from is counted, never guessed.
"""

import asyncio
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from string import ascii_uppercase

from textreel.data.clustered import clustered_mean
from textreel.data.files import fingerprint
from textreel.data.journal import Journal
from textreel.data.textual_video import TextualQuestion, TextualVideo
from textreel.models.endpoint_errors import CompletionError, RequestError
from textreel.models.endpoint_wire import ChatRequest, Turn, read_completion
from textreel.synth.check.findings import CheckError
from textreel.synth.textvid.topics import Topic, make_topic
from textreel.synth.textvid.writers import Writer

SYSTEM = "You answer multiple-choice questions about a video that you have not seen."
ASK = "{question}\n{options}\n\nGuess. Answer with the letter of one option and nothing else."
ANSWER_TOKENS = 16
_LETTER = re.compile(r"\(?\b([A-Z])\b\)?")
_ARTICLE = re.compile(r"\bA (?!or\b|and\b|is\b)(?=[a-z])")
_THOUGHTS = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.S)


@dataclass(frozen=True, kw_only=True, slots=True)
class BlindReport:
    """How a model does without the video.

    Attributes:
        model: its name.
        asked: questions.
        right: of them.
        unreadable: answers that named no option, counted as wrong.
        failed: questions without an answer, counted as wrong.
        share: right over asked.
        stderr: standard error of the share, clustered by video: questions about one video share
            what is told of it. None where all are about a single one.
        videos: that the questions are about.
        chance: share that guessing gives.
    """

    model: str
    asked: int
    right: int
    unreadable: int
    failed: int
    share: float
    stderr: float | None
    videos: int
    chance: float


def ask_blind(
    videos: Iterable[TextualVideo],
    *,
    writer: Writer,
    name: str,
    count: int,
    answers: Path | None = None,
) -> BlindReport:
    """Ask a model questions without their videos.

    Args:
        videos: with questions; a seeded sample of `count` questions is taken, uniformly.
        writer: the model.
        name: its name, for the report.
        count: questions, at most.
        answers: journal for its answers, so that a repeated check pays for nothing twice.

    Raises:
        CheckError: no question to ask.
        ModelError: the model answers nothing at all.
    """
    sample = _sample(videos, count)
    asked = [(name, question) for _, name, question in sample]
    if not asked:
        raise CheckError("there is no question to ask blindly", hint="check the file")
    with ExitStack() as held:
        journal = None
        if answers is not None:
            job = fingerprint({"model": name, "system": SYSTEM, "ask": ASK})
            journal = held.enter_context(
                Journal.open(answers, kind="blind-answers", fingerprint=job)
            )
        texts = asyncio.run(_ask_all(asked, writer, journal))
    chosen = [
        None if text is None else read_letter(text, len(question.options))
        for (_, question), text in zip(asked, texts, strict=True)
    ]
    right = [index == question.answer for (_, question), index in zip(asked, chosen, strict=True)]
    failed = sum(text is None for text in texts)
    groups = [video for video, _, _ in sample]
    share, stderr, about = clustered_mean([float(hit) for hit in right], groups=groups)
    return BlindReport(
        model=name,
        asked=len(asked),
        right=sum(right),
        unreadable=sum(index is None for index in chosen) - failed,
        failed=failed,
        share=round(share, 4),
        stderr=None if math.isnan(stderr) else round(stderr, 4),
        videos=about,
        chance=round(sum(1 / len(question.options) for _, question in asked) / len(asked), 4),
    )


def read_letter(text: str, count: int) -> int | None:
    """Return the option that an answer names, None unless it is exactly one.

    >>> read_letter("The answer is (B).", 4), read_letter("A or C", 4), read_letter("no idea", 4)
    (1, None, None)
    """
    plain = _ARTICLE.sub("", _THOUGHTS.sub("", text))
    letters = set(_LETTER.findall(plain)) & set(ascii_uppercase[:count])
    return ascii_uppercase.index(letters.pop()) if len(letters) == 1 else None


def blind_prompt(question: TextualQuestion) -> str:
    """Return what the model is asked."""
    lettered = zip(ascii_uppercase, question.options, strict=False)
    options = "\n".join(f"{letter}. {text}" for letter, text in lettered)
    return ASK.format(question=question.question, options=options)


def _sample(videos: Iterable[TextualVideo], count: int) -> list[tuple[int, str, TextualQuestion]]:
    """Return a uniform sample (reservoir), the same for the same videos, in their order.

    Each question comes with the number of its video, and a name.
    """
    rng, kept, seen = Random("blind"), list[tuple[int, int, str, TextualQuestion]](), 0
    for number, video in enumerate(videos):
        for index, question in enumerate(video.questions):
            entry = (seen, number, f"{video.id} {index}", question)
            if len(kept) < count:
                kept.append(entry)
            elif (place := rng.randrange(seen + 1)) < count:
                kept[place] = entry
            seen += 1
    return [(v, name, question) for _, v, name, question in sorted(kept, key=lambda one: one[0])]


async def _ask_all(
    asked: list[tuple[str, TextualQuestion]], writer: Writer, journal: Journal | None
) -> list[str | None]:
    texts: list[str | None] = [None] * len(asked)
    rest: Iterator[tuple[int, tuple[str, TextualQuestion]]] = iter(enumerate(asked))

    async def work() -> None:
        for place, (name, question) in rest:
            texts[place] = await _ask_one(name, question, writer, journal)

    try:
        await asyncio.gather(*(work() for _ in range(writer.in_flight)))
    finally:
        await writer.close()
    return texts


async def _ask_one(
    name: str, question: TextualQuestion, writer: Writer, journal: Journal | None
) -> str | None:
    topic: Topic = make_topic(f"{name}\n{blind_prompt(question)}", kind="line", source="blind")
    request = ChatRequest(
        turns=(
            Turn(role="system", text=SYSTEM),
            Turn(role="user", text=blind_prompt(question)),
        ),
        max_tokens=ANSWER_TOKENS,
        temperature=0.0,
    )
    if journal is None:
        journal_body: Callable[[str], None] = _forget
    else:
        if topic.key in journal:
            with suppress(CompletionError):  # a failure that was received is asked for again
                return read_completion(journal[topic.key]["body"]).content
        journal_body = partial(_keep, journal, topic.key)
    try:
        completion = await writer.ask(
            topic, request, key_of=lambda: f"blind-{topic.key}", received=journal_body
        )
    except RequestError:
        return None
    return completion.content


def _keep(journal: Journal, key: str, body: str) -> None:
    journal.record(key, {"body": body}, attempt=journal.attempt(key) + 1)


def _forget(body: str) -> None:
    """Answers of a check without a journal are not kept."""
