"""The whole of `synth textvid`: ask, then build; or run a pilot and plan."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from textreel.data.errors import LockedError
from textreel.data.quarantine import Quarantine
from textreel.synth.check.checker import Checker
from textreel.synth.textvid.build import BuildReport, build
from textreel.synth.textvid.card import Licences
from textreel.synth.textvid.errors import FailingError
from textreel.synth.textvid.job import Job, Run, RunOptions, answers_path, open_job, run_job
from textreel.synth.textvid.plan import Plan, make_plan
from textreel.synth.textvid.writers import Writer


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """What is built of the answers.

    Attributes:
        checker: fresh; decides what is left out.
        licences: for the card.
        released: also write the released TextVid JSON.
        max_bad: topics that may end without a record: a number, a share, or None for any.
    """

    checker: Checker
    licences: Licences
    released: bool = False
    max_bad: int | str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Synthesis:
    """What a run left.

    Attributes:
        run: what was settled.
        built: the data set; None while other clients are at work.
        waiting_for: why nothing was built, or empty.
    """

    run: Run
    built: BuildReport | None
    waiting_for: str = ""


def synthesise(
    out: Path, job: Job, *, writer: Writer, options: RunOptions, output: Output
) -> Synthesis:
    """Ask about every topic that has no answer yet, and build the data set.

    It is built also when a budget ended the run or topic after topic failed, of what is there.

    Args:
        out: folder; the same call goes on after whatever ended the last one.
        job: what to ask.
        writer: who answers.
        options: of this run.
        output: what is built.

    Raises:
        Errors of `open_job`, `run_job` and `build`.
    """
    open_job(out, job)
    try:
        run = run_job(out, job, writer=writer, options=options)
    except FailingError:
        _build(out, job, output)  # its quarantine file says why
        raise
    built, waiting_for = _build(out, job, output)
    return Synthesis(run=run, built=built, waiting_for=waiting_for)


def plan_synthesis(out: Path, job: Job, *, writer: Writer, options: RunOptions, pilot: int) -> Plan:
    """Run a pilot of the job's first topics and scale what it cost.

    Args:
        out: folder of the job; the pilot's answers stay there and are not asked for again.
        job: what shall be planned.
        writer: who answers.
        options: of the pilot.
        pilot: topics, at least 1.

    Raises:
        Errors of `open_job`, `run_job` and `make_plan`; the budget's where it ends the pilot.
    """
    pilot = max(1, min(pilot, job.count))
    open_job(out, job)
    start_s = time.monotonic()
    run = run_job(out, job, writer=writer, options=replace(options, first=pilot))
    seconds = time.monotonic() - start_s
    if run.limit:
        raise options.budget.error(run.limit, done=run.tally.topics, total=pilot)
    return make_plan(
        out,
        job,
        pilot=run.tally.topics,
        usable=run.tally.topics - run.tally.failed,
        seconds=None if run.tally.kept else seconds,
        prices=options.budget.prices,
    )


def check_failures(built: BuildReport, *, max_bad: int | str | None) -> None:
    """Refuse a finished job of which too much was left out; the output stays.

    Raises:
        TooManyBadError: more topics ended without a record than are allowed.
        LimitError: `max_bad` is no limit.
    """
    bad = Quarantine(max_bad=max_bad)
    counts = built.counts
    for reasons, what in ((counts.failed, "answer"), (counts.rejected, "record")):
        for code, number in reasons.items():
            for index in range(number):
                bad.add(f"{code} {index}", source=str(built.quarantine), code=code, message=what)
    bad.check(counts.topics - counts.unanswered)


def _build(out: Path, job: Job, output: Output) -> tuple[BuildReport | None, str]:
    count = job.shard[1]
    missing = [i for i in range(count) if not answers_path(out, (i, count)).exists()]
    if missing:
        return None, f"parts {', '.join(f'{i}/{count}' for i in missing)} have not begun"
    try:
        built = build(
            out, job, checker=output.checker, licences=output.licences, released=output.released
        )
    except LockedError as error:
        if count == 1:
            raise
        return None, str(error)
    return built, ""
