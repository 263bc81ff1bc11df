"""`textreel bench NAME`: how fast ours is beside what one would write without it."""

from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from textreel.cli.errors import OptionError
from textreel.cli.output import JsonOption, emit

if TYPE_CHECKING:
    from textreel.recipes.bench import BenchCase, BenchReport


def bench(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Which bench; a wrong name lists them.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Time our way and the plain way in interleaved rounds on this machine."""
    from textreel.recipes.bench import BENCHES

    if name not in BENCHES:
        nearest = get_close_matches(name, BENCHES, n=1)
        meant = f" (did you mean {nearest[0]}?)" if nearest else ""
        raise OptionError(
            f"there is no bench {name!r}{meant}", hint=f"there are: {', '.join(sorted(BENCHES))}"
        )
    report = BENCHES[name]()
    emit(report, as_json=as_json, text=describe(report))


def describe(report: "BenchReport") -> str:
    """Return a report as lines for people."""
    head = f"bench {report.bench}: torch {report.torch}, {report.threads} threads, {report.machine}"
    lines = [head, *(line for case in report.cases for line in describe_case(case))]
    return "\n".join(lines + [""] * bool(report.remarks) + list(report.remarks))


def describe_case(case: "BenchCase") -> list[str]:
    """Return one comparison as lines: a side each, then what differs and what explains it."""
    lines = ["", case.name]
    width = max(len(timing.side) for timing in case.timings)
    for timing in case.timings:
        ratio = case.cpu_ratios.get(timing.side)
        lines.append(
            f"  {timing.side:<{width}}  {timing.median_cpu_s:8.3f} CPU s"
            f"  {timing.median_wall_s:8.3f} wall s  spread {timing.spread:4.0%}"
            + ("" if ratio is None else f"  {ratio:.2f} times ours")
        )
    lines += [f"  {name} differs by {value:.2g}" for name, value in case.differences.items()]
    return lines + [f"  {name}: {value:.4g}" for name, value in case.notes.items()]
