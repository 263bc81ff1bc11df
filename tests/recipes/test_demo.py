import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.recipes.toy import toy_settings
from textreel.evaluate.rows import read_rows
from textreel.features.memory import Memory
from textreel.models.track_lm import TrackLM
from textreel.recipes import demo
from textreel.recipes.demo import Clock, first_look, run_demo, world_memory
from textreel.recipes.demo_files import save_recipe_run, to_json
from textreel.recipes.demo_result import DemoResult, FirstLook
from textreel.recipes.demo_systems import NOTES, ROW_OF_BRIDGE
from textreel.recipes.prepare import open_encoder
from textreel.recipes.topa import topa_tiny
from textreel.recipes.training import find_recipe
from textreel.serve.run_files import BridgeSettings
from textreel.serve.session import load
from textreel.synth.world.questions import QUESTION_TYPES
from textreel.train.checkpoint import latest


@pytest.fixture(scope="module")
def told() -> list[tuple[str, int, int, str]]:
    return []


@pytest.fixture(scope="module")
def result(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[str, int, int, str]]
) -> DemoResult:
    out = tmp_path_factory.mktemp("demo") / "out"
    return run_demo(out, toy_settings(), show=lambda *step: told.append(step))


@pytest.fixture(scope="module")
def metrics(result: DemoResult) -> dict[str, Any]:
    return json.loads((result.run / "metrics.json").read_text())


