"""Forks writers of one journal and kills each at a random moment; prints what it saw as JSON.

Run by test_journal.py in an interpreter of its own: a process without other threads may fork.
"""

import json
import os
import random
import signal
import sys
import time

from textreel.data.journal import Journal, read_journal


def write_for_ever(path: str, done: int) -> None:
    with Journal.open(path, kind="test", fingerprint="f") as journal:
        number = len(journal)
        while True:
            journal.record(f"k{number}", {"number": number, "text": "x" * (number % 5000)})
            os.write(done, number.to_bytes(8, "big"))
            number += 1


def kill_one(path: str, *, after_units: int, after_s: float) -> int:
    """Kill a writer some time after it finished some units; return how many it said there are."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        write_for_ever(path, write_end)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        said = pipe.read(8 * after_units)
        time.sleep(after_s)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        said += pipe.read()
    return int.from_bytes(said[-8:], "big") + 1 if said else 0


def main(path: str, kills: int, seed: int) -> None:
    draw, said, counts = random.Random(seed), 0, []
    for _ in range(kills):
        units, wait_s = draw.randrange(8), draw.uniform(0.0, 0.005)
        said = max(said, kill_one(path, after_units=units, after_s=wait_s))
        numbers = [e.value["number"] for e in read_journal(path, kind="test")] if said else []
        assert numbers == list(range(len(numbers))), "a line is lost, doubled or out of order"
        assert len(numbers) >= said, f"{said} units were finished, {len(numbers)} are recorded"
        counts.append(len(numbers))
    with Journal.open(path, kind="test", fingerprint="f") as journal:
        assert list(journal) == [f"k{i}" for i in range(counts[-1])]
    sys.stdout.write(json.dumps({"counts": counts}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
