import json
from datetime import UTC, datetime

import pytest

from textreel.models.endpoint_errors import CompletionError
from textreel.models.endpoint_wire import (
    ChatRequest,
    Completion,
    Turn,
    completion_body,
    error_text,
    estimate_tokens,
    payload,
    read_completion,
    retry_after_s,
)

REQUEST = ChatRequest(
    turns=(Turn(role="user", text="häh?"),), max_tokens=5, seed=3, schema={"type": "object"}
)


def test_a_request_is_the_chat_format() -> None:
    sent = json.loads(payload(REQUEST, model="m", structured=True))
    assert sent == {
        "model": "m",
        "messages": [{"role": "user", "content": "häh?"}],
        "max_tokens": 5,
        "temperature": 0.0,
        "seed": 3,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": {"type": "object"}},
        },
    }
    assert "response_format" not in json.loads(payload(REQUEST, model="m", structured=False))


def test_an_answer_is_read_with_its_counts() -> None:
    body = completion_body("hello", finish="stop", tokens_in=7, tokens_out=2)
    assert read_completion(body) == Completion(
        content="hello", finish="stop", tokens_in=7, tokens_out=2
    )


def test_a_server_that_does_not_count_gets_an_estimate() -> None:
    body = json.dumps({"choices": [{"message": {"content": "abcdef"}}]})
    read = read_completion(body)
    assert (read.tokens_in, read.tokens_out, read.estimated) == (0, estimate_tokens("abcdef"), True)
    assert estimate_tokens("abcdef") == 3


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        ('{"choices": [', "body-json", "the body is no whole JSON"),
        ('{"error": {"message": "too busy", "code": 7}}', "error-body", "status 200: too busy"),
        ("[1]", "error-body", "an error came with status 200: "),
        ('{"choices": []}', "no-choice", "the body has no choice with a message"),
        ('{"choices": [{"message": {"content": " "}}]}', "no-text", "the answer has no text"),
    ],
)
def test_a_body_without_an_answer_is_a_failure(body: str, code: str, text: str) -> None:
    with pytest.raises(CompletionError, match=text) as caught:
        read_completion(body)
    assert (caught.value.code, caught.value.final) == (code, False)


def test_a_refusal_is_final() -> None:
    for choice in (
        {"message": {"content": "", "refusal": "I will not"}},
        {"message": {"content": "x"}, "finish_reason": "content_filter"},
    ):
        with pytest.raises(CompletionError, match="the model refused: ") as caught:
            read_completion(json.dumps({"choices": [choice]}))
        assert caught.value.final


def test_retry_after_is_seconds_milliseconds_or_a_date() -> None:
    now = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
    assert retry_after_s({"retry-after": "2.5"}) == 2.5
    assert retry_after_s({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert retry_after_s({"retry-after": "Thu, 01 Jan 2026 12:00:07 GMT"}, now=now) == 7.0
    assert retry_after_s({"retry-after": "Thu, 01 Jan 2026 11:00:07 GMT"}, now=now) == 0.0
    assert retry_after_s({"retry-after": "soon"}) is None
    assert retry_after_s({}) is None


def test_an_error_is_told_short_and_on_one_line() -> None:
    assert error_text(b'{"error": {"message": "no\\nsuch", "type": "bad"}}') == "no such (bad)"
    assert error_text(b"<html>\n gateway") == "<html> gateway"
    assert len(error_text(b"x" * 1000)) == 300
    assert error_text(b'{"detail": "not here"}') == "not here"


def test_a_body_nested_beyond_reason_is_no_json() -> None:
    deep = '{"choices":' + "[" * 100_000 + "]" * 100_000 + "}"
    with pytest.raises(CompletionError, match="the body is no whole JSON") as told:
        read_completion(deep)
    assert told.value.code == "body-json"
    assert error_text(deep.encode()).startswith('{"choices":[[[')


def test_counts_beyond_reason_are_no_counts() -> None:
    body = json.loads(completion_body("hm", finish="stop", tokens_in=1, tokens_out=1))
    body["usage"]["prompt_tokens"] = 10**400
    assert read_completion(json.dumps(body)).estimated
