"""Topics, prompts and writers for tests, all in this process."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from textreel.data.budget import Budget
from textreel.models.endpoint_errors import RequestError
from textreel.models.endpoint_wire import ChatRequest, Completion, completion_body, read_completion
from textreel.recipes.bench_stories import story
from textreel.synth.check.checker import Checker
from textreel.synth.textvid.answer import Origin
from textreel.synth.textvid.card import Licences
from textreel.synth.textvid.job import Job, RunOptions
from textreel.synth.textvid.prompt_files import load_prompts
from textreel.synth.textvid.state import Asking
from textreel.synth.textvid.synthesis import Output, Synthesis, synthesise
from textreel.synth.textvid.topics import Topic, TopicSource

PROMPTS = load_prompts()
ORIGIN = Origin(writer="fake", prompt=PROMPTS.hash)
ASKING = Asking(prompts=PROMPTS, origin=ORIGIN, max_tokens=100)


def source_of(count: int, *, name: str = "topics.txt", weight: float = 1.0) -> TopicSource:
    texts = tuple(f"mending thing {i} of {name}" for i in range(count))
    return TopicSource(name=name, kind="title", texts=texts, weight=weight, digest=name)


def job_of(count: int, **changes) -> Job:
    return Job(**{"asking": ASKING, "sources": (source_of(count),), "count": count} | changes)


def story_text(topic: Topic) -> str:
    return json.dumps(story(topic.text))


Say = Callable[[Topic, ChatRequest], object]


class FakeWriter:
    """Answers with `say(topic, request)`: a text, a whole body, or an error to raise."""

    def __init__(self, say: Say | None = None, *, in_flight: int = 3):
        self.say = say or (lambda topic, request: story_text(topic))
        self.in_flight = in_flight
        self.asked: list[tuple[str, str]] = []
        self.closed = 0

    async def ask(self, topic, request, *, key_of, received) -> Completion:
        self.asked.append((topic.text, key_of()))
        await asyncio.sleep(0)
        said = self.say(topic, request)
        if isinstance(said, Exception):
            raise said
        body = said if said.startswith('{"choices"') else whole(said)
        received(body)
        return read_completion(body)

    async def close(self) -> None:
        self.closed += 1


def whole(content: str, *, finish: str = "stop") -> str:
    return completion_body(content, finish=finish, tokens_in=10, tokens_out=20)


def failure(code: str = "http-500") -> RequestError:
    return RequestError(f"3 attempts failed, the last: {code}", code=code)


def output_of(**changes) -> Output:
    return Output(**{"checker": Checker(), "licences": Licences()} | changes)


def synthesise_here(
    out: Path, job: Job, writer: FakeWriter, *, budget: Budget | None = None, **options
) -> Synthesis:
    run = RunOptions(budget=budget or Budget(), **options)
    return synthesise(out, job, writer=writer, options=run, output=output_of())
