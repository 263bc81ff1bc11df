"""A small HTTP server that answers as an OpenAI-compatible endpoint does; in a process of its own.

It exists to measure and to test the client: what it answers, when, and how it breaks is up to the
function that it is given. Nothing but the standard library, a connection each a `Protocol`, so that
it costs little beside the client that is measured.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 429: "Too Many Requests"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A request as it came.

    Attributes:
        path: such as `/v1/chat/completions`.
        headers: by name in lower case.
        body: its JSON.
    """

    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What is sent back.

    Attributes:
        body: bytes.
        status: of HTTP.
        headers: beyond type and length.
        delay_s: before anything is sent.
        cut_at: the connection is closed after so many bytes of the body; None: it is whole.
        sent: called when the last byte was handed to the system.
    """

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut_at: int | None = None
    sent: Callable[[], None] = lambda: None


Answer = Callable[[Question], Reply | None]
"""Gives the reply to a question; None: the connection stays open and nothing is ever sent."""


class _Connection(asyncio.Protocol):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (found := _take(self._rest)) is not None:
            question, self._rest = found
            reply = self._answer(question)
            if reply is not None:
                asyncio.get_running_loop().call_later(reply.delay_s, self._send, reply)

    def _send(self, reply: Reply) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        lines = [
            f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Other')}",
            "content-type: application/json",
            f"content-length: {len(reply.body)}",
            *(f"{name}: {value}" for name, value in reply.headers.items()),
        ]
        head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        self._transport.write(head + reply.body[: reply.cut_at])
        reply.sent()
        if reply.cut_at is not None:
            self._transport.close()


async def serve(answer: Answer, *, port: int = 0, ready: Callable[[int], None]) -> None:
    """Answer on 127.0.0.1 until the process ends.

    Args:
        answer: what to reply.
        port: 0 takes a free one.
        ready: told the port.
    """
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(answer), "127.0.0.1", port)
    ready(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _take(data: bytes) -> tuple[Question, bytes] | None:
    """Return the first whole request and the bytes behind it."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = int(headers.get("content-length", 0))
    body = data[end + 4 : end + 4 + length]
    if len(body) < length:
        return None
    question = Question(
        path=first.split()[1], headers=headers, body=json.loads(body) if body else None
    )
    return question, data[end + 4 + length :]
