import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real files of other projects, kept beside the repository."""
    root = Path(os.environ.get("TEXTREEL_SHARED", Path(__file__).parents[2] / ".." / "shared"))
    if not root.is_dir():
        pytest.skip(f"no shared files at {root} (set TEXTREEL_SHARED)")
    return root.resolve()
