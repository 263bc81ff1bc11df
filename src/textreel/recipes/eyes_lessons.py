"""Lessons for the tiny image-LLM's eyes, before its decoder learns with them.

    page    its words in order, a vector each
    still   where an object's middle is, its words: place, size, colour and shape; in a vector where
            no object's middle ever is, the background
    blank   padding, for vectors that are left

What a vector says is told by the decoder's own embeddings (`models/image_mllm/eyes`). Nothing but
stills and pages is shown. The decoder takes no part, so a step costs a fifth of one with it;
docs/LOG.md has what was learned without these lessons, and when a still's vectors had to say
what is elsewhere.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
from textreel.synth.world.questions import PLACES
from textreel.synth.world.scene import (
    BACKGROUNDS,
    COLOURS,
    SCENE_SECONDS,
    SHAPES,
    SIZES,
    Look,
    Scene,
)
from textreel.train.checkpoint import latest
from textreel.train.contracts import Evaluate, Progress
from textreel.train.frame_records import FrameSource
from textreel.train.loop import train

FOLDER, SETTLED_FOLDER = "eyes", "eyes-settled"
FITTED = 100
"""Batches that the connector is fitted to between the two parts."""
MOST_WORDS = 6
"""Most words of one vector."""
BLANK_WEIGHT = 0.1
CHECKED = 128
SIDE = 4
"""Vectors of a picture in a row, and rows of them."""
CELLS = (0, 1, 3)
"""Row, or column, of the vector that says an object, by that of its place; a middle one lies on the
border of 1 and 2."""
GROUND_CELL = 2 * SIDE + 2
CROWDED_SHARE = 0.7
"""Of stills: five times as many objects as in the world's, and shapes are told apart sooner."""
FILLED_SHARE = 0.9
"""Of a crowded still's places."""


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
                if not said:
                    continue
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
        return draw_still(rng)


def draw_still(rng: Random) -> tuple[NDArray[np.uint8], list[list[str]]]:
    """Draw a still, crowded or of the world's scenes, and say what its vectors should say."""
    return show_still(crowded_still(rng) if rng.random() < CROWDED_SHARE else still_scene(rng))


def show_still(scene: Scene) -> tuple[NDArray[np.uint8], list[list[str]]]:
    """Draw the picture of a still, uint8 (3, H, W), and say what its vectors should say."""
    return draw_moments(scene, 1)[0], still_words(scene)


def crowded_still(rng: Random) -> Scene:
    """Draw a still with an object in most places, each drawn without regard to the others."""
    looks = (
        Look(rng.choice(SHAPES), rng.choice(COLOURS), rng.choice(SIZES), place, visible=True)
        for place in PLACES
        if rng.random() < FILLED_SHARE
    )
    return Scene(rng.choice(BACKGROUNDS), tuple(looks), (), (), SCENE_SECONDS)


def still_words(scene: Scene) -> list[list[str]]:
    """Return the words of a still's vectors, row by row; those of most are none."""
    said: list[list[str]] = [[] for _ in range(SIDE * SIDE)]
    said[GROUND_CELL] = [scene.background, "background"]
    for look in scene.at(0.0):
        if look.visible:
            row, column = (CELLS[i] for i in look.place)
            words = [*place_words(look.place).split(), look.size, look.colour, look.shape]
            said[row * SIDE + column] = words
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

    Eyes and connector stay as the lessons leave them. Where the second part has a checkpoint, its
    weights are those, and nothing is fitted again.

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
    for folder, part, distance in _parts(recipe.eyes):
        eyes.distance = distance
        data = EyesData(part, made, source, seed=recipe.seed)
        if distance and latest(out / folder / "checkpoints") is None:
            with _threads(part.train.threads):
                steps = range(min(FITTED, part.train.steps))
                eyes.fit(data.batch(step).to(made.model.device) for step in steps)
        config = replace(part.train, seed=part.train.seed or recipe.seed)
        evaluate = words_seen_check(eyes, data)
        train(eyes, data, config, out / folder, evaluate=evaluate, progress=report, inexact=inexact)
    eyes.requires_grad_(False)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Let torch use as many threads as the training does, for the same bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _parts(lessons: EyesLessons) -> list[tuple[str, EyesLessons, float]]:
    """Return the folder, the lessons and the weight of the distance of each part."""
    settling = replace(lessons, stills=lessons.settling_stills, rise=0.0, train=lessons.settling)
    return [(FOLDER, lessons, 0.0), (SETTLED_FOLDER, settling, 1.0)]


def words_seen_check(eyes: Eyes, data: EyesData) -> Evaluate:
    """Return what measures how many words of `CHECKED` pages and stills their vectors say.

    A page's vector says the word that it says first; where a still's should say several words, it
    says as many that come first.
    """
    names = [f"checked-eyes-{i}" for i in range(CHECKED)]

    @cache
    def drawn() -> tuple[EyesBatch, EyesBatch]:
        # when they are first asked about: a finished run asks no more
        pages = [data.draw_page(r, r.randint(3, PAGE_WORDS)) for r in map(Random, names)]
        stills = [show_still(still_scene(Random(name))) for name in names]
        return data.collate(pages, names), data.collate(stills, names)

    def evaluate() -> dict[str, float]:
        pages, stills = drawn()
        return {"words_seen": _share_said(eyes, pages), "still_words": _share_said(eyes, stills)}

    return evaluate


def _share_said(eyes: Eyes, batch: EyesBatch) -> float:
    """Return the share of words that vectors say first, blank ones left out."""
    batch = batch.to(eyes.words.device)
    wanted = (batch.words != NONE) & (batch.weights == 1)[..., None]
    order = eyes.logits(batch.pixels).argsort(dim=-1, descending=True).argsort(dim=-1)
    ranks = order.gather(-1, batch.words.clamp(min=0))
    said = ranks < wanted.sum(-1, keepdim=True)
    return said[wanted].float().mean().item()
