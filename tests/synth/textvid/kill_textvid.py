"""Forks syntheses against the fake server, kills each at a random offset of its journal.

    python -m tests.synth.textvid.kill_textvid FOLDER KILLS SEED

Prints what it saw as JSON. Run by test_textvid_kill.py in an interpreter of its own, so that the
modules are loaded once and forks are safe.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections import deque
from pathlib import Path

from tests.synth.textvid.fake_server import FAULTS
from textreel.data.journal import read_journal
from textreel.models.endpoint import EndpointPool, PoolSettings
from textreel.synth.check.checker import Checker
from textreel.synth.textvid.answer import ANSWER_SCHEMA, Origin
from textreel.synth.textvid.card import Licences
from textreel.synth.textvid.job import ANSWERS_KIND, Job, RunOptions, answers_path
from textreel.synth.textvid.prompt_files import load_prompts
from textreel.synth.textvid.state import Asking
from textreel.synth.textvid.synthesis import Output, synthesise
from textreel.synth.textvid.topics import TopicSource
from textreel.synth.textvid.writers import EndpointWriter

IN_FLIGHT, TOPICS = 8, 400
NEVER = ("always:400", "always:500", "always:wrong-schema")


def make_job() -> Job:
    texts = tuple(f"how to mend thing number {i} at home" for i in range(TOPICS))
    prompts = load_prompts()
    return Job(
        asking=Asking(
            prompts=prompts,
            origin=Origin(writer="fake", prompt=prompts.hash),
            schema=ANSWER_SCHEMA,
        ),
        sources=(TopicSource(name="topics.txt", kind="title", texts=texts, digest="d"),),
        count=TOPICS,
    )


def make_script(seed: int) -> dict:
    draw = random.Random(seed)
    topics = [topic.text for topic in make_job().topics()]
    draw.shuffle(topics)
    many = [fault for fault in FAULTS if fault != "hang"]
    faults = {topic: many[i % len(many)] for i, topic in enumerate(topics[: 10 * len(many)])}
    rest = topics[10 * len(many) :]
    faults |= dict.fromkeys(rest[:3], "hang")
    faults |= dict(zip(rest[3:], NEVER, strict=False))
    return {"faults": faults, "delay_s": 0.03}


def start_server(folder: Path, name: str, script: dict) -> tuple[subprocess.Popen, str]:
    port = folder / f"{name}.port"
    log = folder / f"{name}.log"
    command = [sys.executable, "-m", "tests.synth.textvid.fake_server"]
    process = subprocess.Popen([*command, str(port), str(log), json.dumps(script)])
    while not port.exists():
        assert process.poll() is None, "the fake server ended"
        time.sleep(0.02)
    return process, f"http://127.0.0.1:{port.read_text()}/v1"


def run_once(out: Path, url: str, run: str) -> None:
    settings = PoolSettings(
        in_flight=IN_FLIGHT, timeout_s=6.0, max_attempts=3, first_pause_s=0.01, longest_pause_s=0.05
    )
    # Each run has a key of its own, so that the server's log says which run asked what.
    pool = EndpointPool([url], model="fake", api_key=run, settings=settings)
    output = Output(checker=Checker(), licences=Licences(), released=True)
    synthesise(out, make_job(), writer=EndpointWriter(pool), options=RunOptions(), output=output)


def start(out: Path, url: str, run: str) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            run_once(out, url, run)
            status = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(status)
    return pid


def journal_size(out: Path) -> int:
    path = answers_path(out, (0, 1))
    return path.stat().st_size if path.exists() else 0


def queued_s(pid: int) -> float:
    """How long a process has stood in the queue for a processor since it began."""
    path = Path(f"/proc/{pid}/schedstat")
    return int(path.read_text().split()[1]) / 1e9 if path.exists() else 0.0


def kill_at(out: Path, url: str, run: str, offset: int) -> dict | None:
    """Kill a run when its journal has passed an offset; None if it ended before.

    Returns when it was killed, and how long it had queued for a processor until each moment of its
    last seconds: on a busy machine an answer may lie there while the process waits for its turn.
    """
    pid = start(out, url, run)
    queued: deque[tuple[float, float]] = deque(maxlen=4000)
    while journal_size(out) < offset:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            assert status == 0, "a run ended with an error; it stands above"
            return None
        queued.append((time.monotonic(), queued_s(pid)))
        time.sleep(0.0005)
    os.kill(pid, signal.SIGSTOP)
    queued.append((time.monotonic(), queued_s(pid)))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return {"at_s": queued[-1][0], "queued": list(queued)}


def main(folder: Path, kills: int, seed: int) -> None:
    script = make_script(seed)
    server, url = start_server(folder, "straight", script)
    try:
        assert os.waitpid(start(folder / "straight", url, "straight"), 0)[1] == 0
    finally:
        server.kill()
    whole = journal_size(folder / "straight")
    draw = random.Random(seed)
    offsets = sorted(draw.randrange(300, whole - 2000) for _ in range(kills))
    server, url = start_server(folder, "killed", script)
    killed: dict[str, dict] = {}
    try:
        for number, offset in enumerate(offsets):
            death = kill_at(folder / "killed", url, f"run-{number}", offset)
            killed |= {} if death is None else {f"run-{number}": death}
        assert os.waitpid(start(folder / "killed", url, "last"), 0)[1] == 0
    finally:
        server.kill()
    entries = list(read_journal(answers_path(folder / "killed", (0, 1)), kind=ANSWERS_KIND))
    sys.stdout.write(json.dumps({"killed": killed, "journalled": len(entries)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
