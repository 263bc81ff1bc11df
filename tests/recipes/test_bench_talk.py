import pytest

from textreel.recipes.bench_talk import Shape, run_bench_talk


@pytest.mark.slow
def test_the_second_question_has_the_answer_of_the_first() -> None:
    shape = Shape(side_px=64, width=64, layers=1)
    report = run_bench_talk(shape=shape, rounds=1, new_tokens=3)
    assert [case.name for case in report.cases] == ["the run in the package", "a random image-LLM"]
    for case in report.cases:
        assert [timing.side for timing in case.timings] == ["second", "first"]
        assert case.differences == {"the answer": 0.0}
        assert case.settings["frames"] == 8
    for case, remark in zip(report.cases, report.remarks, strict=True):
        times, wanted = case.cpu_ratios["first"], "as wanted"
        assert f"{case.name}: the second question is {times:.1f} times faster" in remark
        assert remark.endswith(f"{wanted if times >= 3 else 'NOT as wanted'})")
    assert [case.notes["tokens_of_the_video"] for case in report.cases] == [32, 8]
