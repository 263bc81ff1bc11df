import json

from textreel.cli.app import run
from textreel.recipes import bench as harness


def small_report() -> harness.BenchReport:
    timings = tuple(
        harness.Timing(
            side=side,
            cpu_s=(median, median),
            wall_s=(median, median),
            median_cpu_s=median,
            median_wall_s=median,
            spread=0.0,
        )
        for side, median in (("ours", 2.0), ("plain", 5.0))
    )
    case = harness.make_case(
        "50-150 tokens", timings, settings={}, differences={"loss": 3e-6}, notes={"floor_s": 1.5}
    )
    return harness.make_report("train", (case,), remarks=("a remark",))


def test_a_bench_reports_sides_and_ratios(monkeypatch, capsys) -> None:
    monkeypatch.setitem(harness.BENCHES, "train", small_report)
    assert run(["bench", "train"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("bench train: torch 2.")
    assert lines[2:] == [
        "50-150 tokens",
        "  ours      2.000 CPU s     2.000 wall s  spread   0%",
        "  plain     5.000 CPU s     5.000 wall s  spread   0%  2.50 times ours",
        "  loss differs by 3e-06",
        "  floor_s: 1.5",
        "",
        "a remark",
    ]


def test_a_bench_in_json_is_its_report(monkeypatch, capsys) -> None:
    monkeypatch.setitem(harness.BENCHES, "train", small_report)
    assert run(["bench", "train", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["cases"][0]["cpu_ratios"] == {"plain": 2.5}


def test_a_wrong_name_lists_the_benches(capsys) -> None:
    assert run(["bench", "trian"]) == 2
    assert capsys.readouterr().err == (
        "textreel: there is no bench 'trian' (did you mean train?)\n"
        "  there are: bridge, codec, decode, encode, pages, scoring, seek, talk, textvid, train\n"
    )
