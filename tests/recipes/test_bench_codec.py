import pytest

from textreel.recipes.bench_codec import run_bench_codec


@pytest.mark.slow
def test_the_same_questions_are_asked_of_files_and_of_drawn_frames() -> None:
    (case,) = run_bench_codec(per_kind=1).cases
    assert [timing.side for timing in case.timings] == ["files", "drawn"]
    assert case.name.startswith("8 questions about ")
    notes = case.notes
    assert notes["files_minus_drawn"] == notes["accuracy_files"] - notes["accuracy_drawn"]
    assert 0.95 < notes["least_cosine"] <= notes["mean_cosine"] < 1 + 1e-3
