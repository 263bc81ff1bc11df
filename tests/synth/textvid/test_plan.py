from pathlib import Path

import pytest

from tests.synth.textvid.fakes import FakeWriter, failure, job_of, story_text, whole
from textreel.data.budget import Budget, BudgetReachedError, Limits, Prices
from textreel.models.endpoint_wire import completion_body
from textreel.synth.textvid.errors import JobError
from textreel.synth.textvid.job import RunOptions
from textreel.synth.textvid.plan import Estimate
from textreel.synth.textvid.synthesis import plan_synthesis

PRICES = Prices(usd_per_mtok_in=1.0, usd_per_mtok_out=2.0)


def plan_of(out: Path, writer: FakeWriter, *, pilot: int = 4, budget: Budget | None = None):
    options = RunOptions(budget=budget or Budget(prices=PRICES))
    return plan_synthesis(out, job_of(100), writer=writer, options=options, pilot=pilot)


def test_a_pilot_is_scaled_to_all_topics(tmp_path: Path) -> None:
    made = iter((10, 30, 10, 30))

    def say(topic, request):
        return completion_body(
            story_text(topic), finish="stop", tokens_in=100, tokens_out=next(made)
        )

    plan = plan_of(tmp_path, FakeWriter(say))
    assert (plan.topics, plan.pilot, plan.usable_share) == (100, 4, 1.0)
    assert plan.tokens_in == Estimate(value=10_000, low=10_000, high=10_000)
    # mean 20, standard deviation 11.547, standard error 5.7735: 20 -+ 11.547
    assert plan.tokens_out == Estimate(value=2000, low=845.299462, high=3154.700538)
    assert plan.usd.value == 0.014
    assert plan.minutes is not None and plan.tokens_per_s > 0


def test_the_pilots_answers_are_part_of_the_job(tmp_path: Path) -> None:
    plan_of(tmp_path, FakeWriter())
    again = FakeWriter()
    plan = plan_of(tmp_path, again)
    assert again.asked == [] and plan.minutes is None
    more = FakeWriter()
    plan_of(tmp_path, more, pilot=6)
    assert len(more.asked) == 2
    assert not (tmp_path / "videos").exists()


def test_answers_of_no_use_and_repairs_are_priced_too(tmp_path: Path) -> None:
    def say(topic, request):
        return story_text(topic) if len(request.turns) == 4 else whole('{"topic": 1}')

    plan = plan_of(tmp_path, FakeWriter(say))
    assert plan.tokens_in.value == 100 * 20
    assert plan.usable_share == 1.0


def test_a_pilot_without_answers_plans_nothing(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="none of the 3 topics of the pilot has an answer"):
        plan_of(tmp_path, FakeWriter(lambda topic, request: failure()), pilot=3)


def test_a_budget_holds_for_the_pilot(tmp_path: Path) -> None:
    budget = Budget(Limits(max_tokens=2400))
    with pytest.raises(BudgetReachedError, match="2400 tokens is reached after"):
        plan_of(tmp_path, FakeWriter(), pilot=90, budget=budget)
