"""How far a topic has come: a pure function of the topic and of what was received for it.

    KEY            first answer        {"body": "..."}, as the server sent it
    KEY/repair     second answer       after one of no use
    KEY/failed     given up            {"code": "...", "message": "..."}

These are the journal's units. Nothing else is remembered anywhere, so a job can be killed at any
moment, run in parts on many machines, and end with the same records.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from textreel.data.files import Json
from textreel.data.textual_video import TextualVideo
from textreel.models.endpoint_errors import CompletionError
from textreel.models.endpoint_wire import ChatRequest, Completion, Turn, read_completion
from textreel.synth.textvid.answer import AnswerFault, Origin, read_answer
from textreel.synth.textvid.prompt_files import Prompts
from textreel.synth.textvid.topics import Topic

Lookup = Callable[[str], Json | None]
"""Gives the journalled value of a key, or None."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """What every topic of a job is asked with.

    Attributes:
        prompts: their texts.
        origin: model and prompt hash, kept with each record.
        language: of the output.
        max_tokens: of an answer.
        temperature: of the draw.
        schema: JSON schema sent along, or None.
    """

    prompts: Prompts
    origin: Origin
    language: str = "English"
    max_tokens: int = 3072
    temperature: float = 0.8
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Todo:
    """The next request of a topic.

    Attributes:
        key: unit of the journal that its answer will be.
        request: what to ask.
        failure: of the answer received before under this key, if there was one.
    """

    key: str
    request: ChatRequest
    failure: str = ""


Outcome = TextualVideo | AnswerFault | Todo


@dataclass(slots=True)
class Fresh:
    """Answers of one topic that were received a moment ago, so that they need no reading again."""

    completions: dict[str, Completion] = field(default_factory=dict)


def outcome_of(
    topic: Topic, lookup: Lookup, *, asking: Asking, fresh: Fresh | None = None
) -> Outcome:
    """Return a topic's textual video, why it has none, or what to ask next.

    Args:
        topic: which.
        lookup: into the journal.
        asking: the job's.
        fresh: saves reading what was just received.
    """
    outcome = _from_answers(topic, lookup, asking=asking, fresh=fresh)
    if not isinstance(outcome, Todo) or (failed := lookup(failed_key(topic))) is None:
        return outcome
    return AnswerFault(code=failed["code"], message=failed["message"])


def keys_of(topic: Topic) -> tuple[str, str, str]:
    """Return the journal's keys of a topic: first answer, second answer, given up."""
    return topic.key, f"{topic.key}/repair", f"{topic.key}/failed"


def _from_answers(topic: Topic, lookup: Lookup, *, asking: Asking, fresh: Fresh | None) -> Outcome:
    first = _completion(topic.key, lookup, fresh)
    if not isinstance(first, Completion):
        return _unanswered(topic.key, first, _first_request(topic, asking))
    reading = _read(first, topic, asking)
    if not isinstance(reading, AnswerFault):
        return reading
    key = keys_of(topic)[1]
    second = _completion(key, lookup, fresh)
    if not isinstance(second, Completion):
        return _unanswered(key, second, _second_request(topic, asking, first, reading))
    return _read(second, topic, asking)


def failed_key(topic: Topic) -> str:
    """Return the journal's key that says that a topic was given up."""
    return keys_of(topic)[2]


def _completion(
    key: str, lookup: Lookup, fresh: Fresh | None
) -> Completion | CompletionError | None:
    if fresh is not None and (known := fresh.completions.get(key)) is not None:
        return known
    value = lookup(key)
    if value is None:
        return None
    try:
        return read_completion(value["body"])
    except CompletionError as error:
        return error


def _unanswered(key: str, error: CompletionError | None, request: ChatRequest) -> Outcome:
    """Ask (again), unless the same request would end the same way."""
    if error is not None and error.final:
        return AnswerFault(code=error.code, message=str(error))
    return Todo(key=key, request=request, failure="" if error is None else str(error))


def _read(completion: Completion, topic: Topic, asking: Asking) -> TextualVideo | AnswerFault:
    reading = read_answer(completion.content, topic=topic, origin=asking.origin)
    if isinstance(reading, AnswerFault) and completion.finish == "length":
        return AnswerFault(
            code="cut-off",
            message=f"it was cut off after {completion.tokens_out} tokens; write shorter sentences",
            fresh=True,
        )
    return reading


def _first_request(topic: Topic, asking: Asking) -> ChatRequest:
    user = asking.prompts.request(topic, language=asking.language)
    return _request(topic, asking, _opening(asking, user), draw=0)


def _second_request(
    topic: Topic, asking: Asking, first: Completion, fault: AnswerFault
) -> ChatRequest:
    """Show the model its answer and what is wrong with it; or, if it is of no use, ask anew."""
    user = asking.prompts.request(topic, language=asking.language)
    repair = asking.prompts.repair(topic, faults=fault.message)
    if fault.fresh:
        return _request(topic, asking, _opening(asking, f"{user}\n\n{repair}"), draw=1)
    turns = (
        *_opening(asking, user),
        Turn(role="assistant", text=first.content),
        Turn(role="user", text=repair),
    )
    return _request(topic, asking, turns, draw=1)


def _opening(asking: Asking, user: str) -> tuple[Turn, ...]:
    return Turn(role="system", text=asking.prompts.system()), Turn(role="user", text=user)


def _request(topic: Topic, asking: Asking, turns: tuple[Turn, ...], *, draw: int) -> ChatRequest:
    return ChatRequest(
        turns=turns,
        max_tokens=asking.max_tokens,
        temperature=asking.temperature,
        seed=int(topic.key[:7], 16) + draw,
        schema=asking.schema,
    )
