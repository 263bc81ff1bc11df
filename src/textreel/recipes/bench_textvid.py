"""`bench textvid`: how much of the ideal rate the client reaches, at what cost, in how much memory.

A server in another process answers every request after 500 ms with a whole textual video of 3 KB;
64 requests are under way, so the ideal rate is 128 a second. Ours asks, journals (with its grouped
fsync), and reads every answer. Beside it the bare HTTP client sends the same requests and reads
nothing: the floor. What building the data set costs per record is measured on the same answers.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2

from textreel.data.budget import Budget
from textreel.models.endpoint import EndpointPool, PoolSettings
from textreel.models.endpoint_wire import payload
from textreel.recipes.bench import BenchReport, compare, cpu_seconds, make_case, make_report
from textreel.synth.check.checker import Checker
from textreel.synth.check.findings import CheckLimits
from textreel.synth.textvid.answer import ANSWER_SCHEMA, Origin
from textreel.synth.textvid.answering import Tally
from textreel.synth.textvid.build import build
from textreel.synth.textvid.card import Licences
from textreel.synth.textvid.job import Job, RunOptions, open_job, run_job
from textreel.synth.textvid.prompt_files import load_prompts
from textreel.synth.textvid.state import Asking, Todo, outcome_of
from textreel.synth.textvid.topics import TopicSource
from textreel.synth.textvid.writers import EndpointWriter

TOPICS, IN_FLIGHT, DELAY_S, ROUNDS = 2048, 64, 0.5, 3


@dataclass(slots=True)
class _Memory:
    """Resident memory in MiB when a tenth, and when all, of the topics are settled."""

    topics: int
    early: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)

    def watch(self, tally: Tally, budget: Budget) -> None:
        if tally.topics == max(1, self.topics // 10):
            self.early.append(resident_mib())
        elif tally.topics == self.topics:
            self.late.append(resident_mib())


def run_bench_textvid(
    *, topics: int = TOPICS, rounds: int = ROUNDS, delay_s: float = DELAY_S
) -> BenchReport:
    """Measure asking about `topics`, `rounds` times.

    Args:
        topics: requests of each round.
        rounds: of both sides.
        delay_s: after which the server answers.
    """
    job, memory, number = _job(topics), _Memory(topics), count()
    with TemporaryDirectory() as folder, answering_server(Path(folder), delay_s) as url:

        def ours() -> None:
            out = Path(folder) / f"run-{next(number)}"
            open_job(out, job)
            settings = PoolSettings(in_flight=IN_FLIGHT)
            writer = EndpointWriter(EndpointPool([url], model="bench", settings=settings))
            run_job(out, job, writer=writer, options=RunOptions(show=memory.watch))

        timings = compare({"ours": ours, "bare httpx2": lambda: _bare(job, url)}, rounds=rounds)
        build_s = _build_seconds(Path(folder) / "run-0", job)
    first = timings[0]
    per_record_ms = 1000 * first.median_cpu_s / topics
    ideal_s = -(-topics // IN_FLIGHT) * delay_s
    notes = {
        "share of the ideal rate": ideal_s / first.median_wall_s,
        "records a second": topics / first.median_wall_s,
        "CPU ms per record, asking": per_record_ms,
        "CPU ms per record, building": 1000 * build_s / topics,
        "CPU ms per record, both": per_record_ms + 1000 * build_s / topics,
        "MiB at a tenth of the first round": memory.early[0],
        "MiB at its end": memory.late[0],
    }
    case = make_case(
        f"{topics} textual videos, {IN_FLIGHT} in flight, {delay_s:g} s each",
        timings,
        settings={"topics": topics, "in_flight": IN_FLIGHT, "delay_s": delay_s, "rounds": rounds},
        differences={},
        notes=notes,
    )
    remark = (
        "The bare client keeps nothing and reads no answer: it is the floor, not a way to work."
    )
    return make_report("textvid", (case,), remarks=(remark,))


@contextmanager
def answering_server(folder: Path, delay_s: float) -> Iterator[str]:
    """Run the bench's server in a process of its own, and yield its base URL."""
    port_file = folder / "port"
    command = [sys.executable, "-m", "textreel.recipes.bench_textvid_server"]
    with subprocess.Popen(
        [*command, str(port_file), str(delay_s)], stdin=subprocess.PIPE
    ) as server:
        try:
            while not port_file.exists():
                if server.poll() is not None:
                    raise RuntimeError(f"the bench's server ended with {server.returncode}")
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port_file.read_text(encoding='utf-8')}/v1"
        finally:
            server.kill()


def resident_mib() -> float:
    """Return the memory that this process holds, in MiB; 0 where the system does not say."""
    path = Path("/proc/self/status")
    if not path.is_file():
        return 0.0
    lines = path.read_text(encoding="ascii").splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def _job(topics: int) -> Job:
    texts = tuple(f"how to mend thing {number} at home" for number in range(topics))
    prompts = load_prompts()
    origin = Origin(writer="bench", prompt=prompts.hash)
    asking = Asking(prompts=prompts, origin=origin, schema=ANSWER_SCHEMA)
    source = TopicSource(name="topics.txt", kind="title", texts=texts, digest=str(topics))
    return Job(asking=asking, sources=(source,), count=topics)


def _bare(job: Job, url: str) -> None:
    asyncio.run(_ask_bare(job, f"{url}/chat/completions"))


async def _ask_bare(job: Job, url: str) -> None:
    topics = job.topics()
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(limits=limits, timeout=None) as client:

        async def work() -> None:
            for topic in topics:
                todo = outcome_of(topic, lambda key: None, asking=job.asking)
                assert isinstance(todo, Todo)
                content = payload(todo.request, model="bench", structured=True)
                headers = {"content-type": "application/json", "idempotency-key": todo.key}
                response = await client.post(url, content=content, headers=headers)
                assert response.status_code == 200

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))


def _build_seconds(out: Path, job: Job) -> float:
    """Return the CPU seconds of building the data set; its answers are alike, which is allowed."""
    checker = Checker(CheckLimits(same_words=1.0))
    start_s = cpu_seconds()
    build(out, job, checker=checker, licences=Licences())
    return cpu_seconds() - start_s
