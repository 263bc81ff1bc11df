"""One run and a few videos for all tests of this room; nobody changes them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.serve.runs import make_run, video
from textreel.serve.session import Session, load


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    make_run(home)
    video(home / "one.mp4", seed=1)
    video(home / "two.mp4", seed=2, sound=True)
    video(home / "short.mp4", seed=3, num_frames=2)
    (home / "story.txt").write_text("a red circle\nthe circle moves\na blue square\n")
    return home


@pytest.fixture(scope="session")
def session(home: Path) -> Session:
    return load(home / "run")
