from dataclasses import replace

import pytest

from textreel.recipes.bench_models import TINY, collate, draw_prompts
from textreel.recipes.bench_train import TrainCase, run_bench_train

SMALL = TrainCase(name="small", lengths=(14, 40), samples=24, batch_size=4, answers=(1, 4))


def test_all_sides_train_on_the_same_samples_with_equal_loss() -> None:
    report = run_bench_train(size=TINY, cases=(SMALL,), precisions=("fp32",), rounds=1)
    (case,) = report.cases
    assert (report.bench, case.name) == ("train", "small, fp32")
    assert [timing.side for timing in case.timings] == ["ours", "plain"]
    assert case.differences["loss"] < 1e-4
    assert set(case.cpu_ratios) == {"plain"}
    assert case.notes["padding_ours"] < case.notes["padding_plain"]
    assert case.settings["vocabulary"] == 97


def test_bf16_is_a_case_of_its_own() -> None:
    case = replace(SMALL, samples=8, lengths=(14, 20))
    report = run_bench_train(size=TINY, cases=(case,), precisions=("bf16",), rounds=1)
    assert report.cases[0].settings["precision"] == "bf16"
    assert report.cases[0].differences["loss"] < 0.02


def test_drawn_prompts_keep_their_bounds_and_are_padded_on_the_right() -> None:
    prompts = draw_prompts(30, lengths=(12, 15), answers=(1, 3), vocabulary=50, seed=1)
    assert {len(p.ids) for p in prompts} == {12, 13, 14, 15}
    batch = collate(prompts)
    assert batch.input_ids.shape == (30, 15)
    assert batch.attention_mask.sum(1).tolist() == [len(p.ids) for p in prompts]
    assert (batch.labels >= 0).sum(1).tolist() == [p.answer for p in prompts]
    for row, prompt in enumerate(prompts):
        end = len(prompt.ids)
        assert batch.labels[row, end - 1] == prompt.ids[-1]
    assert batch.video_slots.sum().item() == 300


@pytest.mark.slow
def test_both_sides_agree_at_full_size() -> None:
    case = TrainCase(name="short", lengths=(50, 150), samples=16, batch_size=8)
    report = run_bench_train(cases=(case,), precisions=("fp32",), rounds=1)
    assert report.cases[0].differences["loss"] < 1e-4
    assert report.cases[0].cpu_ratios["plain"] > 0
