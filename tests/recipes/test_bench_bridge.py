import torch
from torch.nn.functional import normalize

from textreel.recipes.bench import BENCHES
from textreel.recipes.bench_bridge import (
    BridgeSize,
    draw_frames,
    draw_memory,
    draw_near,
    in_float64,
    plain,
    run_bench_bridge,
)


def test_the_bench_of_bridges_agrees_with_float64_and_reports_its_memory() -> None:
    report = run_bench_bridge(BridgeSize(rows=20_000, width=32, frames=6), rounds=1)
    assert [case.name.split(", ")[1] for case in report.cases] == [
        "every row weighs",
        "few rows weigh",
    ]
    for case in report.cases:
        sides = [timing.side for timing in case.timings]
        assert sides == ["ours", "plain", "ours bf16", "products alone"]
        assert case.differences["ours from float64"] < 5e-5
        assert case.differences["plain from float64"] < 5e-5
        assert case.differences["ours bf16 from float64"] < 0.1
    notes = report.cases[0].notes
    assert notes["memory in GiB"] == 20_000 * 32 * 4 / 2**30
    assert notes["peak memory over the memory's own"] >= 0
    assert "bridge" in BENCHES


def test_frames_have_one_near_row_or_none() -> None:
    size = BridgeSize(rows=2_000, width=512, frames=5)
    generator = torch.Generator().manual_seed(3)
    memory = draw_memory(size, generator)
    for draw, near in ((draw_near, True), (draw_frames, False)):
        cosines = draw(memory, size, generator) @ memory.T
        best, second = cosines.topk(2, dim=1).values.T
        assert ((best - second > 0.05) == near).all()


def test_the_chunks_of_float64_are_the_formula() -> None:
    size = BridgeSize(rows=20_000, width=8, frames=3)
    memory = draw_memory(size, torch.Generator().manual_seed(3))
    torch.testing.assert_close(memory.norm(dim=-1), torch.ones(20_000))
    frames = normalize(torch.randn(3, 8), dim=-1)
    whole = plain(frames.double(), memory.double())
    torch.testing.assert_close(in_float64(frames, memory), whole, atol=1e-12, rtol=0)