@pytest.fixture(scope="module")
def questions(result: DemoResult) -> list[dict[str, Any]]:
    lines = (result.videos / "questions.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_metrics_are_what_the_command_prints(result: DemoResult, metrics: dict[str, Any]) -> None:
    assert metrics == json.loads(json.dumps(to_json(result)))
    needed = {"rows", "headline", "seconds", "cpu_s", "peak_rss_mb", "gap", "run", "videos"}
    assert needed <= metrics.keys()
    assert metrics["headline"] in ROW_OF_BRIDGE.values()
    assert metrics["headline"] == ROW_OF_BRIDGE[metrics["bridge"]["name"]]
    assert 0 < metrics["gap"] < 2 and metrics["noise"] == topa_tiny().mix.noise
    assert metrics["cpu_s"] > 0 and metrics["peak_rss_mb"] > 100
    assert set(metrics["bridge"]["validation"]) == {
        "none",
        "memory at 0.01",
        "memory at 0.03",
        "centred memory at 0.1",
        "mean_shift",
    }
    assert metrics["bridge"]["validation"][_tried(metrics)] == max(
        metrics["bridge"]["validation"].values()
    )


def _tried(metrics: dict[str, Any]) -> str:
    bridge = metrics["bridge"]
    if bridge["name"] != "memory":
        return str(bridge["name"])
    return f"{'centred ' * bridge['centred']}memory at {bridge['temperature']}"


def test_every_row_is_there_with_every_type(metrics: dict[str, Any]) -> None:
    assert [row["system"] for row in metrics["rows"]] == list(NOTES)
    for row in metrics["rows"]:
        assert list(row["by_type"]) == list(QUESTION_TYPES)
        cells = row["by_type"].values()
        assert [cell["n"] for cell in cells] == [1] * 8
        assert row["macro"] == pytest.approx(sum(cell["accuracy"] for cell in cells) / 8)
        assert row["overall"] == pytest.approx(row["macro"])  # as many of each type
        assert row["stderr"] >= 0
        assert all(cell["stderr"] is None or cell["stderr"] >= 0 for cell in cells)


def test_every_phase_is_timed_and_told(
    result: DemoResult, told: list[tuple[str, int, int, str]]
) -> None:
    timed = ["validation", "write", "encode", "align", "blind", "film", "watch", "answer"]
    assert list(result.seconds) == timed
    ends = {phase: note for phase, done, total, note in told if done == total}
    assert ends.keys() == {*timed, "report"} - {"validation"}
    assert ends["write"] == "6 textual videos"
    assert ends["answer"] == f"{8 * 9} answers"
    starts = [note for phase, done, _, note in told if (phase, done) == ("align", 0)]
    assert "validation accuracy" in starts[-1]
    assert "validation accuracy" in ends["align"]


def test_accuracy_at_step_0_is_logged(result: DemoResult) -> None:
    lines = [json.loads(line) for line in (result.run / "log.jsonl").read_text().splitlines()]
    evaluated = {
        line["step"]: line["evaluation"]["validation"] for line in lines if "evaluation" in line
    }
    assert {0, 4} <= evaluated.keys()
    assert all(0 <= value <= 1 for value in evaluated.values())


def test_the_blind_model_trains_for_a_quarter(result: DemoResult) -> None:
    blind = json.loads((result.run.parent / "blind" / "train.json").read_text())
    sighted = json.loads((result.run / "train.json").read_text())
    assert (sighted["config"]["steps"], blind["config"]["steps"]) == (4, 1)
    assert sighted["model"] == blind["model"]  # the same weights at the start
    assert sighted["data"] != blind["data"]


def test_every_answer_is_kept(result: DemoResult) -> None:
    assert set(result.rows) == set(NOTES) - {"chance"}
    for name, rows in result.rows.items():
        assert len(rows) == 8
        assert read_rows(result.run / "answers" / f"{name}.jsonl") == rows
    asked = [row.question_id for row in result.rows["blind"]]
    assert all([row.question_id for row in rows] == asked for rows in result.rows.values())


def test_ask_agrees_with_the_demo(result: DemoResult, questions: list[dict[str, Any]]) -> None:
    session = load(result.run)
    assert session.reader.settings.bridge == result.bridge.settings
    assert len(questions) == 8
    for one in questions:
        answer = session.ask(result.videos / one["video"], one["question"], options=one["options"])
        assert answer.chosen == one["chosen"], one
    assert {one["type"] for one in questions} == set(QUESTION_TYPES)
    rows = result.rows[result.headline]
    assert [one["chosen"] == one["answer"] for one in questions] == [row.correct for row in rows]


def test_the_run_says_what_it_is(result: DemoResult) -> None:
    card = (result.run / "README.md").read_text()
    assert "**It knows only textreel's own world of coloured shapes.**" in card
    assert all(f"| {name} | " in card for name in NOTES)
    recipe = find_recipe(str(result.run / "recipe.json"))
    assert recipe == toy_settings().recipe


def test_the_report_stands_alone(result: DemoResult) -> None:
    page = (result.run / "report.html").read_text()
    assert page.lower().startswith("<!doctype html>")
    assert "data:image/" in page
    assert 'src="http' not in page and 'href="http' not in page
    for name in NOTES:
        assert name in page
    assert "from statistics stored with the tower" in page
    assert "A frozen language model, aligned on 6 textual videos and no picture" in page


@pytest.mark.slow
def test_a_second_call_goes_on_and_agrees(result: DemoResult, monkeypatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in result.videos.glob("*.mp4")}
    log = (result.run / "log.jsonl").read_bytes()
    saved: list[DemoResult] = []
    monkeypatch.setattr(demo, "save_demo", lambda result, **_: saved.append(result))
    again = run_demo(result.run.parent, toy_settings())
    assert saved == [again]
    assert again.rows == result.rows
    assert again.bridge.tried == result.bridge.tried
    assert (result.run / "log.jsonl").read_bytes() == log
    assert {path: path.stat().st_mtime_ns for path in result.videos.glob("*.mp4")} == before


@pytest.mark.slow
def test_a_demo_that_goes_on_is_watched_as_a_straight_one(
    result: DemoResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [SimpleNamespace(question=SimpleNamespace(kind=k)) for k in QUESTION_TYPES * 3]
    validation, learner = SimpleNamespace(items=items, pictures={}), SimpleNamespace()
    learner.model = learner.collator = None
    asked: list[int] = []
    monkeypatch.setattr(demo, "answer_exam", lambda *given: asked.append(len(given[2])))
    monkeypatch.setattr(demo, "macro", lambda *_, **__: SimpleNamespace(value=0.5))
    for goes_on in (False, True):
        watch = demo._watcher(learner, validation, 1, goes_on=goes_on)  # type: ignore[arg-type]
        assert watch() == watch() == {"validation": 0.5}
    few = len(QUESTION_TYPES)
    assert asked == [3 * few, few, few, few], "all of them before the first step only"
    assert latest(result.run / "checkpoints") is not None


@pytest.mark.slow
def test_another_seed_is_another_demo(result: DemoResult, tmp_path: Path) -> None:
    other = run_demo(tmp_path, toy_settings(seed=1))
    assert {p.name for p in other.videos.iterdir()} != {p.name for p in result.videos.iterdir()}
    assert other.exam != result.exam


def test_the_first_look_asks_the_shipped_run(
    toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "SHIPPED", str(toy_run))
    first: FirstLook = first_look(tmp_path, 0)
    assert first.video.parent == tmp_path / "first" and first.video.suffix == ".mp4"
    assert first.right in first.answer.options and len(first.answer.options) == 4
    assert len(first.answer.frame_times_s) == 8
    again = load(toy_run).ask(first.video, first.question, options=first.answer.options)
    assert again == first.answer


def test_the_memory_is_of_the_memory_part() -> None:
    settings = toy_settings()
    memory: Memory = world_memory(settings, open_encoder(settings.recipe))
    assert memory.make_up == "captions of 4 world scenes of the memory part, seed 0"
    assert 1 < len(memory.vectors) < 32  # 8 captions a scene; 9 of 10 distinct ones
    again = world_memory(settings, open_encoder(settings.recipe))
    assert memory.vectors.equal(again.vectors)


def test_a_clock_adds_up_and_counts_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1.0, 3.0, 10.0, 10.5])
    monkeypatch.setattr(demo, "time", SimpleNamespace(monotonic=lambda: next(times)))
    clock = Clock()
    with clock.phase("a"):
        pass
    with pytest.raises(KeyError), clock.phase("a"):
        raise KeyError
    assert clock.seconds == {"a": 2.5}


def test_the_memory_is_kept_for_the_memory_bridge_only(result: DemoResult, tmp_path: Path) -> None:
    settings = toy_settings()
    memory = world_memory(settings, open_encoder(settings.recipe))
    model = TrackLM.from_pretrained(result.run)
    for bridge in (BridgeSettings(name="memory"), BridgeSettings()):
        run = tmp_path / bridge.name
        save_recipe_run(run, model, settings.recipe, bridge=bridge, memory=memory)
        assert (run / "memory.safetensors").exists() == (bridge.name == "memory")
        assert load(run).reader.settings.bridge == bridge


def test_peak_memory_is_in_mib(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 50 < demo._peak_rss_mb() < 1 << 20
    monkeypatch.setattr(demo, "sys", SimpleNamespace(platform="win32"))
    assert math.isnan(demo._peak_rss_mb())
