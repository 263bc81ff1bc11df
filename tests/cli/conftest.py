"""Commands decode in this process here: starting a worker costs more than all else a command does.

The worker has tests of its own; those marked `slow` keep it.
"""

from pathlib import Path
from typing import Any

import pytest

from textreel.media.decode import Decoded, decode_clip
from textreel.media.look import Look, look
from textreel.media.worker import GuardedReader


@pytest.fixture(autouse=True)
def no_worker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("slow") is not None:
        return

    def read(self: GuardedReader, path: Path, *args: Any, **more: Any) -> Decoded:
        return decode_clip(path, *args, **more)

    def see(self: GuardedReader, path: Path, *args: Any, **more: Any) -> Look:
        return look(path, *args, **more)

    monkeypatch.setattr(GuardedReader, "read", read)
    monkeypatch.setattr(GuardedReader, "read_parts", read)
    monkeypatch.setattr(GuardedReader, "look", see)
