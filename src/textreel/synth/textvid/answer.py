"""A model's answer to a request for a textual video: the JSON that is asked for, and its reading.

What is asked for is strict (`ANSWER_SCHEMA`); what is read is tolerant: text around the object,
code fences, thoughts before the answer, a comma too many, Python's quotes, objects as a dictionary
or a list of names, options with their letters, an answer as letter or as the option's text. What it
means must be plain, though: nothing is filled in, cut or guessed, and an answer about another topic
than the one that was asked for is refused, for answers can be swapped on their way.
"""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from textreel.data.textual_jsonl import faults
from textreel.data.textual_video import TextualFrame, TextualQuestion, TextualVideo
from textreel.synth.check.words import units
from textreel.synth.textvid.topics import Topic

_THOUGHTS = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.S)
_COMMA_TOO_MANY = re.compile(r",(\s*[}\]])")
_OPTION_LETTER = re.compile(r"\s*\(?([A-Z])[).:]\s+")
_ANSWER_LETTER = re.compile(r"\s*(?:(?i:option)\s+)?\(?([A-Za-z])\)?(?:[.:)].*)?\s*", re.S)
SAME_TOPIC = 0.5
"""Share of the words of topic and repeated topic together that both must have (Jaccard)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerFault:
    """Why an answer cannot be used.

    Attributes:
        code: one or two words, for counting.
        message: what is wrong, for the model that is asked to mend it, and for people.
        fresh: the whole answer is of no use, so it is asked for anew rather than mended.
    """

    code: str
    message: str
    fresh: bool = False


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Object(_Strict):
    name: str
    description: str


class _Frame(_Strict):
    caption: str
    objects: list[_Object]


class _Question(_Strict):
    kind: str
    question: str
    options: list[str]
    answer: str
    open_answer: str


class _Answer(_Strict):
    topic: str
    frames: list[_Frame]
    caption: str
    questions: list[_Question]


ANSWER_SCHEMA: Mapping[str, Any] = _Answer.model_json_schema()
"""JSON schema of the answer, as it is sent to servers that take one."""


class _Tolerant(BaseModel):
    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)


def _as_objects(value: object) -> object:
    if isinstance(value, Mapping):
        return [{"name": name, "description": text} for name, text in value.items()]
    if isinstance(value, list):
        return [{"name": one} if isinstance(one, str) else one for one in value]
    return value


def _as_options(value: object) -> object:
    return list(value.values()) if isinstance(value, Mapping) else value


class _ReadObject(_Tolerant):
    name: str
    description: str = ""


class _ReadFrame(_Tolerant):
    caption: str
    objects: Annotated[list[_ReadObject], BeforeValidator(_as_objects)] = []
    time_s: float | None = None


class _ReadQuestion(_Tolerant):
    kind: str = ""
    question: str
    options: Annotated[list[str], BeforeValidator(_as_options)]
    answer: str | int
    open_answer: str = ""


class _ReadAnswer(_Tolerant):
    topic: str
    frames: list[_ReadFrame]
    caption: str
    questions: list[_ReadQuestion]


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where an answer comes from, kept with the record.

    Attributes:
        writer: the model's name.
        prompt: hash of the prompts.
    """

    writer: str
    prompt: str


def read_answer(content: str, *, topic: Topic, origin: Origin) -> TextualVideo | AnswerFault:
    """Return the textual video that an answer holds, or why there is none.

    Args:
        content: the model's text.
        topic: what it was asked about; its key becomes the video's id.
        origin: kept with the record.
    """
    raw = _json_object(content)
    if isinstance(raw, AnswerFault):
        return raw
    try:
        found = _ReadAnswer.model_validate(raw)
    except ValidationError as error:
        return AnswerFault(code="schema", message=_told(error))
    if not _same_topic(found.topic, topic.text):
        return AnswerFault(
            code="other-topic",
            message=f"it is about {found.topic[:80]!r}, not about {topic.text[:80]!r}",
            fresh=True,
        )
    return _video(found, topic, origin)


