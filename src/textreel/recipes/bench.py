"""The harness of every `bench NAME`: sides in interleaved rounds, CPU and wall seconds, ratios.

Sides take turns, and every second round goes in the opposite order, so that a machine that slows
down or is shared disturbs all of them alike. CPU seconds are those of this process, all threads
together, and of the processes it started and saw end; they are what ratios are made of, for wall
time measures the neighbours too.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

FORMAT = 1
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """How long one side took, a value per round.

    Attributes:
        side: its name.
        cpu_s: CPU seconds of each round.
        wall_s: wall seconds of each round.
        median_cpu_s: median of `cpu_s`.
        median_wall_s: median of `wall_s`.
        spread: (largest - smallest) / median of `cpu_s`.
    """

    side: str
    cpu_s: tuple[float, ...]
    wall_s: tuple[float, ...]
    median_cpu_s: float
    median_wall_s: float
    spread: float


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchCase:
    """One comparison.

    Attributes:
        name: what is compared.
        settings: sizes, JSON values.
        timings: of each side, ours first.
        cpu_ratios: other side's median CPU seconds over ours; above 1 ours is faster.
        wall_ratios: the same in wall seconds.
        differences: largest differences between the sides' numbers, by name.
        notes: measured parts that explain a ratio, by name.
    """

    name: str
    settings: Mapping[str, Any]
    timings: tuple[Timing, ...]
    cpu_ratios: Mapping[str, float]
    wall_ratios: Mapping[str, float]
    differences: Mapping[str, float]
    notes: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchReport:
    """All cases of one bench, and the machine.

    Attributes:
        format: version of this shape.
        bench: its name.
        torch: version.
        threads: of torch, the same on all sides.
        machine: processor architecture and vector instructions.
        cases: the comparisons.
        remarks: what holds for all of them, one sentence each.
    """

    format: int
    bench: str
    torch: str
    threads: int
    machine: str
    cases: tuple[BenchCase, ...]
    remarks: tuple[str, ...] = ()


def cpu_seconds() -> float:
    """Return CPU seconds of this process and of its children that ended (those to 10 ms)."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


def stopwatch(run: Callable[[], object]) -> tuple[float, float]:
    """Return the CPU and wall seconds of one call."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    run()
    return cpu_seconds() - cpu, time.perf_counter() - wall


def compare(
    sides: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    timed: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[Timing, ...]:
    """Time each side once a round.

    Args:
        sides: by name, ours first; each call does the same work. Each should have been called once
            before, so that nothing is built within the first round.
        rounds: at least 1.
        timed: sides that are too slow to be called again, with the CPU and wall seconds of the one
            call there was.

    Raises:
        ValueError: no rounds, or no sides.
    """
    if rounds < 1 or not sides:
        raise ValueError(f"{len(sides)} sides in {rounds} rounds: both must be at least 1")
    taken = {side: [seconds] for side, seconds in (timed or {}).items()}
    order = [side for side in sides if side not in taken]
    for number in range(rounds):
        for side in order[:: 1 if number % 2 == 0 else -1]:
            taken.setdefault(side, []).append(stopwatch(sides[side]))
    return tuple(
        _timing(side, [cpu for cpu, _ in taken[side]], [wall for _, wall in taken[side]])
        for side in sides
    )


def once(side: str, run: Callable[[], T]) -> tuple[T, Timing]:
    """Return what `run` returns, and how long its one call took."""
    found: list[T] = []
    cpu, wall = stopwatch(lambda: found.append(run()))
    return found[0], _timing(side, [cpu], [wall])


def _timing(side: str, cpu_s: list[float], wall_s: list[float]) -> Timing:
    median = statistics.median(cpu_s)
    return Timing(
        side=side,
        cpu_s=tuple(cpu_s),
        wall_s=tuple(wall_s),
        median_cpu_s=median,
        median_wall_s=statistics.median(wall_s),
        spread=(max(cpu_s) - min(cpu_s)) / median if median else 0.0,
    )


def make_case(
    name: str,
    timings: tuple[Timing, ...],
    *,
    settings: Mapping[str, Any],
    differences: Mapping[str, float],
    notes: Mapping[str, float],
) -> BenchCase:
    """Return a comparison with the ratios of all other sides to the first."""
    ours, *others = timings
    return BenchCase(
        name=name,
        settings=settings,
        timings=timings,
        cpu_ratios={other.side: other.median_cpu_s / ours.median_cpu_s for other in others},
        wall_ratios={other.side: other.median_wall_s / ours.median_wall_s for other in others},
        differences=differences,
        notes=notes,
    )


def make_report(
    bench: str, cases: tuple[BenchCase, ...], *, remarks: tuple[str, ...] = ()
) -> BenchReport:
    """Return the report of `bench` on this machine."""
    return BenchReport(
        format=FORMAT,
        bench=bench,
        torch=str(torch.__version__),
        threads=torch.get_num_threads(),
        machine=f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        cases=cases,
        remarks=remarks,
    )


def _train() -> BenchReport:
    from textreel.recipes.bench_train import run_bench_train

    return run_bench_train()


def _scoring() -> BenchReport:
    from textreel.recipes.bench_scoring import run_bench_scoring

    return run_bench_scoring()


def _decode() -> BenchReport:
    from textreel.recipes.bench_decode import run_bench_decode

    return run_bench_decode()


def _seek() -> BenchReport:
    from textreel.recipes.bench_seek import run_bench_seek

    return run_bench_seek()


def _encode() -> BenchReport:
    from textreel.recipes.bench_encode import run_bench_encode

    return run_bench_encode()


def _pages() -> BenchReport:
    from textreel.recipes.bench_pages import run_bench_pages

    return run_bench_pages()


def _talk() -> BenchReport:
    from textreel.recipes.bench_talk import run_bench_talk

    return run_bench_talk()


def _textvid() -> BenchReport:
    from textreel.recipes.bench_textvid import run_bench_textvid

    return run_bench_textvid()


def _bridge() -> BenchReport:
    from textreel.recipes.bench_bridge import run_bench_bridge

    return run_bench_bridge()


def _codec() -> BenchReport:
    from textreel.recipes.bench_codec import run_bench_codec

    return run_bench_codec()


BENCHES: dict[str, Callable[[], BenchReport]] = {
    "train": _train,
    "scoring": _scoring,
    "decode": _decode,
    "seek": _seek,
    "encode": _encode,
    "pages": _pages,
    "talk": _talk,
    "textvid": _textvid,
    "bridge": _bridge,
    "codec": _codec,
}
"""Every bench by name; what each compares stands in its own module's header."""
