import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.train.track_job import data, model
from textreel.train.config import TrainConfig
from textreel.train.contracts import Progress
from textreel.train.loop import train
from textreel.train.result import TrainResult


def _run(
    run_dir: Path, progress: Callable[[Progress], None] | None = None, **changes: object
) -> TrainResult:
    values = {"steps": 8, "batch_size": 8, "warmup": 2, "log_every": 1, "checkpoint_every": 3}
    config = TrainConfig(**(values | {"threads": 1, "precision": "fp32"} | changes))
    return train(model(), data(), config, run_dir, progress=progress)


def test_a_track_model_tries_both_kernels_and_keeps_one(tmp_path: Path) -> None:
    result = _run(tmp_path)
    recorded = json.loads((tmp_path / "train.json").read_text())
    assert set(recorded["step_seconds"]) == {"fp32/sdpa", "fp32/eager"}
    assert result.attention in ("sdpa", "eager")
    assert _run(tmp_path) == result


def test_only_trained_parts_are_saved(tmp_path: Path) -> None:
    from safetensors import safe_open

    result = _run(tmp_path, steps=3)
    with safe_open(tmp_path / result.checkpoint / "tensors.safetensors", "pt") as file:
        names = {name for name in file.keys() if name.startswith("model/")}
    assert names == {
        "model/connector.project.weight",
        "model/connector.slots.weight",
        "model/adapter.prompts",
        "model/adapter.gates",
        "model/adapter.video_bias",
    }


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_interrupted_track_model_ends_where_a_straight_one_ends(
    tmp_path: Path, precision: str
) -> None:
    def die(progress: Progress) -> None:
        if progress.step == 3:
            raise ConnectionError

    changes = {"precision": precision, "steps": 5, "checkpoint_every": 2}
    with pytest.raises(ConnectionError):
        _run(tmp_path / "killed", die, **changes)
    killed = _run(tmp_path / "killed", **changes)
    assert killed.resumed_at == 2
    assert killed == _run(tmp_path / "straight", **changes)
