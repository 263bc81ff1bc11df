"""What `import textreel` gives: every public name, and no work at import."""

import subprocess
import sys

import pytest

import textreel


def test_every_public_name_is_there() -> None:
    assert len(textreel.__all__) >= 8
    for name in textreel.__all__:
        assert getattr(textreel, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'; public"):
        _ = textreel.nothing


@pytest.mark.slow
def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, textreel; print(sorted({m.split('.')[0] for m in sys.modules}))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "'textreel'" in found
    assert not [name for name in ("torch", "transformers", "numpy", "av", "rich") if name in found]


@pytest.mark.slow
def test_importing_takes_less_than_a_third_of_a_second() -> None:
    code = "import time; t = time.process_time(); import textreel; print(time.process_time() - t)"
    command = [sys.executable, "-c", code]
    took = [
        float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(3)
    ]
    assert min(took) < 0.3
