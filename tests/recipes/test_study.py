import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.recipes.toy import toy_recipe
from textreel.cli.train import describe_study
from textreel.data.errors import FingerprintError
from textreel.models.batch import Features
from textreel.models.bridges import Identity
from textreel.recipes import looking
from textreel.recipes import run_study as running
from textreel.recipes.answering import ExamItem
from textreel.recipes.looking import Examiner, answer_windows
from textreel.recipes.prepare import build_learner, open_encoder
from textreel.recipes.recipe import RecipeError
from textreel.recipes.run_study import find_study, folder_name, run_study, seeded
from textreel.recipes.study import (
    Cell,
    Look,
    Study,
    StudyReport,
    difference,
    interval,
    make_row,
    student_95,
)
from textreel.recipes.topa_studies import STUDIES, TABLES, chosen_cells
from textreel.synth.world.questions import QUESTION_TYPES


def toy_study(table: str = "gap", **changes: object) -> Study:
    train = replace(toy_recipe().train, steps=1, warmup=0)
    recipe = replace(toy_recipe(), data="world:4", num_frames=2, text_frames=2, train=train)
    values = {"seeds": (0,), "clips": 10, "num_scenes": 2, "per_kind": 1} | changes
    return Study(name="toy", recipe=recipe, table=table, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_cells_that_differ_and_can_be_set(name: str) -> None:
    study = find_study(name, settings=["seeds=[5]", "recipe.train.steps=20"])
    assert study is not None and study.seeds == (5,) and study.name == name
    cells = chosen_cells(study)
    assert len({cell.name for cell in cells}) == len(cells) >= 4
    recipes = [json.dumps(cell.recipe.to_json() | {"name": ""}) for cell in cells]
    assert len(set(recipes)) == len(cells)
    assert all(len({look.name for look in c.looks}) == len(c.looks) for c in cells)
    assert len({folder_name(cell.name) for cell in cells}) == len(cells)


def test_a_name_that_is_no_study_is_left_to_the_recipes() -> None:
    assert find_study("topa_tiny") is None


def test_only_some_cells_and_those_they_begin_with() -> None:
    study = toy_study("efficiency", only=("tuned 10%, equal epochs",))
    assert [cell.name for cell in chosen_cells(study)] == ["aligned", "tuned 10%, equal epochs"]
    with pytest.raises(RecipeError, match="the study has no cell 'nothing'"):
        chosen_cells(replace(study, only=("nothing",)))
    with pytest.raises(RecipeError, match="there is no table 'chairs'"):
        chosen_cells(replace(study, table="chairs"))
    with pytest.raises(RecipeError, match="must be different, and at least one"):
        replace(study, seeds=(1, 1))


def test_the_published_ablations_are_all_there() -> None:
    names = {cell.name for cell in TABLES["ablations"](toy_study("ablations"))}
    wanted = {"frames 1", "frames 5", "frames 10", "without choices", "without open questions"}
    wanted |= {"without summaries", "noise 0.0", "captions + objects", "textual videos 325"}
    assert wanted <= names


def test_a_finetune_begins_with_the_studys_own_run(tmp_path: Path) -> None:
    cells = {cell.name: cell for cell in TABLES["efficiency"](toy_study("efficiency"))}
    recipe = seeded(cells["tuned 100%"], 3, tmp_path)
    assert recipe.start == str(tmp_path / "aligned-3") and recipe.seed == recipe.train.seed == 3
    assert seeded(cells["baseline 100%"], 3, tmp_path).start == ""


def test_an_interval_over_seeds() -> None:
    assert interval([0.5]) == (0.5, None)
    mean, half = interval([0.4, 0.6])
    assert mean == pytest.approx(0.5) and half == pytest.approx(12.706 * 0.1)
    points = {1: 12.706, 9: 2.262, 10: 2.228, 11: 2.201, 19: 2.093, 29: 2.045, 99: 1.984}
    assert {df: round(student_95(df), 3) for df in points} == points
    eleven = interval([0.4, 0.6] * 5 + [0.5])[1]
    assert eleven == pytest.approx(2.228 * 0.1 / 11**0.5, abs=1e-5)


def test_rows_and_differences() -> None:
    cell, look = Cell(name="c", recipe=toy_recipe()), Look(name="l")
    found = {"stderr": 0.1, "by_type": {"colour": 0.5}, "gap": 0.2}
    one = make_row(cell, look, [{**found, "macro": 0.5}, {**found, "macro": 0.7}])
    other = make_row(cell, look, [{**found, "macro": 0.4}, {**found, "macro": 0.6}])
    assert one.mean == pytest.approx(0.6) and one.noise == toy_recipe().mix.noise
    mean, half = difference(one, other)
    assert mean == pytest.approx(0.1) and half == pytest.approx(0.0, abs=1e-9)
    none = make_row(cell, look, [{"why": "too many"}])
    assert (none.mean, none.values, none.why) == (None, (None,), "too many")
    report = StudyReport(study="s", seeds=(0, 1), questions=4, rows=(one, none))
    text = describe_study(report)
    assert "c | l  0.600 +- 1.271 (stderr 0.100)  gap 0.20" in text and "too many" in text
    alone = make_row(cell, look, [{**found, "macro": 0.5, "stderr": None}])
    assert alone.stderr is None, "a single video tells none"
    report = StudyReport(study="s", seeds=(0,), questions=4, rows=(alone,))
    assert "c | l  0.500  gap 0.20" in describe_study(report)


def test_a_look_at_a_single_video_is_kept_without_an_error(tmp_path: Path) -> None:
    study = toy_study("long", num_scenes=1)
    encoder = open_encoder(study.recipe)
    examiner = Examiner(study, encoder, store=tmp_path)
    learner = build_learner(study.recipe, encoder)
    found = examiner.look(learner, study.recipe, Look(name="long", seconds=16.0))
    assert found["stderr"] is None and 0 <= found["macro"] <= 1


@pytest.mark.slow
def test_a_study_goes_on_and_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = (
        Look(name="texts", shown="texts"),
        Look(name="none"),
        Look(name="memory", bridge="memory", memory_videos=4, top_k=2),
        Look(name="centred", bridge="memory", memory_videos=4, temperature=0.1, centred=True),
        Look(name="mean shift", bridge="mean_shift"),
        Look(name="too many", num_frames=64),
    )
    study = toy_study("toy")
    cell = Cell(name="wide", recipe=replace(study.recipe, wide_gap=True), looks=looks)
    monkeypatch.setitem(TABLES, "toy", lambda _: [cell])
    monkeypatch.setattr(looking, "MEANS_SCENES", 4)
    taken: list[str] = []
    looked = Examiner.look

    def kept(self: Examiner, learner, recipe, look: Look):
        if look.name == "memory" and "none" in taken and "killed" not in taken:
            taken.append("killed")
            raise KeyboardInterrupt
        taken.append(look.name)
        return looked(self, learner, recipe, look)

    monkeypatch.setattr(Examiner, "look", kept)
    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path)
    report = run_study(study, tmp_path)
    assert taken == ["texts", "none", "killed", "memory", "centred", "mean shift", "too many"]
    assert [row.look for row in report.rows] == [look.name for look in looks]
    assert report.rows[-1].mean is None and "temporal slots" in report.rows[-1].why
    assert report.questions == len(QUESTION_TYPES)
    wide = {row.look: row.gap for row in report.rows}
    assert wide["none"] > 0.7 > wide["texts"]

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(running, "run_recipe", never)
    monkeypatch.setattr(Examiner, "look", never)
    assert run_study(study, tmp_path) == report
    assert json.loads((tmp_path / "table.json").read_text())["study"] == "toy"
    with pytest.raises(FingerprintError):
        run_study(replace(study, per_kind=2), tmp_path)


