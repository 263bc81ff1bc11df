"""A frame encoder of the world's own, built and frozen before anything reads it.

    stills of minimal edits  --tiny picture tower's last map-->  patches
    --frame Q-Former, a query for each kind of object and one for the background-->  lines about it

What a query should say, through a linear map, is the sum of the decoder's word embeddings of a line
about its object, or of `nothing`; as in `senses_words`. The published one was trained to match and
to write captions (BLIP-2, arXiv:2301.12597); in the world this is enough.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import torch
from torch import Tensor

from textreel.data.files import atomic_directory
from textreel.models.batch import Features
from textreel.models.branch_words import BranchToWords
from textreel.models.decoder import load_decoder, locate
from textreel.models.encoders import load_encoder
from textreel.models.tiny_frames import (
    TinyFrames,
    is_tiny_frames,
    new_tiny_frames,
    save_tiny_frames,
)
from textreel.models.tokenizer import load_tokenizer
from textreel.recipes.senses_recipe import FRAMES_FOLDER, FramesRecipe
from textreel.recipes.senses_words import ABSENT, WordsSample, words_data
from textreel.synth.world.captions import object_phrase
from textreel.synth.world.render import draw_still
from textreel.synth.world.scene import SHAPES
from textreel.synth.world.stills import GROUP_SIZE, Moment, draw_group
from textreel.train.contracts import Progress
from textreel.train.loop import train

TOGETHER = 256
"""Stills whose patches are made at once."""


def build_frames(
    recipe: FramesRecipe,
    out: Path,
    *,
    decoder: str,
    seed: int,
    progress: Callable[[Progress], None] | None = None,
    inexact: bool = False,
) -> None:
    """Train a frame encoder into `out/frames`; a finished one is kept, a killed one goes on.

    Args:
        recipe: how.
        out: the run's folder.
        decoder: whose words it learns to say.
        seed: of weights and stills.
        progress: called after every step.
        inexact: see `train.loop`.
    """
    folder, towers = out / FRAMES_FOLDER, Path(locate(recipe.towers))
    if is_tiny_frames(folder):
        return
    table = load_decoder(decoder).get_input_embeddings().weight.detach().float()
    model = new_tiny_frames(
        towers,
        queries=len(SHAPES) + 1,
        width=recipe.width,
        words=table.shape[1],
        generator=torch.Generator().manual_seed(seed),
    )
    samples = still_samples(recipe, model, seed=seed)
    size = recipe.train.batch_size
    data, spread = words_data(
        samples, load_tokenizer(decoder), table, noise=0.0, batch_size=size, seed=seed
    )
    learner = BranchToWords(model.reader, spread=spread)
    config = replace(recipe.train, seed=recipe.train.seed or seed)
    work = out / "stages" / f"0-{FRAMES_FOLDER}"
    train(learner, data, config, work, progress=progress, inexact=inexact)
    with atomic_directory(folder, overwrite=True) as draft:
        save_tiny_frames(model, draft, towers=towers)


@torch.no_grad()
def still_samples(recipe: FramesRecipe, model: TinyFrames, *, seed: int) -> list[WordsSample]:
    """Draw stills of the training part, and return their patches with a line for each query."""
    rng, noise = Random(f"stills-{seed}"), np.random.default_rng(seed)
    groups = -(-recipe.stills // GROUP_SIZE)
    moments = [moment for _ in range(groups) for moment in draw_group(rng)][: recipe.stills]
    encoder = load_encoder(locate(recipe.towers))
    samples = []
    for start in range(0, len(moments), TOGETHER):
        part = moments[start : start + TOGETHER]
        drawn = [draw_still(m.background, m.looks, rng, noise) for m in part]
        pixels = np.ascontiguousarray(np.stack(drawn).transpose(0, 3, 1, 2))
        patches = model.patches(encoder.prepare_frames(pixels)["pixel_values"])
        for number, (moment, rows) in enumerate(zip(part, patches, strict=True), start=start):
            features = _features(rows, revision=encoder.revision)
            samples.append(WordsSample(f"still-{number}", features, still_lines(moment, rng)))
    return samples


def still_lines(moment: Moment, rng: Random) -> tuple[str, ...]:
    """Return a line for each shape, in order of the alphabet, and one for the background."""
    told = {look.shape: object_phrase(look, rng) for look in moment.looks}
    lines = [told.get(shape, ABSENT) for shape in sorted(SHAPES)]
    return (*lines, f"{moment.background} background")


def _features(rows: Tensor, *, revision: str) -> Features:
    return Features(
        values=rows.half(),
        times_s=torch.zeros(len(rows), dtype=torch.float64),
        modality="image",
        encoder="patches",
        revision=revision,
    )
