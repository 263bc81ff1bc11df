import pytest

from textreel.data.budget import Budget, BudgetError, BudgetReachedError, Limits, Prices

PRICES = Prices(usd_per_mtok_in=1.0, usd_per_mtok_out=10.0)


def test_reserved_and_spent_tokens_never_pass_the_limit_together() -> None:
    budget = Budget(Limits(max_tokens=100))
    assert budget.reserve(20, 30) == ""
    assert budget.reserve(20, 31) == "100 tokens"
    assert budget.reserve(20, 30) == ""
    budget.release(20, 30)
    budget.spend(10, 5)
    assert budget.reserve(20, 16) == "100 tokens"
    assert budget.reserve(20, 15) == ""


def test_dollars_are_watched_with_prices() -> None:
    budget = Budget(Limits(max_usd=1.0), prices=PRICES)
    budget.spend(500_000, 0)
    assert budget.usd == 0.5
    assert budget.reserve(0, 50_001) == "1 USD"
    assert budget.reserve(0, 50_000) == ""


def test_minutes_end_a_run_whatever_it_costs() -> None:
    now_s = [0.0]
    budget = Budget(Limits(max_minutes=2), clock=lambda: now_s[0])
    now_s[0] = 119.9
    assert budget.reserve(10**9, 10**9) == ""
    now_s[0] = 120.0
    assert budget.reserve(1, 1) == "2 minutes"


def test_without_limits_everything_has_room_and_no_price() -> None:
    budget = Budget()
    assert budget.reserve(10**12, 10**12) == ""
    assert budget.usd is None
    budget.spend(3, 4)
    assert budget.told().startswith("3 tokens in, 4 out, 0.0 min")


@pytest.mark.parametrize("limits", [Limits(max_usd=0.0), Limits(max_tokens=-1)])
def test_a_limit_that_allows_nothing_is_refused(limits: Limits) -> None:
    with pytest.raises(BudgetError, match="allows nothing: it must be above 0"):
        Budget(limits, prices=PRICES)


def test_dollars_without_prices_are_refused() -> None:
    with pytest.raises(BudgetError, match="cannot be watched without prices"):
        Budget(Limits(max_usd=1.0))


def test_the_error_says_what_was_done_and_spent() -> None:
    error = Budget(Limits(max_tokens=5)).error("5 tokens", done=2, total=9)
    assert isinstance(error, BudgetReachedError) and error.exit_code == 4
    assert str(error).startswith("the budget of 5 tokens is reached after 2 of 9 topics (0 tokens")
