"""Writers: who answers. An endpoint, a model in a local folder, or the world's grammar.

Each hands the body of its answer to `received` before anything else, in the form that endpoints
send, so that the journal and all that follows know no difference.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal, Protocol

from textreel.models.decoder import EMBEDDED
from textreel.models.endpoint import EndpointPool, PoolSettings
from textreel.models.endpoint_errors import CompletionError, RequestError
from textreel.models.endpoint_wire import (
    ChatRequest,
    Completion,
    completion_body,
    read_completion,
)
from textreel.models.local_chat import LocalChat
from textreel.synth.textvid.answer import answer_text
from textreel.synth.textvid.errors import JobError
from textreel.synth.textvid.topics import Topic
from textreel.synth.world.scene import draw_scenes
from textreel.synth.world.textual import textual_video

Received = Callable[[str], None]
WORLD = "world"


class Writer(Protocol):
    """Anything that answers requests about topics."""

    @property
    def in_flight(self) -> int:
        """Return how many requests may be under way at a time."""
        ...

    async def ask(
        self, topic: Topic, request: ChatRequest, *, key_of: Callable[[], str], received: Received
    ) -> Completion:
        """Return the answer, having handed its body to `received` first.

        Raises:
            RequestError: this request has no answer.
        """
        ...

    async def close(self) -> None:
        """Free what it holds."""
        ...


class EndpointWriter:
    """Models behind HTTP."""

    def __init__(self, pool: EndpointPool) -> None:
        self.pool = pool

    @property
    def in_flight(self) -> int:
        """Return how many requests may be under way at a time, over all endpoints."""
        return self.pool.in_flight

    async def ask(
        self, topic: Topic, request: ChatRequest, *, key_of: Callable[[], str], received: Received
    ) -> Completion:
        """Return the answer of the least busy endpoint."""
        return await self.pool.ask(request, key_of=key_of, received=received)

    async def close(self) -> None:
        """Close all connections."""
        await self.pool.close()


class LocalWriter:
    """A causal language model in a Hugging Face folder, in this process."""

    in_flight = 1

    def __init__(self, chat: LocalChat) -> None:
        self.chat = chat

    async def ask(
        self, topic: Topic, request: ChatRequest, *, key_of: Callable[[], str], received: Received
    ) -> Completion:
        """Return the model's answer; one without text would come again, so it ends the request."""
        body = await asyncio.to_thread(self.chat.answer, request)
        received(body)
        try:
            return read_completion(body)
        except CompletionError as error:
            raise RequestError(str(error), code=error.code) from error

    async def close(self) -> None:
        """Nothing is held open."""


class WorldWriter:
    """The world's grammar: a scene for each topic, drawn with the topic's key."""

    in_flight = 1

    async def ask(
        self, topic: Topic, request: ChatRequest, *, key_of: Callable[[], str], received: Received
    ) -> Completion:
        """Return a scene in words, with questions whose answers follow from its facts."""
        await asyncio.sleep(0)  # so that the run can be interrupted
        scene = next(draw_scenes(int(topic.key, 16)))
        text = answer_text(textual_video(scene, Random(topic.key)), topic=topic)
        body = completion_body(text, finish="stop", tokens_in=0, tokens_out=0)
        received(body)
        return read_completion(body)

    async def close(self) -> None:
        """Nothing is held open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WriterOptions:
    """Who writes, as the user names it.

    Attributes:
        llm: `world`, one folder of a model, or base URLs of endpoints.
        model: the name that the endpoints know the model by.
        key_variable: environment variable that holds their key; empty: no key is sent.
        pool: how they are asked.
        device: where a model in a folder runs.
    """

    llm: tuple[str, ...] = ("world",)
    model: str = ""
    key_variable: str = ""
    pool: PoolSettings = field(default_factory=PoolSettings)
    device: str = "cpu"

    @property
    def kind(self) -> Literal["world", "local", "endpoint"]:
        """Return which sort of writer it is."""
        if self.llm == (WORLD,):
            return "world"
        return "endpoint" if all("://" in one for one in self.llm) else "local"

    @property
    def name(self) -> str:
        """Return the name that records carry."""
        if self.kind == "world":
            return "textreel world"
        return self.model or Path(self.llm[0]).name


def check_writer(options: WriterOptions) -> None:
    """Refuse what does not go together, before anything is read or asked.

    Raises:
        JobError: no model for endpoints; settings of endpoints for another writer; several folders,
            or a folder that is not there; a variable without a key; a device for what is asked
            elsewhere, or for the grammar.
    """
    kind = options.kind
    if kind != "local" and options.device != "cpu":
        raise JobError(
            f"--device {options.device} has no effect without a model's folder",
            hint="name one with --llm, or leave the device out",
        )
    if kind == "endpoint":
        if not options.model:
            raise JobError(
                "endpoints need the name of a model", hint="give --model as the server knows it"
            )
        if options.key_variable and not os.environ.get(options.key_variable, "").strip():
            raise JobError(
                f"the environment variable {options.key_variable} holds no key",
                hint="export it, or leave --key-env out for a server that wants none",
            )
        return
    unused = {"--model": options.model and kind == "world", "--key-env": options.key_variable}
    if named := [name for name, used in unused.items() if used]:
        raise JobError(
            f"{' and '.join(named)} has no effect without an endpoint",
            hint="name one with --llm, such as http://127.0.0.1:8000/v1",
        )
    if kind == "local" and (len(options.llm) > 1 or not _is_model(options.llm[0])):
        raise JobError(
            f"--llm {' '.join(options.llm)} is neither base URLs nor one folder of a model",
            hint="give http://HOST:PORT/v1, a Hugging Face directory, or world",
        )


def make_writer(options: WriterOptions) -> Writer:
    """Return the writer that options name, once they are checked.

    Raises:
        EndpointConfigError: a URL that is none.
        DecoderNotFoundError, DecoderUnsupportedError: a folder without a usable model.
    """
    if options.kind == "world":
        return WorldWriter()
    if options.kind == "local":
        return LocalWriter(LocalChat(options.llm[0], device=options.device))
    key = os.environ.get(options.key_variable, "").strip() if options.key_variable else None
    pool = EndpointPool(options.llm, model=options.model, api_key=key, settings=options.pool)
    return EndpointWriter(pool)


def _is_model(name: str) -> bool:
    return name.startswith(EMBEDDED) or Path(name).is_dir()
