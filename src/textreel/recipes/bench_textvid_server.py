"""The server of `bench textvid`: `python -m textreel.recipes.bench_textvid_server FILE DELAY_S`.

It writes its port into FILE, answers every request after the delay with a textual video about its
topic, and ends with the process that started it.
"""

import asyncio
import sys
from functools import lru_cache
from pathlib import Path

from textreel.data.files import write_atomic
from textreel.recipes.answer_server import Question, Reply, serve
from textreel.recipes.bench_stories import story_body, topic_of


@lru_cache(maxsize=1)
def _template() -> str:
    return story_body("TOPIC")


def answer(question: Question, *, delay_s: float) -> Reply:
    """Return a whole answer: one story whose words differ by topic, so that it costs little."""
    topic = topic_of(question.body["messages"][1]["content"])
    return Reply(body=_template().replace("TOPIC", topic).encode(), delay_s=delay_s)


async def _serve(port_file: Path, delay_s: float) -> None:
    serving = asyncio.create_task(
        serve(
            lambda question: answer(question, delay_s=delay_s),
            ready=lambda port: write_atomic(port_file, str(port)),
        )
    )
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.read)  # ends when the parent does
    serving.cancel()


def main(arguments: list[str]) -> None:
    """Serve until standard input ends."""
    asyncio.run(_serve(Path(arguments[0]), float(arguments[1])))


if __name__ == "__main__":
    main(sys.argv[1:])
