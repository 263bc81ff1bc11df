import asyncio
import json
import subprocess
import sys

import httpx2
import pytest

from textreel.recipes import bench_textvid
from textreel.recipes.answer_server import Question, Reply, serve
from textreel.recipes.bench_stories import story, story_body, topic_of
from textreel.recipes.bench_textvid_server import answer
from textreel.synth.textvid.prompt_files import load_prompts
from textreel.synth.textvid.topics import make_topic


def ask(replies: list, *, times: int = 1) -> tuple[list[Question], list]:
    """Ask a server in this process; what it was asked, and what came back."""
    asked: list[Question] = []

    def scripted(question: Question) -> Reply | None:
        asked.append(question)
        return replies[len(asked) - 1]

    async def run() -> list:
        ports: asyncio.Queue[int] = asyncio.Queue()
        serving = asyncio.create_task(serve(scripted, ready=ports.put_nowait))
        url = f"http://127.0.0.1:{await ports.get()}/v1/x"
        came = []
        async with httpx2.AsyncClient(timeout=5.0) as client:
            for number in range(times):
                try:
                    came.append(await client.post(url, json={"n": number}, headers={"A-b": "c"}))
                except httpx2.HTTPError as error:
                    came.append(error)
        serving.cancel()
        return came

    return asked, asyncio.run(run())


def test_the_server_answers_with_status_headers_and_body() -> None:
    sent = []
    replies = [
        Reply(body=b"{}", status=429, headers={"Retry-After": "3"}, sent=lambda: sent.append(1)),
        Reply(body=b"[1]"),
    ]
    asked, came = ask(replies, times=2)
    assert [question.body for question in asked] == [{"n": 0}, {"n": 1}]
    assert asked[0].path == "/v1/x" and asked[0].headers["a-b"] == "c"
    assert (came[0].status_code, came[0].headers["retry-after"], sent) == (429, "3", [1])
    assert came[1].json() == [1]


def test_the_server_cuts_a_body_where_it_is_told_to() -> None:
    _, came = ask([Reply(body=b"0123456789", cut_at=4)])
    assert isinstance(came[0], httpx2.RemoteProtocolError)


def test_a_story_is_the_same_for_a_topic_and_answers_the_packages_prompt() -> None:
    assert story("a") == story("a") != story("b")
    assert len(story("a", frames=9)["frames"]) == 9
    prompts = load_prompts()
    for kind in ("line", "object"):
        topic = make_topic("tea for two", kind=kind, source="")
        assert topic_of(prompts.request(topic, language="English")) == "tea for two"
    body = {"messages": [{}, {"content": prompts.request(topic, language="English")}]}
    made = answer(Question(path="/", headers={}, body=body), delay_s=0.5)
    content = json.loads(json.loads(made.body)["choices"][0]["message"]["content"])
    assert made.delay_s == 0.5 and content["topic"] == "tea for two"
    assert json.loads(story_body("x"))["usage"]["prompt_tokens"] == 600


@pytest.mark.slow
def test_the_bench_asks_about_every_topic_and_says_what_it_cost() -> None:
    report = bench_textvid.run_bench_textvid(topics=128, rounds=1, delay_s=0.01)
    case = report.cases[0]
    assert [timing.side for timing in case.timings] == ["ours", "bare httpx2"]
    assert set(case.notes) >= {"share of the ideal rate", "CPU ms per record, both"}
    assert all(value > 0 for value in case.notes.values())


@pytest.mark.slow
def test_a_server_that_cannot_start_is_said(tmp_path, monkeypatch) -> None:
    real = subprocess.Popen
    monkeypatch.setattr(
        bench_textvid.subprocess,
        "Popen",
        lambda command, **more: real([sys.executable, "-c", "raise SystemExit(7)"], **more),
    )
    with (
        pytest.raises(RuntimeError, match="the bench's server ended with 7"),
        bench_textvid.answering_server(tmp_path, 0.0),
    ):
        pass
