"""The client against scripted replies in this process; real sockets are in the kill test."""

import asyncio
import json
import logging
from collections.abc import Callable
from random import Random

import httpx2
import pytest

from textreel.models.endpoint import EndpointPool, PoolSettings
from textreel.models.endpoint_errors import (
    EndpointConfigError,
    EndpointDownError,
    EndpointKeyError,
    EndpointModelError,
    EndpointQuotaError,
    RequestError,
)
from textreel.models.endpoint_wire import ChatRequest, Completion, Turn, completion_body

URL = "http://127.0.0.1:9/v1"
SECRET = "sk-very-secret"
GOOD = completion_body("yes", finish="stop", tokens_in=3, tokens_out=1)
FAST = PoolSettings(
    in_flight=2, first_pause_s=0.001, longest_pause_s=0.002, max_attempts=3, contact_s=0.05
)
REQUEST = ChatRequest(turns=(Turn(role="user", text="?"),), max_tokens=9, schema={"a": 1})


def reply(status: int = 200, body: str = GOOD, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, content=body.encode(), headers=headers)


class Script:
    """Replies in order, the last one for ever; exceptions are raised."""

    def __init__(self, *replies) -> None:
        self.replies = list(replies)
        self.asked: list[httpx2.Request] = []

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        await asyncio.sleep(0)
        said = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(said, Exception):
            raise said
        return said(request) if callable(said) else said


def ask(
    script: Callable,
    *,
    settings: PoolSettings = FAST,
    urls: tuple[str, ...] = (URL,),
    times: int = 1,
) -> tuple[list[Completion | Exception], list[str], EndpointPool]:
    bodies: list[str] = []

    async def run() -> tuple[list, EndpointPool]:
        pool = EndpointPool(
            urls,
            model="m",
            api_key=SECRET,
            settings=settings,
            jitter=Random(0),
            transport=httpx2.MockTransport(script),
        )
        async with pool:
            calls = [
                pool.ask(REQUEST, key_of=lambda: f"key-{len(bodies)}", received=bodies.append)
                for _ in range(times)
            ]
            return await asyncio.gather(*calls, return_exceptions=True), pool

    done, pool = asyncio.run(run())
    return done, bodies, pool


def test_an_answer_is_received_whole_and_read() -> None:
    script = Script(reply())
    done, bodies, _ = ask(script)
    assert done == [Completion(content="yes", finish="stop", tokens_in=3, tokens_out=1)]
    assert bodies == [GOOD]
    sent = script.asked[0]
    assert str(sent.url) == f"{URL}/chat/completions"
    assert sent.headers["authorization"] == f"Bearer {SECRET}"
    assert sent.headers["idempotency-key"] == "key-0"
    assert "response_format" in json.loads(sent.content)


@pytest.mark.parametrize(
    "first",
    [
        reply(429, "{}"),
        reply(429, "{}", **{"Retry-After": "0"}),
        reply(503, "busy"),
        reply(500, "oops"),
        reply(408, ""),
        httpx2.ReadError("reset"),
        httpx2.RemoteProtocolError("cut"),
        httpx2.ConnectError("refused"),
    ],
)
def test_what_fails_without_a_body_is_asked_again_under_its_key(first) -> None:
    script = Script(first, reply())
    done, bodies, pool = ask(script)
    assert done[0].content == "yes"
    assert bodies == [GOOD]
    assert [sent.headers["idempotency-key"] for sent in script.asked] == ["key-0", "key-0"]
    assert pool.failures.total() == 1


@pytest.mark.parametrize("first", ['{"error": {"message": "overloaded"}}', GOOD[:30]])
def test_a_200_without_an_answer_is_kept_and_asked_again_under_a_new_key(first: str) -> None:
    script = Script(reply(body=first), reply())
    done, bodies, _ = ask(script)
    assert done[0].content == "yes"
    assert bodies == [first, GOOD]
    assert [sent.headers["idempotency-key"] for sent in script.asked] == ["key-0", "key-1"]


def test_a_request_that_always_fails_ends_and_says_how_often() -> None:
    script = Script(reply(500, "oops"))
    done, bodies, _ = ask(script)
    assert isinstance(done[0], RequestError)
    assert str(done[0]) == "3 attempts failed, the last: status 500: oops"
    assert (done[0].code, len(script.asked), bodies) == ("http-500", 3, [])


def test_being_turned_away_costs_no_attempt() -> None:
    script = Script(*[reply(429, "{}")] * 10, reply())
    done, _, pool = ask(script)
    assert done[0].content == "yes"
    assert pool.failures == {"http-429": 10}


