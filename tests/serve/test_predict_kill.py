"""SIGKILL in the middle of `predict`: nothing finished is asked again, nothing is missing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serve.runs import video
from textreel.data.journal import read_journal

KILLS = 2
SCRIPT = Path(__file__).with_name("kill_predict.py")


@pytest.mark.slow
def test_a_killed_predict_goes_on_without_repeating_a_line(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4", seed=1)
    count = 12
    rows = [
        {"id": str(i), "video": "a.mp4", "question": f"what {'is ' * i}it ?"} for i in range(count)
    ]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    target = tmp_path / "out.jsonl"
    command = [sys.executable, str(SCRIPT), str(source), str(target)]
    asked, kills = 0, 0
    while not target.exists():
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for heard, _ in enumerate(process.stdout, start=1):
                asked += 1
                if heard == 3 and kills < KILLS:
                    kills += 1
                    os.kill(process.pid, signal.SIGKILL)
                    break
        assert process.returncode == (0 if target.exists() else -signal.SIGKILL)
    assert kills == KILLS
    keys = [entry.key for entry in read_journal(f"{target}.journal", kind="predict")]
    assert len(keys) == len(set(keys)) == count
    assert asked <= count + kills  # only the line that was under way is asked again
    assert [json.loads(line)["id"] for line in target.read_text().splitlines()] == [
        row["id"] for row in rows
    ]
