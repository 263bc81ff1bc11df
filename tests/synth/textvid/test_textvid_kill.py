"""A synthesis killed fifty times, against a server with every fault, ends as an undisturbed one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.source import ROOT
from tests.synth.textvid.kill_textvid import IN_FLIGHT, TOPICS, make_script
from textreel.data.textual_jsonl import read_videos

KILLS, SEED = 50, 11
AWAKE_S = 0.1
"""No answer that arrived longer than this before a kill is asked for again. Counted without the
time in which the client stood in the processor's queue: on a busy machine it can be no quicker."""
OUTPUT = ("videos/videos-00000.jsonl", "textvid.json", "quarantine.jsonl", "report.json")
OUTPUT += ("README.md", "figures.png")


def events_of(log: Path) -> tuple[list[dict], dict[int, float]]:
    """Every call, and when each reply had left whole."""
    events = [json.loads(line) for line in log.read_text().splitlines()]
    asked = [event for event in events if event["event"] == "asked"]
    return asked, {event["call"]: event["t"] for event in events if event["event"] == "sent"}


def awake_s(death: dict, *, since_s: float) -> float:
    """Time from a moment to the kill, without what the process stood in the processor's queue."""
    until, queued_until = death["queued"][-1]
    queued_then = [queued for at_s, queued in death["queued"] if at_s <= since_s]
    then = queued_then[-1] if queued_then else death["queued"][0][1]
    return (until - since_s) - (queued_until - then)


@pytest.mark.slow
def test_fifty_kills_lose_nothing_and_ask_nothing_twice(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.synth.textvid.kill_textvid", str(tmp_path)]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    done = subprocess.run(
        [*command, str(KILLS), str(SEED)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    killed = json.loads(done.stdout)["killed"]
    assert len(killed) >= KILLS - 5
    for name in OUTPUT:
        straight, disturbed = (tmp_path / run / name for run in ("straight", "killed"))
        assert straight.read_bytes() == disturbed.read_bytes(), name

    asked, sent_s = events_of(tmp_path / "killed.log")
    faults = make_script(SEED)["faults"]
    good = [call for call in asked if not call["fault"]]
    failures = [call for call in asked if call["fault"]]
    answered: dict[str, list[dict]] = {}
    for call in good:
        answered.setdefault(call["topic"], []).append(call)
    never = {topic for topic, fault in faults.items() if fault in NEVER_ANSWERED}
    assert len(answered) == TOPICS - len(never)
    lost = [call for calls in answered.values() for call in calls[:-1]]
    waits = []  # of answers that were asked for again, how long they lay with the client
    for call in lost:
        death = killed[call["auth"].removeprefix("Bearer ")]
        left_s = sent_s.get(call["call"], death["at_s"])
        waits.append((death["at_s"] - left_s, awake_s(death, since_s=left_s), call))
    arrived = [wait for wait in waits if wait[0] > 0]
    clock_s, awake = (max((wait[i] for wait in arrived), default=0.0) for i in (0, 1))
    sys.stdout.write(
        f"{len(killed)} kills, {len(lost)} answers asked for again; {len(arrived)} of them had "
        f"left the server, at most {1000 * clock_s:.1f} ms before the kill by the clock and "
        f"{1000 * awake:.1f} ms without waiting for a processor\n"
    )
    for _, awake, call in arrived:  # such an answer was in flight at a kill
        assert awake <= AWAKE_S, call
    assert len(lost) <= len(killed) * IN_FLIGHT
    assert len(asked) == len(answered) + len(lost) + len(failures)
    assert all(call["key"] for call in asked)

    videos = list(read_videos(tmp_path / "killed" / "videos"))
    set_aside = (tmp_path / "killed" / "quarantine.jsonl").read_text().splitlines()
    assert len({video.id for video in videos}) == len(videos)
    records = [line for line in set_aside if " questions." not in json.loads(line)["id"]]
    assert len(videos) + len({json.loads(line)["id"] for line in records}) == TOPICS
    assert {json.loads(line)["code"] for line in records} >= {"http-400", "http-500", "schema"}


NEVER_ANSWERED = {"always:400", "always:500", "always:wrong-schema"}
