"""The wheel holds all that the package needs in another folder."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.source import PACKAGE, ROOT


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    wanted = {
        f"textreel/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(wanted) > 20
    assert wanted <= held, f"missing: {sorted(wanted - held)}"
    assert {name.split("/")[-1] for name in held} >= {"LICENSE", "NOTICE", "entry_points.txt"}
