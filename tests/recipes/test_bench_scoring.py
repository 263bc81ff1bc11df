from textreel.recipes.bench_models import TINY
from textreel.recipes.bench_scoring import ScoringCase, run_bench_scoring


def test_both_sides_give_equal_numbers() -> None:
    case = ScoringCase(name="small", lengths=(14, 40), questions=7, batch_size=3)
    report = run_bench_scoring(size=TINY, cases=(case,), rounds=1)
    (found,) = report.cases
    assert [timing.side for timing in found.timings] == ["ours", "plain"]
    assert found.differences["nats_per_token"] < 1e-4
    assert found.settings["options"] == 5
    assert found.cpu_ratios["plain"] > 0
