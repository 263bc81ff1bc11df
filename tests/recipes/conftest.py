"""Tiny tensors: one thread each, so that threads do not wait for one another."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from tests.recipes.toy import toy_recipe
from textreel.recipes.training import run_recipe


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    with threads(1):
        yield


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that `run_recipe` left; fixtures of a session come before those of a module."""
    run = tmp_path_factory.mktemp("toy") / "run"
    with threads(1):
        run_recipe(toy_recipe(), run)
    return run
