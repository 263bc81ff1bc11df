"""An endpoint with scripted faults, in a process of its own; what it was asked is in its log.

    python -m tests.synth.textvid.fake_server PORT_FILE LOG SCRIPT

SCRIPT is JSON: `faults` maps topics to a fault of their first call (`always:` in front: of all
calls), `delay_s` is how long a good answer takes. LOG gets a line for every call and for every good
or faulty reply that left whole, with the time of the system's monotonic clock.
"""

import asyncio
import json
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from textreel.models.endpoint_wire import completion_body
from textreel.recipes.answer_server import Question, Reply, serve
from textreel.recipes.bench_stories import story_body, topic_of

FAULTS = (
    "429-after",
    "429",
    "500",
    "503",
    "error-body",
    "hang",
    "cut",
    "truncated",
    "wrong-schema",
    "swapped",
)


def whole(content: str) -> str:
    return completion_body(content, finish="stop", tokens_in=500, tokens_out=50)


def broken(fault: str, topic: str) -> Reply | None:
    """The reply of one fault, None for silence."""
    body = story_body(topic).encode()
    error = json.dumps({"error": {"message": "try later", "code": fault}}).encode()
    match fault:
        case "429-after":
            return Reply(status=429, body=error, headers={"Retry-After": "0"})
        case "429" | "500" | "503" | "400":
            return Reply(status=int(fault), body=error)
        case "error-body":
            return Reply(body=error)
        case "hang":
            return None
        case "cut":
            return Reply(body=body, cut_at=len(body) // 2)
        case "truncated":
            return Reply(body=body[: len(body) // 2])
        case "wrong-schema":
            return Reply(body=whole(json.dumps({"topic": topic, "frames": "none"})).encode())
        case "swapped":
            return Reply(body=story_body(f"quite another matter {len(topic)}").encode())
    raise AssertionError(fault)


class Fake:
    def __init__(self, log: Path, script: dict) -> None:
        self.log = log.open("a", buffering=1)
        self.script = script
        self.served: set[str] = set()
        self.calls = 0

    def write(self, **event) -> None:
        self.log.write(json.dumps({"t": time.monotonic(), **event}) + "\n")

    def answer(self, question: Question) -> Reply | None:
        self.calls += 1
        topic = topic_of(question.body["messages"][1]["content"])
        fault = self.script["faults"].get(topic, "")
        always = fault.startswith("always:")
        if not always and topic in self.served:
            fault = ""
        fault = fault.removeprefix("always:")
        self.served.add(topic)
        key = question.headers.get("idempotency-key", "")
        call = {"call": self.calls, "topic": topic, "fault": fault, "key": key}
        self.write(event="asked", auth=question.headers.get("authorization", ""), **call)
        sent = partial(self.write, event="sent", **call)
        if fault:
            reply = broken(fault, topic)
            return reply and replace(reply, sent=sent)
        body = story_body(topic).encode()
        return Reply(body=body, delay_s=self.script.get("delay_s", 0.0), sent=sent)


def main(port_file: str, log: str, script: str) -> None:
    fake = Fake(Path(log), json.loads(script))
    draft = Path(port_file + ".tmp")

    def ready(port: int) -> None:
        draft.write_text(str(port))
        draft.rename(port_file)

    asyncio.run(serve(fake.answer, ready=ready))


if __name__ == "__main__":
    main(*sys.argv[1:])
