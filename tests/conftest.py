"""What holds for every test: no network, no user's cache, and an hour that ends."""

import os
import time
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is: tensors here are small, and two
# threads that wait for each other on a busy machine take ten times as long as one
os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported anywhere
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

STARTED_S = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow-minutes",
        type=float,
        default=None,
        help="skip slow tests that would start later than this many minutes after the first",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is not None:
        _require_gpu()
    minutes = item.config.getoption("--slow-minutes")
    if minutes is None or item.get_closest_marker("slow") is None:
        return
    if time.monotonic() - STARTED_S > 60 * minutes:
        pytest.skip(f"not started: the {minutes:g} minutes of this slow run were used up")


def _require_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a GPU: torch finds no CUDA device here")


@pytest.fixture(autouse=True, scope="session")
def cache_of_the_test_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No test reads or writes the user's cache."""
    cache = tmp_path_factory.mktemp("cache")
    os.environ["TEXTREEL_CACHE"] = str(cache)
    return cache
