"""Ask language models behind OpenAI-compatible HTTP endpoints, many at a time, and lose nothing.

    EndpointPool(urls, model=...).ask(request, key_of=..., received=...) -> Completion

- Several base URLs are used at once: each request goes to the one with most room left.
- A body that came with status 200 is handed to `received` before anything else happens to it; what
  becomes of it there is the caller's business. This module knows no journal.
- Connections that fail, 408, 409, 425, 429, 5xx, time-outs, cut bodies and bodies that hold an
  error are failures: they are asked again after a growing pause with jitter, or after what
  `Retry-After` says. Being turned away (429, 503) or not reached is the server's fault and never
  costs a request its life; anything else may, after `max_attempts`.
- Every request carries an `Idempotency-Key`, the same until a body has been received for it.
- Keys stand in no error, no log and nothing that is handed out.
"""

import asyncio
import logging
import re
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Self

import httpx2

from textreel.models.endpoint_clients import Clients, auth_headers, checked_urls
from textreel.models.endpoint_errors import (
    CompletionError,
    EndpointConfigError,
    EndpointDownError,
    EndpointKeyError,
    EndpointModelError,
    EndpointQuotaError,
    RequestError,
)
from textreel.models.endpoint_gate import Gate
from textreel.models.endpoint_wire import (
    ChatRequest,
    Completion,
    error_text,
    payload,
    read_completion,
    retry_after_s,
)
from textreel.models.errors import ModelError

