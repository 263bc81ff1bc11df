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
    crowded_still,
    show_still,
    still_words,
    teach_eyes,
    words_seen_check,
)
from textreel.recipes.frame_data import open_source
from textreel.recipes.frame_recipe import WorldSamples
from textreel.recipes.frame_training import open_learner, run_frame_recipe
from textreel.recipes.frame_world import still_scene
from textreel.recipes.recipe import RecipeError
from textreel.recipes.t2vid_tiny import EYES, t2vid_tiny_arm, t2vid_tiny_base
from textreel.synth.world.scene import Look, Scene
from textreel.train.frame_records import FrameSource

TRAIN = replace(EYES.train, steps=4, warmup=1, batch_size=4, precision="fp32", checkpoint_every=2)
LESSONS = replace(EYES, stills=0.5, rise=0.5, train=TRAIN, settling=TRAIN)
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


def test_a_stills_vectors_say_what_lies_on_them() -> None:
    looks = (
        Look("square", "red", "big", (0, 2), visible=True),
        Look("cross", "blue", "small", (1, 1), visible=True),
        Look("circle", "pink", "small", (2, 0), visible=False),
    )
    said = still_words(Scene("grey", looks, (), (), 8.0))
    assert {place: words for place, words in enumerate(said) if words} == {
        3: ["top", "right", "big", "red", "square"],
        5: ["centre", "small", "blue", "cross"],
        10: ["grey", "background"],
    }
    assert len(said) == 16


def test_vectors_that_say_nothing_are_blank(made: ImageLLM, data: EyesData) -> None:
    picture, vectors = show_still(still_scene(Random("still")))
    batch = data.collate([(picture, vectors)], ["it"])
    empty = [place for place, words in enumerate(vectors) if not words]
    assert 12 <= len(empty) <= 15
    assert set(batch.words[0, empty, 0].tolist()) == {made.tokenizer.pad_token_id}
    assert batch.weights[0, empty].tolist() == pytest.approx([BLANK_WEIGHT] * len(empty))
    assert batch.weights[0].sum().item() == pytest.approx(16 - 0.9 * len(empty))


def test_crowded_stills_show_an_object_in_most_places() -> None:
    drawn = [crowded_still(Random(i)).objects for i in range(50)]
    counts = [len(looks) for looks in drawn]
    assert 7.5 < sum(counts) / 50 < 8.7 and max(counts) == 9
    assert all(len({look.place for look in looks}) == len(looks) for looks in drawn)
    assert any(len({look.shape for look in looks}) < len(looks) for looks in drawn)


def test_words_are_said_by_vectors_that_say_them_first(
    made: ImageLLM, data: EyesData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eyes_lessons, "CHECKED", 3)
    eyes = Eyes(made.model.model)
    check = words_seen_check(eyes, data)
    found = check()
    assert 0 <= found["words_seen"] < 0.3 and 0 <= found["still_words"] < 0.3
    drawn = [show_still(still_scene(Random(f"checked-eyes-{i}"))) for i in range(3)]
    wanted = data.collate(drawn, ["", "", ""]).words
    says = torch.zeros(3, 16, len(made.tokenizer) + 1)
    says.scatter_(-1, wanted.where(wanted != NONE, len(made.tokenizer)), 1.0)
    monkeypatch.setattr(eyes, "logits", lambda _: says[..., :-1])
    assert check()["still_words"] == 1
    assert check()["words_seen"] < 0.3


@pytest.mark.slow
def test_eyes_are_taught_once_and_the_same_when_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taught(folder: Path, recipe=RECIPE) -> dict[str, torch.Tensor]:
        made = open_learner(recipe)
        teach_eyes(recipe, made, open_source(recipe, made), folder)
        learning = [name for name, p in made.model.named_parameters() if p.requires_grad]
        assert learning and all("text_model" in name for name in learning)
        return made.model.state_dict()

    fit, threads = Eyes.fit, []
    monkeypatch.setattr(
        Eyes, "fit", lambda *given: (threads.append(torch.get_num_threads()), fit(*given))
    )
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
    assert threads == [1, 1]
    monkeypatch.setattr(Eyes, "fit", None)  # a finished part says its own weights
    again = taught(tmp_path / "killed")
    assert all(torch.equal(straight[name], again[name]) for name in straight)


@pytest.mark.slow
def test_a_few_lessons_teach_to_name_what_lies_where(tmp_path: Path) -> None:
    lessons = replace(LESSONS, stills=1.0, train=replace(EYES.train, steps=60, evaluate_every=0))
    recipe = replace(RECIPE, eyes=lessons)
    made = open_learner(recipe)
    seen: list[float] = []
    teach_eyes(
        recipe,
        made,
        open_source(recipe, made),
        tmp_path,
        report=lambda progress: seen.append(progress.evaluation.get("still_words", 0.0)),
    )
    assert seen[0] < 0.2 and max(seen[1:]) > 0.5


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
    with pytest.raises(RecipeError, match=r"are \(1.5, 0.25, 0.3\): each must lie in \[0, 1\]"):
        replace(EYES, stills=1.5)
    with pytest.raises(RecipeError, match="eyes: lessons are for the untrained eyes of model="):
        replace(t2vid_tiny_arm("there"), tuning=Tuning(vision=False), eyes=LESSONS)
    with pytest.raises(RecipeError, match=r"so tuning\.vision=true has no effect"):
        replace(RECIPE, tuning=Tuning())
