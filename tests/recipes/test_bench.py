import json
import subprocess
import sys
import time
from dataclasses import asdict

import pytest

from textreel.recipes.bench import (
    BENCHES,
    Timing,
    compare,
    cpu_seconds,
    make_case,
    make_report,
)


def test_sides_take_turns_in_alternating_order() -> None:
    calls: list[str] = []
    sides = {name: lambda name=name: calls.append(name) for name in ("ours", "a", "b")}
    timings = compare(sides, rounds=3)
    assert calls == ["ours", "a", "b", "b", "a", "ours", "ours", "a", "b"]
    assert [t.side for t in timings] == ["ours", "a", "b"]
    assert all(len(t.cpu_s) == len(t.wall_s) == 3 for t in timings)


def test_a_side_that_was_timed_is_not_called_again() -> None:
    calls: list[str] = []
    sides = {name: lambda name=name: calls.append(name) for name in ("ours", "slow")}
    timings = compare(sides, rounds=3, timed={"slow": (7.0, 8.0)})
    assert calls == ["ours", "ours", "ours"]
    assert [len(t.cpu_s) for t in timings] == [3, 1]
    assert (timings[1].median_cpu_s, timings[1].median_wall_s) == (7.0, 8.0)


def test_a_process_that_was_started_costs_cpu_seconds_too() -> None:
    busy = "x = sum(range(5_000_000))"
    before = time.process_time()
    started = cpu_seconds()
    subprocess.run([sys.executable, "-S", "-c", busy], check=True)
    assert cpu_seconds() - started > time.process_time() - before


def test_sleeping_costs_wall_seconds_only() -> None:
    (timing,) = compare({"ours": lambda: time.sleep(0.05)}, rounds=2)
    assert timing.median_wall_s >= 0.05
    assert timing.median_cpu_s < timing.median_wall_s


def test_ratios_are_medians_over_ours() -> None:
    def timing(side: str, cpu: float, wall: float) -> Timing:
        return Timing(
            side=side,
            cpu_s=(cpu,),
            wall_s=(wall,),
            median_cpu_s=cpu,
            median_wall_s=wall,
            spread=0.0,
        )

    timings = (timing("ours", 2.0, 4.0), timing("plain", 6.0, 5.0))
    case = make_case("x", timings, settings={}, differences={}, notes={})
    assert case.cpu_ratios == {"plain": 3.0}
    assert case.wall_ratios == {"plain": 1.25}
    report = make_report("x", (case,))
    assert json.loads(json.dumps(asdict(report)))["cases"][0]["cpu_ratios"] == {"plain": 3.0}


def test_the_spread_is_relative_to_the_median() -> None:
    work = iter([0, 400_000, 800_000])
    (timing,) = compare({"ours": lambda: sum(range(next(work)))}, rounds=3)
    low, middle, high = sorted(timing.cpu_s)
    assert timing.median_cpu_s == middle
    assert timing.spread == pytest.approx((high - low) / middle)


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(ValueError, match="1 sides in 0 rounds"):
        compare({"ours": list}, rounds=0)
    with pytest.raises(ValueError, match="both must be at least 1"):
        compare({}, rounds=1)


def test_every_bench_is_named() -> None:
    named = "train scoring decode seek encode pages talk textvid bridge codec"
    assert list(BENCHES) == named.split()
