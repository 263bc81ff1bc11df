"""T2Vid on the world: a tiny image-LLM that reads pages, and the paper's comparison on it.

    textreel train t2vid_tiny_base --out runs/tiny-image-llm
    textreel train t2vid_tiny --set base=runs/tiny-image-llm --out studies/t2vid
    textreel train t2vid_tiny --set base=... --set 'only=["15% + pages"]' --out studies/t2vid

Or with a base of its own for every seed, so that the answers do not hang on one base's luck:

    textreel train t2vid_tiny_base --set seed=4 --out runs/base-1    (and base-2, base-3)
    textreel train t2vid_tiny --set 'base=runs/base-{seed}' --out studies/t2vid

The base's eyes have lessons of their own (`eyes_lessons`); then they stay as they are, and the rest
learns the world's stills and to read pages of at most 12 words, and goes on answering about plain
texts, so that what its decoder knows is not lost. It never meets a video, nor two pictures at once.
The arms leave the eyes alone too, as the paper's Mini-InternVL did: when they learned on, they
forgot how to read (docs/LOG.md).

`page_words`, in its log and at its end, is the share of words read in their place: before it is .9
the comparison says nothing about pages, and the study says so. Arms and what they are compared by:
`frame_arms.py`. Results stand in docs/LOG.md.
"""

from collections.abc import Callable
from dataclasses import replace

from textreel.models.image_mllm.tuning import Tuning
from textreel.recipes.frame_recipe import (
    NEW_TINY,
    WORLD_DATA,
    EyesLessons,
    FrameRecipe,
    WorldSamples,
)
from textreel.recipes.topa import KNOWS
from textreel.synth.pages.settings import PageSettings
from textreel.train.config import TrainConfig

PAGES = PageSettings(
    width_px=96,
    height_px=96,
    font_px=10,
    margin_px=0,
    line_spacing=0.93,
    words=12,
    reflow=False,
)
PAGE_FONT = "DejaVuSansMono.ttf"
"""The world's page: as large as its pictures, in letters of 6 px; a line is one row of patches, 12
px, and a patch is two letters wide."""
NUM_FRAMES = 8
EYES_TRAINING = TrainConfig(
    steps=2600,
    batch_size=32,
    lr=4e-3,
    warmup=20,
    weight_decay=0.01,
    betas=(0.9, 0.98),
    optimizer="muon",
    muon_lr=0.02,
    checkpoint_every=200,
    evaluate_every=400,
    precision="bf16",
    threads=1,
)
"""All trainings here are variants of it."""
EYES = EyesLessons(
    stills=0.5,
    rise=0.25,
    train=EYES_TRAINING,
    settling=replace(EYES_TRAINING, steps=1000, lr=2e-3, muon_lr=0.01),
    settling_stills=0.3,
)
BASE_TRAINING = replace(
    EYES_TRAINING,
    steps=1400,
    batch_size=16,
    lr=2e-3,
    muon_lr=0.01,
    checkpoint_every=50,
    evaluate_every=250,
)
ARM_TRAINING = replace(
    BASE_TRAINING,
    steps=80,
    lr=5e-4,
    warmup=10,
    muon_lr=0.003,
    checkpoint_every=25,
    evaluate_every=0,
)
HELD_OUT = ("final",)
"""The question type that no arm is asked in training, about clips, pages or texts. The base's plain
texts ask it, as the texts did that its decoder learned from."""


def t2vid_tiny_base() -> FrameRecipe:
    """Stills, pages to read and plain texts, from the package's decoder and random eyes.

    Another seed may need more steps before it reads .9 of the words: `train.steps=2200` was enough
    for the slowest of three (docs/LOG.md).
    """
    return FrameRecipe(
        name="t2vid_tiny_base",
        model=NEW_TINY,
        data=WORLD_DATA,
        world=WorldSamples(stills=3_000, pages=17_000, texts=2_400, checked_pages=128),
        template="image-tiny",
        num_frames=NUM_FRAMES,
        pages=PAGES,
        page_font=PAGE_FONT,
        eyes=EYES,
        tuning=Tuning(vision=False),
        knows=KNOWS,
        train=BASE_TRAINING,
    )


def t2vid_tiny_arm(base: str) -> FrameRecipe:
    """All clips, from a trained base; what the arms are variants of.

    Args:
        base: the folder of a run of `t2vid_tiny_base`.
    """
    return FrameRecipe(
        name="t2vid_tiny_arm",
        model=base,
        data=WORLD_DATA,
        world=WorldSamples(clips=1200, held_out=HELD_OUT),
        template="image-tiny",
        num_frames=NUM_FRAMES,
        pages=PAGES,
        page_font=PAGE_FONT,
        tuning=Tuning(vision=False),
        knows=KNOWS,
        train=ARM_TRAINING,
    )


TINY_RECIPES: dict[str, Callable[[], FrameRecipe]] = {"t2vid_tiny_base": t2vid_tiny_base}
