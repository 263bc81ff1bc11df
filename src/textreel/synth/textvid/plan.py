"""What a synthesis will cost: a pilot is run, and its tokens and time stand for all topics.

The pilot's topics are the first of the job, and its answers stay in the journal: what it costs is
spent on the job itself. A mean over n topics has the standard error s / sqrt(n); the range that is
given is the total at two of them to either side.
"""

from dataclasses import dataclass
from itertools import islice
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

from textreel.data.budget import Prices
from textreel.data.journal import read_journal
from textreel.models.endpoint_errors import CompletionError
from textreel.models.endpoint_wire import Completion, read_completion
from textreel.synth.textvid.errors import JobError
from textreel.synth.textvid.job import ANSWERS_KIND, Job, answers_path
from textreel.synth.textvid.state import keys_of

DEFAULT_PILOT = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A total, with its range of two standard errors."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a job will cost.

    Attributes:
        topics: of the job.
        pilot: topics that were answered for this.
        estimated_tokens: some answers came without counts; theirs are estimates from bytes.
        tokens_in: of all requests.
        tokens_out: of all answers.
        usd: dollars; None without prices.
        minutes: of the rest, at the pilot's rate; None where the pilot was answered before.
        tokens_per_s: of answers, in the pilot; None likewise.
        usable_share: of the pilot's topics that gave a textual video.
    """

    topics: int
    pilot: int
    estimated_tokens: bool
    tokens_in: Estimate
    tokens_out: Estimate
    usd: Estimate | None
    minutes: float | None
    tokens_per_s: float | None
    usable_share: float


def make_plan(
    out: Path,
    job: Job,
    *,
    pilot: int,
    usable: int,
    seconds: float | None,
    prices: Prices | None,
) -> Plan:
    """Scale the pilot's cost to the whole job.

    Args:
        out: the job's folder, with the pilot's answers.
        job: the whole job.
        pilot: topics of the pilot.
        usable: of them, with a textual video.
        seconds: that the pilot took; None if its answers were there before.
        prices: dollars per million tokens, or None.

    Raises:
        JobError: not one answer of the pilot can be counted.
    """
    spent = _per_topic(out, job, pilot)
    if not spent:
        raise JobError(
            f"none of the {pilot} topics of the pilot has an answer, so nothing can be planned",
            hint="the quarantine file and -v say why",
        )
    tokens_in = _total([sum(one.tokens_in for one in answers) for answers in spent], job.count)
    tokens_out = _total([sum(one.tokens_out for one in answers) for answers in spent], job.count)
    out_of_pilot = sum(one.tokens_out for answers in spent for one in answers)
    left = job.count - pilot
    return Plan(
        topics=job.count,
        pilot=pilot,
        estimated_tokens=any(one.estimated for answers in spent for one in answers),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        usd=None if prices is None else _in_dollars(spent, job.count, prices),
        minutes=None if seconds is None else round(seconds / pilot * left / 60, 2),
        tokens_per_s=None if not seconds else round(out_of_pilot / seconds, 1),
        usable_share=round(usable / pilot, 4),
    )


def _per_topic(out: Path, job: Job, pilot: int) -> list[list[Completion]]:
    """Return all answers that were received for each of the pilot's topics."""
    wanted: dict[str, list[Completion]] = {}
    home = {
        key: topic.key for topic in islice(job.own_topics(), pilot) for key in keys_of(topic)[:2]
    }
    for entry in read_journal(answers_path(out, job.shard), kind=ANSWERS_KIND):
        if entry.key not in home:
            continue
        try:
            completion = read_completion(entry.value["body"])
        except CompletionError:
            continue
        wanted.setdefault(home[entry.key], []).append(completion)
    return list(wanted.values())


def _total(values: list[int] | list[float], count: int) -> Estimate:
    error = stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0
    middle = mean(values)
    return Estimate(
        value=round(count * middle, 6),
        low=round(count * max(0.0, middle - 2 * error), 6),
        high=round(count * (middle + 2 * error), 6),
    )


def _in_dollars(spent: list[list[Completion]], count: int, prices: Prices) -> Estimate:
    return _total(
        [sum(prices.usd(one.tokens_in, one.tokens_out) for one in answers) for answers in spent],
        count,
    )
