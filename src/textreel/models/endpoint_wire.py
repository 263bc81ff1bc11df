"""The part of the OpenAI chat format that is used here: what is sent, and what comes back.

    POST BASE/chat/completions   {"model", "messages", "max_tokens", "temperature", ...}
    200                          {"choices": [{"message": {"content"}, "finish_reason"}], "usage"}

vLLM, SGLang, llama.cpp, Ollama and hosted services speak it. A body that is not this, an `error`
object above all, is a failure whatever its status says.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from textreel.models.endpoint_errors import CompletionError

BYTES_PER_TOKEN = 3
"""Fewer than English text has, so that an estimate of tokens errs upwards."""
_MOST_TOKENS = 10**9
"""A server that counts more in one conversation does not count."""
_REFUSED = {"content_filter", "refusal", "safety"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One turn of a conversation.

    Attributes:
        role: `system`, `user` or `assistant`.
        text: what is said.
    """

    role: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    """What a model is asked, apart from which model.

    Attributes:
        turns: the conversation so far; the last is the user's.
        max_tokens: of the answer.
        temperature: 0 takes the likeliest token.
        seed: of the draw, where the server has one.
        schema: JSON schema of the answer, used where the server takes one.
    """

    turns: tuple[Turn, ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int | None = None
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """An answer.

    Attributes:
        content: its text.
        finish: why it ended: `stop`, `length`, ...; empty where the server does not say.
        tokens_in: of the conversation.
        tokens_out: of the answer.
        estimated: the server did not count; the tokens are estimates from bytes.
    """

    content: str
    finish: str
    tokens_in: int
    tokens_out: int
    estimated: bool = False


def payload(request: ChatRequest, *, model: str, structured: bool) -> bytes:
    """Return the body of a request."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": turn.role, "content": turn.text} for turn in request.turns],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
    }
    if request.seed is not None:
        body["seed"] = request.seed
    if structured and request.schema is not None:
        wanted = {"name": "answer", "strict": True, "schema": request.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": wanted}
    return json.dumps(body, ensure_ascii=False).encode()


def completion_body(content: str, *, finish: str, tokens_in: int, tokens_out: int) -> str:
    """Return the body that `read_completion` reads; for writers that are no endpoint."""
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": finish}
    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}
    return json.dumps({"choices": [choice], "usage": usage}, ensure_ascii=False)


def estimate_tokens(text: str) -> int:
    """Return an upper estimate of a text's tokens."""
    return len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN + 1


def read_completion(body: str) -> Completion:
    """Read a body that came with status 200.

    Raises:
        CompletionError: no JSON, an error object, no answer in it, or a refusal.
    """
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CompletionError(f"the body is no whole JSON: {error}", code="body-json") from error
    if not isinstance(raw, dict) or raw.get("error"):
        said = raw.get("error") if isinstance(raw, dict) else raw
        raise CompletionError(f"an error came with status 200: {_short(said)}", code="error-body")
    try:
        choice = raw["choices"][0]
        message = choice["message"]
        content, finish = message.get("content"), str(choice.get("finish_reason") or "")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise CompletionError(
            f"the body has no choice with a message: {_short(raw)}", code="no-choice"
        ) from error
    if finish in _REFUSED or message.get("refusal"):
        told = message.get("refusal") or finish
        raise CompletionError(f"the model refused: {_short(told)}", code="refused", final=True)
    if not isinstance(content, str) or not content.strip():
        raise CompletionError(f"the answer has no text (it ended by {finish!r})", code="no-text")
    return _counted(content, finish, raw.get("usage"), body)


def _counted(content: str, finish: str, usage: object, body: str) -> Completion:
    counts = usage if isinstance(usage, dict) else {}
    tokens = [counts.get(name) for name in ("prompt_tokens", "completion_tokens")]
    if all(isinstance(count, int) and 0 <= count <= _MOST_TOKENS for count in tokens):
        return Completion(
            content=content, finish=finish, tokens_in=int(tokens[0] or 0), tokens_out=tokens[1] or 0
        )
    return Completion(
        content=content,
        finish=finish,
        tokens_in=0,
        tokens_out=estimate_tokens(content),
        estimated=True,
    )


def retry_after_s(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Return how long a server asks to wait, in seconds from now, or None if it does not.

    `retry-after-ms`, and both forms of `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.
    """
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    if text is None or (seconds := _number(text)) is not None:
        return None if text is None else seconds
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())


def error_text(body: bytes) -> str:
    """Return what an error's body says, short and on one line."""
    text = body.decode("utf-8", "replace")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return _short(text)
    said = raw.get("error", raw.get("detail", raw)) if isinstance(raw, dict) else raw
    return _short(said)


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < 1e9 else None


def _short(said: object) -> str:
    if isinstance(said, dict) and isinstance(said.get("message"), str):
        code = said.get("code") or said.get("type")
        said = f"{said['message']} ({code})" if code else said["message"]
    text = " ".join((said if isinstance(said, str) else json.dumps(said)).split())
    return text if len(text) <= 300 else text[:297] + "..."
