"""T2Vid's comparison: its arms, its table, and that it goes on where it was killed."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from textreel.cli.train import describe_arms
from textreel.data.errors import FingerprintError
from textreel.evaluate.rows import ChoiceRow
from textreel.recipes import run_frame_study as running
from textreel.recipes.frame_arms import (
    LOOKS,
    SHARED_TYPES,
    TEMPORAL,
    FrameArm,
    FrameStudy,
    all_arms,
    chosen_arms,
    compare_arms,
    compared_types,
    make_arm_row,
)
from textreel.recipes.frame_training import run_frame_recipe
from textreel.recipes.recipe import RecipeError
from textreel.recipes.run_frame_study import (
    FrameExaminer,
    ShownScenes,
    base_seeds,
    find_frame_study,
    run_frame_study,
    seeds_of,
    t2vid_tiny,
)
from textreel.recipes.t2vid_tiny import t2vid_tiny_base
from textreel.synth.world.long_questions import LONG_TYPES
from textreel.synth.world.questions import QUESTION_TYPES


def toy(base: Path | str = "base", **changes: object) -> FrameStudy:
    study = t2vid_tiny()
    train = replace(study.recipe.train, steps=2, warmup=1, batch_size=2, precision="fp32")
    world = replace(study.recipe.world, clips=20)
    recipe = replace(study.recipe, train=train, world=world, model=str(base))
    small = {"num_scenes": 2, "per_kind": 1, "checked_pages": 2}
    long = {"long_scenes": 4, "long_s": 12.0, "exam_seed": 0}  # with questions of all long types
    changes = small | long | changes
    return replace(study, base=str(base), recipe=recipe, **changes)  # type: ignore[arg-type]


def test_arms_are_those_of_the_paper() -> None:
    arms = {arm.name: arm for arm in all_arms(t2vid_tiny())}
    assert list(arms) == [
        "zero-shot",
        *(f"video {n}%" for n in (5, 15, 30, 60, 100)),
        "15% + pages",
        "15% + pages, equal tokens",
        "15% + text",
        "15% + text, equal tokens",
        "15%, one template",
        "15%, one template, equal tokens",
    ]
    video, pages = (arms[name].recipe.world for name in ("video 15%", "15% + pages"))
    assert video.clips * video.fraction == 180
    assert (round(pages.clips * pages.fraction), pages.documents, pages.texts) == (120, 60, 0)
    assert arms["15% + text"].recipe.world.texts == 60
    assert arms["15%, one template"].recipe.world.instructions == "one"
    steps = {name: arm.recipe.train.steps for name, arm in arms.items() if arm.recipe}
    assert len({s for name, s in steps.items() if "tokens" not in name}) == 1
    assert steps["15% + pages, equal tokens"] < steps["15% + pages"]
    assert steps["15%, one template, equal tokens"] > steps["15%, one template"]
    study = t2vid_tiny()
    many = {arm.name for arm in arms.values() if len(seeds_of(arm, study)) == 3}
    assert many == {"video 15%", "video 100%", "15% + pages", "15% + text"}
    assert study.per_kind * len(QUESTION_TYPES) >= 1500
    assert [arm.name for arm in chosen_arms(replace(study, only=("video 5%",)))] == ["video 5%"]
    with pytest.raises(RecipeError, match="the study has no arm 'video 6%'"):
        chosen_arms(replace(study, only=("video 6%",)))


def test_settings_reach_the_base_and_the_recipe() -> None:
    study = find_frame_study("t2vid_tiny", settings=["base=there", "recipe.train.steps=77"])
    assert (study.base, study.recipe.model, study.recipe.train.steps) == ("there", "there", 77)
    assert find_frame_study("topa_tiny") is None
    with pytest.raises(RecipeError, match=r"recipe\.model='x' has no effect on a study"):
        find_frame_study("t2vid_tiny", settings=["recipe.model=x"])
    with pytest.raises(RecipeError, match=r"FrameStudy: seeds=\[1, 1\] must be different"):
        toy(seeds=(1, 1))
    with pytest.raises(RecipeError, match="its recipe must train on clips of the world"):
        replace(toy(), recipe=t2vid_tiny_base())
    with pytest.raises(RecipeError, match="base='nowhere' is no trained image-LLM"):
        run_frame_study(toy("nowhere"), Path("unused"))


def test_frames_are_shown_in_the_order_of_the_look() -> None:
    scenes, items = FrameExaminer(toy()).exam(False)
    assert {item.question.kind for item in items} == set(QUESTION_TYPES)
    true, shuffled, turned, long = (ShownScenes(scenes, look) for look in LOOKS)
    id = next(iter(true))
    assert len(true) == len(scenes)
    frames = true[id].frames
    assert np.array_equal(turned[id].frames, frames[::-1])
    assert np.array_equal(turned[id].frame_times_s, true[id].frame_times_s)
    assert sorted(map(bytes, shuffled[id].frames)) == sorted(map(bytes, frames))
    assert np.array_equal(shuffled[id].frames, shuffled[id].frames)
    assert len(long[id].frames) == 64


def test_long_videos_are_asked_what_clips_are_and_what_only_they_can_be() -> None:
    scenes, items = FrameExaminer(toy(long_scenes=20)).exam(True)
    kinds = Counter(item.question.kind for item in items)
    assert set(kinds) == {*SHARED_TYPES, *LONG_TYPES} and max(kinds.values()) <= len(scenes) == 20
    assert len({item.id for item in items}) == len(items)


def test_arms_are_compared_on_temporal_static_unseen_and_long_types() -> None:
    looked = compared_types(("final",))
    assert list(looked) == ["trained", "temporal", "static", "unseen", "long", "long only"]
    assert looked["unseen"] == ("true", ("final",)) and looked["long only"] == ("long", LONG_TYPES)
    assert looked["long"] == ("long", tuple(k for k in looked["trained"][1] if k != "order"))
    assert {*looked["temporal"][1], *looked["static"][1]} == {*looked["trained"][1]}
    assert "unseen" not in compared_types(())
    assert compared_types(("order",))["temporal"][1] == ("direction", "event")


def test_a_look_asks_every_so_manyth_question_of_its_types(monkeypatch) -> None:
    monkeypatch.setattr(running, "sit_exam", lambda _, items, videos: items)
    examiner = FrameExaminer(toy(num_scenes=6, per_kind=3))
    asked = examiner.ask(None, LOOKS[1])  # type: ignore[arg-type]
    kinds = [item.question.kind for item in asked]  # type: ignore[attr-defined]
    assert {kind: kinds.count(kind) for kind in kinds} == dict.fromkeys(TEMPORAL, 2)
    assert len(examiner.ask(None, LOOKS[0])) == 3 * len(QUESTION_TYPES)  # type: ignore[arg-type]


def found(value: float) -> dict:
    looks = {
        look.name: {"stderr": 0.1, "by_type": dict.fromkeys(look.kinds, value)} for look in LOOKS
    }
    looks["true"]["by_type"] |= {"final": 0.0, "order": value / 2}
    return looks | {"page_words": value}


def test_a_row_parts_temporal_from_static_and_unseen_types() -> None:
    arm = FrameArm(name="it", recipe=None)
    row = make_arm_row(arm, [found(0.6), found(0.8)], held_out=("final",))
    assert (row.seeds, row.static, row.unseen) == (2, pytest.approx(0.7), 0.0)
    assert row.by_seed == (pytest.approx(0.6 * 6.5 / 7), pytest.approx(0.8 * 6.5 / 7))
    assert row.temporal == pytest.approx(0.7 * 2.5 / 3)
    assert row.trained == pytest.approx(0.7 * 6.5 / 7)
    assert (row.shuffled, row.long, row.page_words) == tuple([pytest.approx(0.7)] * 3)
    assert row.long_only == pytest.approx(0.7)


def rows(right: list[int]) -> list[ChoiceRow]:
    return [
        ChoiceRow(
            question_id=str(i),
            video_id=str(i),
            kind="order",
            answer=0,
            chosen=1 - good,
            num_options=2,
        )
        for i, good in enumerate(right)
    ]


def test_as_good_as_is_the_lower_end_above_minus_two_points() -> None:
    same = rows([1, 0, 1, 1])
    found = compare_arms(("a", [same]), ("b", [same]), about="trained", kinds=["order"])
    assert (found.value, found.low, found.as_good, found.detectable) == (0.0, 0.0, True, 0.0)
    better = [rows([1, 1, 1, 1])]
    worse = compare_arms(("a", [same]), ("b", better), about="trained", kinds=["order"])
    assert worse.value == -0.25 and not worse.as_good
    both = compare_arms(("a", [same] * 2), ("b", [same, *better]), about="it", kinds=["order"])
    assert (both.value, both.by_seed) == (-0.125, (0.0, -0.25))
    assert both.stderr == pytest.approx(worse.stderr / 2)  # one cluster a video, not one a seed
    assert worse.detectable == pytest.approx(2.8 * worse.stderr)


def test_a_seed_of_the_base_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "recipe.json").write_text('{"seed": 2}')
    with pytest.raises(RecipeError, match="the base was trained with seed 2, and has read texts"):
        run_frame_study(toy(tmp_path, seeds=(1, 2)), tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_every_seed_may_have_a_base_of_its_own() -> None:
    study = toy("bases/{seed}/run", seeds=(1, 2))
    (zero_shot,) = [arm for arm in all_arms(study) if arm.recipe is None]
    assert seeds_of(zero_shot, study) == base_seeds(study) == (1, 2)
    assert study.base_of(2) == "bases/2/run"
    one = toy("base", seeds=(1, 2))
    assert seeds_of(all_arms(one)[0], one) == base_seeds(one) == (1,)
    with pytest.raises(RecipeError, match="base='bases/1/run' is no trained image-LLM"):
        run_frame_study(study, Path("unused"))


def make_base(out: Path, *, seed: int) -> None:
    base = t2vid_tiny_base()
    train = replace(base.train, steps=2, warmup=1, batch_size=2, precision="fp32")
    world = replace(base.world, stills=4, pages=4, checked_pages=2)
    run_frame_recipe(replace(base, train=train, world=world, eyes=None, seed=seed), out)


@pytest.mark.slow
def test_arms_of_a_seed_start_from_its_own_base(tmp_path: Path, monkeypatch) -> None:
    read = {"base-1": 0.3, "base-2": 0.4}
    monkeypatch.setattr(running, "page_words", lambda _, run: read.get(run.name, 0.0))
    for seed in (1, 2):
        make_base(tmp_path / f"base-{seed}", seed=seed + 3)
    names = ("zero-shot", "video 15%")
    study = toy(tmp_path / "base-{seed}", only=names, seeds=(1, 2))
    report = run_frame_study(study, tmp_path / "study")
    assert [(row.arm, row.seeds, len(row.by_seed)) for row in report.rows] == [
        ("zero-shot", 2, 2),
        ("video 15%", 2, 2),
    ]
    for seed in (1, 2):
        recipe = json.loads((tmp_path / "study" / f"video-15-{seed}" / "recipe.json").read_text())
        assert recipe["model"] == str(tmp_path / f"base-{seed}")
    (trained, *_) = report.differences
    assert (trained.one, trained.other) == ("video 15%", "zero-shot")
    assert f" ({trained.by_seed[0]:+.3f}, {trained.by_seed[1]:+.3f} by seed)" in describe_arms(
        report
    )
    assert report.reads == 0.3 and not any("fewer bases" in said for said in report.remarks)
    more = replace(study, only=("zero-shot", "video 5%"))
    assert "has started from fewer bases" in run_frame_study(more, tmp_path / "study").remarks[1]
    assert run_frame_study(replace(study, seeds=(2,)), tmp_path / "study").reads == 0.4
    (tmp_path / "base-2").rename(tmp_path / "old")
    make_base(tmp_path / "base-2", seed=6)
    with pytest.raises(FingerprintError, match="runs of seed 2 started from other weights than"):
        run_frame_study(study, tmp_path / "study")


@pytest.mark.slow
def test_arms_are_trained_asked_and_never_twice(tmp_path: Path, monkeypatch) -> None:
    make_base(tmp_path / "base", seed=0)
    names = ("zero-shot", "video 15%", "15% + pages", "15% + text")
    study = toy(tmp_path / "base", only=names, seeds=(1, 2))
    first = run_frame_study(replace(study, only=names[:2], seeds=(1,)), tmp_path / "study")
    assert [row.arm for row in first.rows] == list(names[:2])
    assert "nothing about pages follows" in first.remarks[1]
    asked: list[str] = []
    plain = running.run_frame_recipe

    def count(recipe, out, **more):
        asked.append(out.name)
        return plain(recipe, out, **more)

    monkeypatch.setattr(running, "run_frame_recipe", count)
    report = run_frame_study(study, tmp_path / "study")
    assert asked == ["video-15-2", "15-pages-1", "15-pages-2", "15-text-1", "15-text-2"]
    assert [(row.arm, row.seeds) for row in report.rows] == [
        ("zero-shot", 1),
        ("video 15%", 2),
        ("15% + pages", 2),
        ("15% + text", 2),
    ]
    pairs = {(found.one, found.other, found.about) for found in report.differences}
    assert ("15% + pages", "15% + text", "long") in pairs
    assert run_frame_study(study, tmp_path / "study") == report
    assert len(asked) == 5
    assert json.loads((tmp_path / "study" / "table.json").read_text())["questions"] == 8
    printed = describe_arms(report)
    assert "15% + pages - video 15%, trained: " in printed and "the base reads 0." in printed
    with pytest.raises(FingerprintError):
        run_frame_study(replace(study, per_kind=2), tmp_path / "study")