def test_a_window_at_a_time_averages_the_options(tmp_path: Path) -> None:
    encoder = open_encoder(toy_recipe())
    learner = build_learner(toy_recipe(), encoder)
    study = toy_study("long")
    scenes, items = Examiner(study, encoder, store=tmp_path).exam(60.0, "test")
    assert {item.question.kind for item in items} <= {"moment", "distant", "whole"}
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(5, 1, encoder.dim, generator=generator)
    values = torch.nn.functional.normalize(values, dim=-1).half()
    video = Features(
        values=values,
        times_s=torch.arange(5).double(),
        modality="image",
        encoder=encoder.name,
        revision=encoder.revision,
    )
    features = {scene.id: video for scene in scenes}
    learner.model.bridge = Identity()
    item = items[:1]
    (whole,) = answer_windows(learner, item, features, window=5)
    assert whole == answer_windows(learner, item, features, window=None)[0]
    (row,) = answer_windows(learner, item, features, window=3)
    parts = [
        answer_windows(learner, item, {item[0].video_id: part(video, kept)}, window=None)[0]
        for kept in (slice(0, 3), slice(3, 5))
    ]
    mean = [sum(p) / 2 for p in zip(*(r.probabilities for r in parts), strict=True)]
    assert row.probabilities == pytest.approx(tuple(mean), abs=1e-5)
    assert isinstance(item[0], ExamItem) and row.question_id == item[0].id


def part(video: Features, kept: slice) -> Features:
    return replace(video, values=video.values[kept], times_s=video.times_s[kept])


def test_more_frames_than_slots_is_said_and_not_cut(tmp_path: Path) -> None:
    encoder = open_encoder(toy_recipe())
    examiner = Examiner(toy_study("long"), encoder, store=tmp_path)
    learner = build_learner(toy_recipe(), encoder)
    found = examiner.look(learner, toy_recipe(), Look(name="l", num_frames=64))
    assert found == {"why": "64 frames, but the model has 8 temporal slots"}
