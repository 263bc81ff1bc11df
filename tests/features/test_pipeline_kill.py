"""An encoding job, killed again and again, ends with the features of a straight one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.features.media_files import make_videos
from tests.source import ROOT

NUM_VIDEOS = 10


@pytest.mark.slow
def test_sigkill_at_any_moment_changes_nothing(tmp_path: Path) -> None:
    make_videos(tmp_path / "videos", count=NUM_VIDEOS)
    command = [sys.executable, "-m", "tests.features.kill_pipeline", str(tmp_path), "3"]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kills, stored = map(int, done.stdout.split())
    assert kills >= 2 and stored == NUM_VIDEOS
