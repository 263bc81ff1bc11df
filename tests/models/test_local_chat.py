import json

import pytest

from textreel.models.endpoint_errors import RequestError
from textreel.models.endpoint_wire import ChatRequest, Turn, read_completion
from textreel.models.local_chat import LocalChat


@pytest.fixture(scope="module")
def chat() -> LocalChat:
    return LocalChat("embedded:tiny/decoder")


def request(text: str, **changes) -> ChatRequest:
    turns = (Turn(role="system", text="a red"), Turn(role="user", text=text))
    return ChatRequest(**{"turns": turns, "max_tokens": 4} | changes)


def test_a_local_model_answers_in_the_form_of_an_endpoint(chat: LocalChat) -> None:
    body = chat.answer(request("circle at the top"))
    assert {"choices", "usage"} == json.loads(body).keys()
    answer = read_completion(body)
    assert answer.tokens_in > 4 and 1 <= answer.tokens_out <= 4
    assert body == chat.answer(request("circle at the top"))


def test_drawn_answers_follow_the_seed(chat: LocalChat) -> None:
    drawn = {seed: chat.answer(request("circle", temperature=3.0, seed=seed)) for seed in range(4)}
    assert chat.answer(request("circle", temperature=3.0, seed=2)) == drawn[2]
    assert len(set(drawn.values())) > 1


def test_a_chat_template_is_used_where_there_is_one(chat: LocalChat, monkeypatch) -> None:
    template = "{% for m in messages %}{{ m['content'] }} ; {% endfor %}"
    plain = chat._prompt(request("circle").turns)
    monkeypatch.setattr(chat.tokenizer, "chat_template", template)
    assert chat._prompt(request("circle").turns) != plain
    assert len(chat._prompt(request("circle").turns)) >= 4


def test_a_conversation_without_room_for_an_answer_is_refused(chat: LocalChat) -> None:
    with pytest.raises(RequestError, match=r"takes 2048 together with the answer"):
        chat.answer(request("red " * 3000))
