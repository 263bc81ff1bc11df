"""Lessons for the tiny image-LLM's eyes, before its decoder learns with them.

    page    its words in order, a vector each
    still   a vector for each shape: the words of its object as the decoder reads packed moments
            (`synth/world/packed`), or that there is none, and the background in the first such
    blank   padding, for vectors that are left

What a vector says is told by the decoder's own embeddings (`models/image_mllm/eyes`). Nothing but
stills and pages is shown. The decoder takes no part, so a step costs a fifth of one with it;
docs/LOG.md has what was learned without these lessons.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray

from textreel.models.image_mllm.eyes import NONE, Eyes, EyesBatch
from textreel.models.image_mllm.loading import ImageLLM
from textreel.recipes.frame_recipe import EyesLessons, FrameRecipe
from textreel.recipes.frame_world import PAGE_WORDS, draw_moments, page_text, still_scene
from textreel.synth.world.captions import place_words
from textreel.synth.world.scene import SHAPES, Scene
from textreel.train.contracts import Evaluate, Progress
from textreel.train.frame_records import FrameSource
from textreel.train.loop import train

FOLDER = "eyes"
MOST_WORDS = 6
"""Most words of one vector."""
BLANK_WEIGHT = 0.1
CHECKED = 128


class EyesData:
    """Batches of stills and pages, pure in the step.

    Args:
        lessons: shares, and how many steps there are.
        made: whose tokenizer and picture reader.
        source: draws pages.
        seed: of everything.
    """

    def __init__(
        self, lessons: EyesLessons, made: ImageLLM, source: FrameSource, *, seed: int
    ) -> None:
        self._lessons, self._made, self._source, self._seed = lessons, made, source, seed
        blank = made.tokenizer.pad_token_id
        assert isinstance(blank, int)
        self._blank = blank

    def __len__(self) -> int:
        return self._lessons.train.steps * self._lessons.train.batch_size

    def batch(self, step: int) -> EyesBatch:
        """Draw the batch of update number `step`."""
        names = [f"eyes-{self._seed}-{step}-{i}" for i in range(self._lessons.train.batch_size)]
        return self.collate([self._draw(name, self._most(step)) for name in names], names)

    def collate(
        self, drawn: Sequence[tuple[NDArray[np.uint8], list[list[str]]]], names: Sequence[str]
    ) -> EyesBatch:
        """Lay out pictures, uint8 (3, H, W), and the words of their vectors."""
        pictures = [self._made.reader.read([picture]) for picture, _ in drawn]
        (count,) = {shown.num_tokens for shown in pictures}
        words = torch.full((len(drawn), count, MOST_WORDS), NONE)
        words[:, :, 0] = self._blank
        weights = torch.full((len(drawn), count), BLANK_WEIGHT)
        for row, (_, vectors) in enumerate(drawn):
            for place, said in enumerate(vectors):
                ids = self._made.tokenizer(" ".join(said), add_special_tokens=False)["input_ids"]
                words[row, place, : len(ids)] = torch.tensor(ids)
                weights[row, place] = 1.0
        return EyesBatch(
            pixels=torch.cat([shown.pixels["pixel_values"][0] for shown in pictures]),
            words=words,
            weights=weights,
            ids=tuple(names),
        )

    def draw_page(self, rng: Random, count: int) -> tuple[NDArray[np.uint8], list[list[str]]]:
        """Draw a page of `count` words, and say what its vectors should say."""
        text = page_text(rng, self._source.drawer, count=count)
        page = self._source.drawer.typeset(text, id="page").frames()[0]
        return page, [[word] for word in text.split()]

    def _most(self, step: int) -> int:
        """Return the most words of a page at a step."""
        rise = self._lessons.rise * self._lessons.train.steps
        return PAGE_WORDS if step >= rise else 1 + int((PAGE_WORDS - 1) * step / rise)

    def _draw(self, name: str, most: int) -> tuple[NDArray[np.uint8], list[list[str]]]:
        rng = Random(name)
        if rng.random() >= self._lessons.stills:
            return self.draw_page(rng, rng.randint(1, most))
        scene = still_scene(rng)
        return draw_moments(scene, 1)[0], still_words(scene)


def still_words(scene: Scene) -> list[list[str]]:
    """Return the words of a still's vectors, one for each of `SHAPES`."""
    shown = {look.shape: look for look in scene.at(0.0) if look.visible}
    said = []
    for shape in SHAPES:
        look = shown.get(shape)
        found = [*place_words(look.place).split(), look.size, look.colour] if look else ["nothing"]
        said.append([*found, shape])
    if empty := [shape for shape in SHAPES if shape not in shown]:
        said[SHAPES.index(empty[0])] += [scene.background, "background"]
    return said


def teach_eyes(
    recipe: FrameRecipe,
    made: ImageLLM,
    source: FrameSource,
    out: Path,
    *,
    report: Callable[[Progress], None] = lambda _: None,
    inexact: bool = False,
) -> None:
    """Train the eyes of `made` by the recipe's lessons, in a run of their own; safe to kill.

    Eyes and connector stay as the lessons leave them.

    Args:
        recipe: with lessons.
        made: whose eyes.
        source: draws pages.
        out: the folder of the recipe's run.
        report: told after every step.
        inexact: see `train.loop`.
    """
    assert recipe.eyes is not None
    eyes = Eyes(made.model.model)
    eyes.requires_grad_(True)
    data = EyesData(recipe.eyes, made, source, seed=recipe.seed)
    config = replace(recipe.eyes.train, seed=recipe.eyes.train.seed or recipe.seed)
    evaluate = words_seen_check(eyes, data)
    train(eyes, data, config, out / FOLDER, evaluate=evaluate, progress=report, inexact=inexact)
    eyes.requires_grad_(False)


def words_seen_check(eyes: Eyes, data: EyesData) -> Evaluate:
    """Return what measures how many words of `CHECKED` pages their vectors say first."""
    names = [f"checked-eyes-{i}" for i in range(CHECKED)]
    rngs = [Random(name) for name in names]

    @cache
    def pages() -> EyesBatch:
        return data.collate([data.draw_page(r, r.randint(3, PAGE_WORDS)) for r in rngs], names)

    def evaluate() -> dict[str, float]:
        batch = pages()  # drawn when they are first asked about: a finished run asks no more
        right = eyes.logits(batch.pixels).argmax(-1) == batch.words[..., 0]
        return {"words_seen": right[batch.weights == 1].float().mean().item()}

    return evaluate