_log = logging.getLogger("textreel.models")
_TURNED_AWAY = {429, 503}
_PASSING = {408, 409, 425, 429}
_NO_SCHEMA = re.compile(r"response_format|json_schema|guided|grammar|structured|schema", re.I)
_NO_MONEY = re.compile(r"insufficient_quota|billing|credit balance", re.I)


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolSettings:
    """How endpoints are asked.

    Attributes:
        in_flight: requests under way at a time, per endpoint, at most.
        timeout_s: for one whole answer.
        max_attempts: of one request, those that were the server's fault left out.
        patience_s: the job ends when no endpoint has answered for so long.
        contact_s: the same before any endpoint has answered at all.
        first_pause_s: before the first repetition; doubled each time.
        longest_pause_s: where the doubling ends.
    """

    in_flight: int = 16
    timeout_s: float = 180.0
    max_attempts: int = 6
    patience_s: float = 300.0
    contact_s: float = 10.0
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0

    def __post_init__(self) -> None:
        for name in ("in_flight", "timeout_s", "max_attempts", "patience_s"):
            if getattr(self, name) <= 0:
                raise EndpointConfigError(f"{name}={getattr(self, name)} must be above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Failure:
    """Why an attempt came to nothing, and whether the request itself may be to blame."""

    code: str
    message: str
    own_fault: bool
    wait_s: float | None = None
    at_once: bool = False


class EndpointPool:
    """Several endpoints with one model behind them.

    Args:
        urls: base URLs, such as `http://127.0.0.1:8000/v1`.
        model: the name that the endpoints know it by.
        api_key: sent as a bearer token; None for servers that want none.
        settings: how they are asked.
        jitter: makes the pauses differ.
        transport: instead of real connections; for tests.

    Raises:
        EndpointConfigError: no URL, or one that holds a password or is none.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        model: str,
        api_key: str | None = None,
        settings: PoolSettings | None = None,
        jitter: Random | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.model = model
        self.settings = settings or PoolSettings()
        self.gates = [
            Gate(url=url, most=self.settings.in_flight)
            for url in checked_urls(urls, keyed=bool(api_key))
        ]
        self.failures: Counter[str] = Counter()
        self._secret, self._jitter = api_key, jitter or Random()
        self._clients = Clients(headers=auth_headers(api_key), transport=transport)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._silent_since_s: float | None = None
        self._stopped: ModelError | None = None
        self._stop = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """Return how many requests may be under way at a time."""
        return sum(gate.most for gate in self.gates)

    async def ask(
        self, request: ChatRequest, *, key_of: Callable[[], str], received: Callable[[str], None]
    ) -> Completion:
        """Return the answer to a request.

        Args:
            request: what to ask.
            key_of: gives the idempotency key of the next attempt.
            received: takes every body of status 200 the moment it is there.

        Raises:
            RequestError: this request has no answer; others may have.
            EndpointKeyError, EndpointModelError, EndpointQuotaError: no request will have one.
            EndpointDownError: nobody answers.
        """
        attempts = pauses = 0
        while True:
            gate = await self._enter()
            try:
                outcome = await self._attempt(gate, request, key_of(), received)
            except ModelError as error:
                self._stopping(error)
                raise
            finally:
                self._leave(gate)
            if isinstance(outcome, Completion):
                return outcome
            self.failures[outcome.code] += 1
            attempts += outcome.own_fault
            if attempts >= self.settings.max_attempts:
                raise RequestError(
                    f"{attempts} attempts failed, the last: {outcome.message}", code=outcome.code
                )
            if not outcome.at_once:
                await self._pause(outcome, pauses)
                pauses += 1

    async def close(self) -> None:
        """Close all connections."""
        await self._clients.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _attempt(
        self, gate: Gate, request: ChatRequest, key: str, received: Callable[[str], None]
    ) -> Completion | _Failure:
        clock = asyncio.get_running_loop().time
        started_s = clock()
        structured = gate.structured
        content = payload(request, model=self.model, structured=structured)
        try:
            async with asyncio.timeout(self.settings.timeout_s), self._clients.one() as client:
                response = await client.post(
                    f"{gate.url}/chat/completions",
                    content=content,
                    headers={"idempotency-key": key},
                )
        except httpx2.ConnectError as error:
            gate.unreached(clock())
            return _Failure(code="unreached", message=self._scrub(f"{error}"), own_fault=False)
        except TimeoutError:
            gate.overloaded(started_s=started_s, now_s=clock(), rest_s=None)
            told = f"no answer within {self.settings.timeout_s:g} s"
            return _Failure(code="timeout", message=told, own_fault=True)
        except httpx2.HTTPError as error:
            told = f"the connection broke: {error or type(error).__name__}"
            return _Failure(code="cut", message=self._scrub(told), own_fault=True)
        if response.status_code == 200:
            return self._received(gate, response.content, received)
        rest_s = retry_after_s(response.headers)
        if response.status_code in _TURNED_AWAY:
            gate.overloaded(started_s=started_s, now_s=clock(), rest_s=rest_s)
        return self._judged(gate, response, rest_s, structured=structured)

    def _received(
        self, gate: Gate, content: bytes, received: Callable[[str], None]
    ) -> Completion | _Failure:
        body = self._scrub(content.decode("utf-8", "backslashreplace"))
        received(body)
        try:
            completion = read_completion(body)
        except CompletionError as error:
            if error.final:
                self._heard(gate)
                raise RequestError(str(error), code=error.code) from error
            return _Failure(code=error.code, message=str(error), own_fault=True)
        self._heard(gate)
        return completion

    def _heard(self, gate: Gate) -> None:
        gate.answers()
        self._silent_since_s = None

    def _judged(
        self, gate: Gate, response: httpx2.Response, rest_s: float | None, *, structured: bool
    ) -> _Failure:
        """Say what a status other than 200 means for the request, or for the whole job."""
        status, said = response.status_code, self._scrub(error_text(response.content))
        # Which endpoint it was does not belong to a request's end: it would differ between runs.
        told, where = f"status {status}: {said}", f"{gate.url} answered {status}: {said}"
        code = f"http-{status}"
        if status in {402, 429} and _NO_MONEY.search(said):
            raise EndpointQuotaError(where, hint="what was received is kept; refill, then go on")
        if status in _PASSING or status >= 500:
            blamed = status not in _TURNED_AWAY
            return _Failure(code=code, message=told, own_fault=blamed, wait_s=rest_s)
        if status in {401, 403}:
            raise EndpointKeyError(
                where, hint="set the variable that --key-env names to a key that this server takes"
            )
        if status == 404:
            raise EndpointModelError(
                where, hint=f"check the base URL (it ends in /v1) and the model {self.model!r}"
            )
        if structured and status in {400, 422, 501} and _NO_SCHEMA.search(said):
            if gate.structured:
                _log.warning("%s takes no JSON schema (%s); asking without", gate.url, said)
            gate.structured = False
            return _Failure(code=code, message=told, own_fault=False, at_once=True)
        raise RequestError(told, code=code, hint="the server does not take this request")

    async def _enter(self) -> Gate:
        """Wait for an endpoint with room, the least busy one, and take a place."""
        loop = asyncio.get_running_loop()
        while True:
            self._refuse_after_stop()
            now_s = loop.time()
            if free := [gate for gate in self.gates if gate.free(now_s)]:
                gate = min(free, key=Gate.load)
                gate.in_flight += 1
                return gate
            turn: asyncio.Future[None] = loop.create_future()
            self._waiting.append(turn)
            rests = [g.rest_until_s - now_s for g in self.gates if g.rest_until_s > now_s]
            await asyncio.wait([turn], timeout=min(rests, default=None))
            if not turn.done():
                self._waiting.remove(turn)

    def _leave(self, gate: Gate) -> None:
        gate.in_flight -= 1
        self._wake(1 + (int(gate.limit) > gate.in_flight + 1))

    def _wake(self, count: int) -> None:
        while count and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                count -= 1

    async def _pause(self, failure: _Failure, pauses: int) -> None:
        """Wait before a repetition; a stop of the whole pool ends the wait."""
        self._watch_silence(failure)
        settings = self.settings
        longest_s = min(settings.longest_pause_s, settings.first_pause_s * 2.0**pauses)
        wait_s = longest_s * self._jitter.uniform(0.5, 1.0)
        if failure.wait_s is not None:
            wait_s = failure.wait_s + min(wait_s, settings.first_pause_s)
        if failure.wait_s is not None and wait_s > settings.patience_s:
            raise self._stopping(
                EndpointDownError(
                    f"{failure.message}; it asks to wait {wait_s:.0f} s, longer than "
                    f"--patience {settings.patience_s:g}",
                    hint="start the same command later; it goes on where it was",
                )
            )
        try:
            async with asyncio.timeout(wait_s):
                await self._stop.wait()
        except TimeoutError:
            return

    def _watch_silence(self, failure: _Failure) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._silent_since_s is None:
            self._silent_since_s = now_s
        silent_s = now_s - self._silent_since_s
        reached = any(gate.answered for gate in self.gates) or failure.code != "unreached"
        patience_s, contact_s = self.settings.patience_s, self.settings.contact_s
        allowed_s = patience_s if reached else min(contact_s, patience_s)
        if silent_s > allowed_s:
            urls = ", ".join(gate.url for gate in self.gates)
            raise self._stopping(
                EndpointDownError(
                    f"no endpoint has answered for {silent_s:.0f} s ({urls}); the last failure: "
                    f"{failure.message}",
                    hint="is the server running there? start the same command again; it goes on",
                )
            )

    def _stopping(self, error: ModelError) -> ModelError:
        """Keep an error that concerns all requests, so that none is sent any more."""
        if not isinstance(error, RequestError) and self._stopped is None:
            self._stopped = error
            self._stop.set()
            self._wake(len(self._waiting))
        return error

    def _refuse_after_stop(self) -> None:
        if self._stopped is not None:
            raise self._stopped

    def _scrub(self, text: str) -> str:
        return text.replace(self._secret, "[key]") if self._secret else text
