import json
from dataclasses import asdict

import pytest

from textreel.train.config import TrainConfig, learning_rate
from textreel.train.errors import TrainConfigError


def test_the_rate_warms_up_then_falls_along_half_a_cosine() -> None:
    config = TrainConfig(steps=10, warmup=4, lr=0.8)
    rates = [learning_rate(step, config) for step in range(10)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])
    assert rates[7] == pytest.approx(0.4)  # half way down
    assert rates[9] == pytest.approx(0.8 * 0.0669873, rel=1e-5)  # (1 + cos(5 pi / 6)) / 2
    assert learning_rate(10, config) == pytest.approx(0.0)


def test_a_constant_rate_stays() -> None:
    config = TrainConfig(steps=10, warmup=2, lr=0.8, schedule="constant")
    assert [learning_rate(step, config) for step in (0, 1, 2, 9)] == [0.4, 0.8, 0.8, 0.8]


def test_each_stretch_between_restarts_warms_up_and_falls_by_itself() -> None:
    config = TrainConfig(steps=10, warmup=2, lr=1.0, restarts=(0.4,))
    rates = [learning_rate(step, config) for step in range(10)]
    alone = [
        learning_rate(step, TrainConfig(steps=steps, warmup=2, lr=1.0))
        for steps in (4, 6)
        for step in range(steps)
    ]
    assert rates == pytest.approx(alone)
    assert rates[4] == 0.5 and rates[3] < 1.0


def test_a_stretch_shorter_than_the_warm_up_only_rises() -> None:
    config = TrainConfig(steps=10, warmup=4, lr=0.8, restarts=(0.2,))
    assert [learning_rate(step, config) for step in (0, 1, 2, 3)] == pytest.approx(
        [0.2, 0.4, 0.2, 0.4]
    )


def test_a_config_is_plain_json() -> None:
    config = TrainConfig(steps=3, restarts=(0.5,))
    again = json.loads(json.dumps(asdict(config)))
    tuples = {name: tuple(again[name]) for name in ("betas", "restarts")}
    assert TrainConfig(**again | tuples) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps=0 must be at least 1"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"log_every": 0}, "log_every=0 must be at least 1"),
        ({"checkpoint_every": -1}, "checkpoint_every=-1 must be at least 1"),
        ({"evaluate_every": -1}, "evaluate_every=-1 must be 0 or more"),
        ({"prefetch": -1}, "prefetch=-1 must be 0 or more"),
        ({"threads": 0}, "threads=0 must be at least 1, or None"),
        ({"warmup": 5}, "warmup=5 must be from 0 to 4"),
        ({"restarts": (0.5, 0.5)}, r"restarts=\(0.5, 0.5\) must be ascending shares between 0 and"),
        ({"restarts": (1.0,)}, r"restarts=\(1.0,\) must be ascending shares between 0 and 1"),
        ({"lr": float("nan")}, "lr=nan must be above 0"),
        ({"optimizer": "sgd"}, "optimizer=sgd must be adamw or muon"),
        ({"muon_lr": 0.0}, "muon_lr=0.0 must be above 0"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1 must be 0 or more"),
        ({"betas": (0.9, 1.0)}, r"betas=\(0.9, 1.0\) must be two numbers in \[0, 1\)"),
        ({"clip_norm": 0.0}, "clip_norm=0.0 must be above 0, or None"),
    ],
)
def test_impossible_settings_are_refused_by_name(changes: dict, message: str) -> None:
    with pytest.raises(TrainConfigError, match=message) as caught:
        TrainConfig(**{"steps": 5} | changes)
    assert caught.value.exit_code == 2