def answer_text(video: TextualVideo, *, topic: Topic) -> str:
    """Return the answer that holds a textual video; for writers that are no language model."""
    times_s: tuple[float | None, ...] = video.times_s or (None,) * len(video.frames)
    frames = [
        {
            "caption": frame.caption,
            "objects": [{"name": name, "description": text} for name, text in frame.objects],
            **({} if time_s is None else {"time_s": time_s}),
        }
        for frame, time_s in zip(video.frames, times_s, strict=True)
    ]
    questions = [
        {
            "kind": question.kind,
            "question": question.question,
            "options": list(question.options),
            "answer": ascii_uppercase[question.answer],
            "open_answer": question.open_answer,
        }
        for question in video.questions
    ]
    answer = {"topic": topic.text, "frames": frames, "caption": video.caption}
    return json.dumps({**answer, "questions": questions}, ensure_ascii=False)


def _video(found: _ReadAnswer, topic: Topic, origin: Origin) -> TextualVideo | AnswerFault:
    questions = []
    for number, read in enumerate(found.questions):
        options = _without_letters(read.options)
        index = _answer_index(read.answer, options)
        if index is None:
            told = f"questions.{number}.answer: {str(read.answer)[:60]!r} is none of its "
            told += f"{len(options)} options; give the letter of the right one"
            return AnswerFault(code="answer", message=told)
        questions.append(
            TextualQuestion(
                question=read.question,
                options=options,
                answer=index,
                open_answer=read.open_answer or options[index],
                kind=read.kind.split("(")[0].strip().lower(),
            )
        )
    times_s = tuple(frame.time_s for frame in found.frames if frame.time_s is not None)
    video = TextualVideo(
        id=topic.key,
        frames=tuple(
            TextualFrame(
                caption=frame.caption,
                objects=tuple((one.name, one.description) for one in frame.objects),
            )
            for frame in found.frames
        ),
        caption=found.caption,
        questions=tuple(questions),
        times_s=times_s,
        source=topic.source,
        topic=topic.text,
        writer=origin.writer,
        prompt=origin.prompt,
    )
    usable = [fault for fault in faults(video) if not fault.startswith("questions.")]
    return AnswerFault(code="schema", message="; ".join(usable)) if usable else video


def _json_object(content: str) -> dict[str, Any] | AnswerFault:
    text = _THOUGHTS.sub("", content)
    start = text.find("{")
    if start < 0:
        told = "there is no JSON object in it"
        return AnswerFault(code="no-json", message=told, fresh=True)
    end = text.rfind("}") + 1
    for candidate in (text[start:], _COMMA_TOO_MANY.sub(r"\1", text[start:])):
        try:
            raw, _ = json.JSONDecoder(strict=False).raw_decode(candidate)
        except (ValueError, RecursionError) as error:
            fault = f"the JSON object cannot be read: {error}"
        else:
            return (
                raw if isinstance(raw, dict) else AnswerFault(code="no-json", message="no object")
            )
    try:
        raw = ast.literal_eval(text[start:end])
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return AnswerFault(code="json", message=fault)
    return raw if isinstance(raw, dict) else AnswerFault(code="json", message=fault)


def _told(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)
    told = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in first[:5]]
    more = f"; and {len(first) - 5} more" if len(first) > 5 else ""
    return "; ".join(told) + more


def _same_topic(said: str, asked: str) -> bool:
    first, second = _words(said), _words(asked)
    if not second:  # a topic without letters, such as an emoji
        return said.strip() == asked.strip()
    return len(first & second) / len(first | second) >= SAME_TOPIC


def _words(text: str) -> set[str]:
    return set(units(text))


def _without_letters(options: list[str]) -> tuple[str, ...]:
    """Remove the letters if every option carries its own."""
    found = [_OPTION_LETTER.match(option) for option in options]
    lettered = [match[1] if match else "" for match in found]
    if options and lettered == list(ascii_uppercase[: len(options)]):
        return tuple(o[m.end() :] for o, m in zip(options, found, strict=True) if m)
    return tuple(options)


def _answer_index(answer: str | int, options: tuple[str, ...]) -> int | None:
    """Return which option an answer means, None where that is not plain.

    An option's own text comes first. A bare number is refused: it may count from 0 or from 1.
    """
    if isinstance(answer, int):
        return None
    exact = [i for i, option in enumerate(options) if option.casefold() == answer.casefold()]
    if len(exact) == 1:
        return exact[0]
    found = _ANSWER_LETTER.fullmatch(answer)
    index = ascii_uppercase.index(found[1].upper()) if found else len(options)
    return index if index < len(options) else None
