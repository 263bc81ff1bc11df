import pytest

from textreel.recipes.bench_pages import make_prose, make_unique, run_bench_pages


@pytest.mark.slow
def test_sides_draw_the_same_pages() -> None:
    report = run_bench_pages(num_words=230, rounds=1)
    assert [case.name for case in report.cases] == [
        "prose, tensor",
        "prose, PNG",
        "no word repeats, tensor",
        "no word repeats, PNG",
    ]
    for case in report.cases:
        assert case.settings["pages"] == 2
        assert case.differences == {"largest grey level, basic layout": 0.0}
        assert set(case.cpu_ratios) == {
            "ours, fit layout",
            "published way",
            "published way, basic layout",
        }


def test_texts_are_what_they_are_called() -> None:
    assert len(set(make_unique(500))) == 500
    prose = make_prose(500)
    assert len(prose) == 500 and len(set(prose)) < 400
    assert prose == make_prose(500)