def test_a_hanging_server_is_given_up_after_the_timeout() -> None:
    async def hang(request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(60)
        raise AssertionError

    settings = PoolSettings(timeout_s=0.01, max_attempts=2, first_pause_s=0.001)
    done, _, _ = ask(hang, settings=settings)
    assert str(done[0]) == "2 attempts failed, the last: no answer within 0.01 s"


def test_retry_after_is_waited_for() -> None:
    script, times = Script(reply(429, "{}", **{"Retry-After": "0.08"}), reply()), []

    async def timed(request: httpx2.Request) -> httpx2.Response:
        times.append(asyncio.get_running_loop().time())
        return await script(request)

    ask(timed)
    assert times[1] - times[0] >= 0.08


def test_a_wait_longer_than_the_patience_ends_the_job() -> None:
    done, _, _ = ask(Script(reply(429, "{}", **{"Retry-After": "4000"})))
    assert isinstance(done[0], EndpointDownError)
    assert "it asks to wait 4000 s, longer than --patience 300" in str(done[0])


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, f'{{"error": {{"message": "bad key {SECRET}"}}}}', EndpointKeyError),
        (403, "no", EndpointKeyError),
        (404, "no model", EndpointModelError),
        (429, '{"error": {"code": "insufficient_quota", "message": "pay"}}', EndpointQuotaError),
        (402, "your credit balance is empty", EndpointQuotaError),
    ],
)
def test_what_no_request_survives_stops_all_of_them(status: int, body: str, kind) -> None:
    script = Script(reply(status, body))
    done, bodies, _ = ask(script, times=5)
    assert all(isinstance(one, kind) for one in done)
    assert len(script.asked) <= 2  # those that were under way
    assert f"{URL} answered {status}" in str(done[0])
    assert SECRET not in str(done) and bodies == []


def test_a_request_that_is_refused_is_the_only_one_that_ends() -> None:
    script = Script(reply(400, "bad words"), reply())
    done, _, _ = ask(script, times=2)
    assert sorted(type(one).__name__ for one in done) == ["Completion", "RequestError"]
    refused = next(one for one in done if isinstance(one, RequestError))
    assert (str(refused), refused.code) == ("status 400: bad words", "http-400")


def test_a_server_without_schemas_is_asked_without(caplog) -> None:
    script = Script(reply(400, "response_format is not supported"), reply())
    with caplog.at_level(logging.WARNING, logger="textreel.models"):
        done, _, pool = ask(script)
    assert done[0].content == "yes"
    assert "response_format" not in json.loads(script.asked[1].content)
    assert not pool.gates[0].structured
    assert "takes no JSON schema" in caplog.text


def test_a_refusal_ends_the_request_and_its_body_is_kept() -> None:
    refusal = json.dumps({"choices": [{"message": {"refusal": "no"}}]})
    done, bodies, _ = ask(Script(reply(body=refusal)))
    assert isinstance(done[0], RequestError) and done[0].code == "refused"
    assert bodies == [refusal]


def test_nobody_there_is_said_with_the_address() -> None:
    done, _, _ = ask(Script(httpx2.ConnectError("refused")), times=3)
    assert all(isinstance(one, EndpointDownError) for one in done)
    assert f"no endpoint has answered for 0 s ({URL})" in str(done[0])


def test_the_key_is_taken_out_of_what_is_handed_out() -> None:
    body = completion_body(f"my key is {SECRET}", finish="stop", tokens_in=1, tokens_out=1)
    done, bodies, _ = ask(Script(reply(body=body)))
    assert done[0].content == "my key is [key]"
    assert SECRET not in bodies[0]


def test_several_endpoints_share_the_work_and_one_may_be_down() -> None:
    hosts: list[str] = []

    async def two(request: httpx2.Request) -> httpx2.Response:
        hosts.append(request.url.host)
        await asyncio.sleep(0.001)
        if request.url.host == "c":
            raise httpx2.ConnectError("refused")
        return reply()

    urls = ("http://a/v1", "http://b/v1", "http://c/v1")
    done, _, pool = ask(two, urls=urls, times=20)
    assert [one.content for one in done] == ["yes"] * 20
    assert pool.in_flight == 6
    assert hosts.count("a") >= 5 and hosts.count("b") >= 5 and hosts.count("c") <= 4


def test_no_more_are_under_way_than_allowed() -> None:
    running = most = 0

    async def slow(request: httpx2.Request) -> httpx2.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return reply()

    done, _, _ = ask(slow, times=12)
    assert len(done) == 12 and most == 2


@pytest.mark.parametrize(
    ("urls", "text"),
    [
        ((), "no endpoint is named"),
        (("127.0.0.1:8000",), "an endpoint's URL has no http"),
        (("ftp://a/v1",), "an endpoint's URL has no http"),
        (("http://me:pw@a/v1",), "carries a password or a query"),
        (("http://a/v1?key=x",), "carries a password or a query"),
        (("http://a:x/v1",), "an endpoint's URL cannot be read"),
    ],
)
def test_addresses_that_are_none_are_refused(urls, text: str) -> None:
    with pytest.raises(EndpointConfigError, match=text):
        EndpointPool(urls, model="m")


def test_settings_that_allow_nothing_are_refused() -> None:
    with pytest.raises(EndpointConfigError, match="in_flight=0 must be above 0"):
        PoolSettings(in_flight=0)


def test_a_key_sent_in_the_open_is_warned_about(caplog) -> None:
    with caplog.at_level(logging.WARNING, logger="textreel.models"):
        EndpointPool(["http://far.example/v1"], model="m", api_key=SECRET)
    assert "travels to far.example unencrypted" in caplog.text
    assert SECRET not in caplog.text
