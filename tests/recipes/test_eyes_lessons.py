"""Lessons for the tiny image-LLM's eyes: pure in the step, right in words, killed and repeated."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

from textreel.models.image_mllm.eyes import NONE, Eyes
from textreel.models.image_mllm.loading import ImageLLM
from textreel.models.image_mllm.tuning import Tuning
from textreel.recipes import eyes_lessons
from textreel.recipes.eyes_lessons import (
    BLANK_WEIGHT,
    EyesData,
    still_words,
    teach_eyes,
    words_seen_check,
)
from textreel.recipes.frame_data import open_source
from textreel.recipes.frame_recipe import EyesLessons, WorldSamples
from textreel.recipes.frame_training import open_learner, run_frame_recipe
from textreel.recipes.recipe import RecipeError
from textreel.recipes.t2vid_tiny import EYES, t2vid_tiny_arm, t2vid_tiny_base
from textreel.synth.world.scene import Look, Scene
from textreel.train.frame_records import FrameSource

TRAIN = replace(EYES.train, steps=4, warmup=1, batch_size=4, precision="fp32", checkpoint_every=2)
LESSONS = replace(EYES, stills=0.5, rise=0.5, train=TRAIN)
RECIPE = replace(t2vid_tiny_base(), eyes=LESSONS)


@pytest.fixture(scope="module")
def made() -> ImageLLM:
    return open_learner(RECIPE)


@pytest.fixture(scope="module")
def source(made: ImageLLM) -> FrameSource:
    return open_source(RECIPE, made)


@pytest.fixture(scope="module")
def data(made: ImageLLM, source: FrameSource) -> EyesData:
    return EyesData(LESSONS, made, source, seed=0)


def test_batches_follow_from_the_step_and_pages_grow(data: EyesData) -> None:
    first, again, later = data.batch(0), data.batch(0), data.batch(3)
    assert torch.equal(first.pixels, again.pixels) and torch.equal(first.words, again.words)
    assert first.pixels.shape == (4, 3, 96, 96) and first.words.shape[:2] == (4, 16)
    assert not torch.equal(first.pixels, later.pixels)
    assert [data._most(step) for step in range(4)] == [1, 6, 12, 12]
    assert len(data) == 16


def test_a_page_says_its_words_in_order_and_then_nothing(made: ImageLLM, data: EyesData) -> None:
    page, vectors = data.draw_page(Random("page"), 5)
    batch = data.collate([(page, vectors)], ["it"])
    ids = made.tokenizer(" ".join(word for (word,) in vectors))["input_ids"]
    assert batch.words[0, :5, 0].tolist() == ids
    assert set(batch.words[0, 5:, 0].tolist()) == {made.tokenizer.pad_token_id}
    assert (batch.words[0, :, 1:] == NONE).all()
    assert batch.weights[0].tolist() == pytest.approx([1.0] * 5 + [BLANK_WEIGHT] * 11)


def test_a_still_says_its_objects_shape_by_shape() -> None:
    looks = (
        Look("square", "red", "big", (0, 2), visible=True),
        Look("cross", "blue", "small", (1, 1), visible=True),
    )
    assert still_words(Scene("grey", looks, (), (), 8.0)) == [
        ["nothing", "circle", "grey", "background"],
        ["top", "right", "big", "red", "square"],
        ["nothing", "triangle"],
        ["centre", "small", "blue", "cross"],
    ]


def test_words_seen_are_those_said_first(
    made: ImageLLM, data: EyesData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eyes_lessons, "CHECKED", 3)
    eyes = Eyes(made.model.model)
    check = words_seen_check(eyes, data)
    assert 0 <= check()["words_seen"] < 0.3
    monkeypatch.setattr(eyes, "logits", lambda _: torch.eye(len(made.tokenizer))[None, :16])
    assert check()["words_seen"] < 0.3


@pytest.mark.slow
def test_eyes_are_taught_once_and_the_same_when_killed(tmp_path: Path) -> None:
    def taught(folder: Path, recipe=RECIPE) -> dict[str, torch.Tensor]:
        made = open_learner(recipe)
        teach_eyes(recipe, made, open_source(recipe, made), folder)
        learning = [name for name, p in made.model.named_parameters() if p.requires_grad]
        assert learning and all("text_model" in name for name in learning)
        return made.model.state_dict()

    start = open_learner(RECIPE).model.state_dict()
    straight = taught(tmp_path / "straight")
    changed = {name for name in start if not torch.equal(start[name], straight[name])}
    assert changed and all("vision_model" in name or "connector" in name for name in changed)
    told: list[int] = []

    def stop(progress) -> None:
        told.append(progress.step)
        if progress.step == 3:
            raise KeyboardInterrupt

    made = open_learner(RECIPE)
    source = open_source(RECIPE, made)
    with pytest.raises(KeyboardInterrupt):
        teach_eyes(RECIPE, made, source, tmp_path / "killed", report=stop)
    again = taught(tmp_path / "killed")
    assert all(torch.equal(straight[name], again[name]) for name in straight)


@pytest.mark.slow
def test_a_few_lessons_teach_to_read_some_words(tmp_path: Path) -> None:
    lessons = replace(LESSONS, stills=0.0, train=replace(EYES.train, steps=150, evaluate_every=0))
    recipe = replace(RECIPE, eyes=lessons)
    made = open_learner(recipe)
    seen: list[float] = []
    teach_eyes(
        recipe,
        made,
        open_source(recipe, made),
        tmp_path,
        report=lambda progress: seen.extend(progress.evaluation.values()),
    )
    assert seen[0] < 0.05 and seen[-1] > 0.12


@pytest.mark.slow
def test_a_run_with_lessons_is_an_image_llm(tmp_path: Path) -> None:
    train = replace(RECIPE.train, steps=2, warmup=1, batch_size=2, precision="fp32")
    small = WorldSamples(stills=4, pages=4, checked_pages=2)
    phases: list[str] = []
    recipe = replace(RECIPE, train=train, world=small)
    run_frame_recipe(recipe, tmp_path, show=lambda what, *_: phases.append(what))
    assert list(dict.fromkeys(phases)) == ["eyes", "train"]
    assert (tmp_path / "eyes" / "log.jsonl").is_file() and (tmp_path / "config.json").is_file()


def test_lessons_that_mean_nothing() -> None:
    with pytest.raises(RecipeError, match=r"eyes: stills=1.5 and rise=0.25 must lie in \[0, 1\]"):
        EyesLessons(stills=1.5, rise=0.25, train=TRAIN)
    with pytest.raises(RecipeError, match="eyes: lessons are for the untrained eyes of model="):
        replace(t2vid_tiny_arm("there"), tuning=Tuning(vision=False), eyes=LESSONS)
    with pytest.raises(RecipeError, match=r"so tuning\.vision=true has no effect"):
        replace(RECIPE, tuning=Tuning())
