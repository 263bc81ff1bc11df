"""`run_recipe`: textual videos in, a run that answers out."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import torch

from textreel.data.textual_video import TextualVideo
from textreel.features.thin import thin_video
from textreel.features.wide_gap import WideGap
from textreel.models.batch import Features
from textreel.models.open_encoder import TextEncoder
from textreel.recipes.alignment import align
from textreel.recipes.clips import clip_samples
from textreel.recipes.crossing import bridge_of, keep_memory, make_crossing
from textreel.recipes.demo_files import save_recipe_run
from textreel.recipes.prepare import (
    build_data,
    build_learner,
    centred,
    encode_data,
    open_encoder,
    read_data,
    started,
)
from textreel.recipes.recipe import AlignRecipe, RecipeError, is_world
from textreel.recipes.recipe_values import read_recipe, read_recipe_file, with_settings
from textreel.recipes.starting import start_from
from textreel.recipes.t2vid import FRAME_RECIPES
from textreel.recipes.topa import RECIPES
from textreel.recipes.validating import VALIDATION, validation_of, watcher
from textreel.recipes.video_llama import SENSES_RECIPES
from textreel.train.contracts import Progress
from textreel.train.result import TrainResult

Show = Callable[[str, int, int, str], None]
NAMES = (*RECIPES, *FRAME_RECIPES, *SENSES_RECIPES)
"""Every recipe, of whatever kind."""


def find_recipe(name: str, *, settings: Sequence[str] = ()) -> AlignRecipe:
    """Return a recipe by name, or from a run's recipe.json, with settings applied.

    Raises:
        RecipeError: neither a recipe nor a file of one, or a setting that does not fit.
    """
    if name in RECIPES:
        return with_settings(RECIPES[name](), list(settings))
    if name in NAMES:
        raise RecipeError(
            f"{name} is no alignment on textual videos, and one is wanted here",
            hint=f"one of {', '.join(RECIPES)}",
        )
    path = Path(name)
    if not path.is_file():
        raise RecipeError(
            f"there is no recipe {name!r}",
            hint=f"one of {', '.join(NAMES)}, or the recipe.json of a run",
        )
    return with_settings(read_recipe(read_recipe_file(path)), list(settings))


def run_recipe(
    recipe: AlignRecipe,
    out: Path,
    *,
    show: Show = lambda *_: None,
    inexact: bool = False,
    store: Path | None = None,
    device: torch.device | str = "cpu",
) -> TrainResult:
    """Align a decoder as a recipe says, and write a run; safe to kill and to call again.

    The run crosses over the recipe's memory, in validation too; without one it crosses no bridge
    (`textreel demo` shows how one is chosen).

    Args:
        recipe: everything.
        out: the run's folder.
        show: told how far each phase is.
        inexact: go on although other last bits must be expected.
        store: where features go; None: into the run's folder.
        device: where it encodes and trains. Weights and batches are drawn on the processor, so
            that they are the same everywhere.
    """
    encoder = open_encoder(recipe, device=device)
    memory = keep_memory(recipe, encoder, out)
    questions = validation_of(recipe, encoder)
    videos, features = load_samples(recipe, encoder, store or out / "features", show=show)
    bridge = make_crossing(recipe, encoder, out).to(device)
    halved = recipe.halves_frozen(torch.device(device).type)
    dtype = torch.bfloat16 if halved else torch.float32
    learner = build_learner(recipe, encoder, dtype=dtype)
    if recipe.start:
        start_from(recipe.start, learner.model)
    learner.model.to(device)
    data = build_data(recipe, videos, features, learner.collator)
    data = started(recipe, data, learner, videos, features)

    def report(progress: Progress) -> None:
        show(recipe.kind, progress.step, progress.steps, describe(progress))

    result = align(
        learner.model,
        data,
        recipe.schedule,
        out,
        evaluate=None if questions is None else watcher(learner, questions, bridge),
        progress=report,
        inexact=inexact,
    )
    save_recipe_run(out, learner.model, recipe, bridge=bridge_of(recipe), memory=memory)
    return result


def describe(progress: Progress) -> str:
    """Say the loss, where an update was just made, and the latest validation of a run."""
    parts = [] if math.isnan(progress.loss) else [f"loss {progress.loss:.3f}"]
    if VALIDATION in progress.evaluation:
        parts.append(f"validation accuracy {progress.evaluation[VALIDATION]:.3f}")
    return ", ".join(parts)


def load_samples(
    recipe: AlignRecipe, encoder: TextEncoder, store: Path, *, show: Show = lambda *_: None
) -> tuple[list[TextualVideo], list[Features]]:
    """Return the recipe's videos, or its fraction of them, and one `Features` for each.

    Textual videos have the frames that their features have: those that are read.

    Args:
        recipe: data, and how much of it.
        encoder: its text tower reads textual frames, its picture tower sees clips.
        store: where features go, to be read again by the next call.
        show: told how far each phase is.
    """
    show("read", 0, 1, "")
    clips = recipe.kind != "align"
    videos = [] if clips and is_world(recipe.data) else read_data(recipe)
    show("read", 1, 1, f"{len(videos)} {'videos' if clips else 'textual videos'}")
    show("encode", 0, 1, "")
    if clips:
        videos, features = clip_samples(recipe, videos, encoder, store)
    else:
        features = encode_data(recipe, videos, encoder, store)
        videos = [thin_video(video, wanted=recipe.num_frames) for video in videos]
    show("encode", 1, 1, f"{sum(len(f.values) for f in features)} {'' if clips else 'text '}frames")
    if recipe.centred:
        features = centred(features, encoder)
    if recipe.wide_gap:
        wide = WideGap(encoder.dim)
        features = [wide.move(v.id, f) for v, f in zip(videos, features, strict=True)]
    kept = random_subset(len(videos), fraction=recipe.data_fraction, seed=recipe.seed)
    return [videos[i] for i in kept], [features[i] for i in kept]


def random_subset(count: int, *, fraction: float, seed: int) -> list[int]:
    """Return which of `count` samples a fraction of the data is, in ascending order.

    A smaller fraction of the same seed is part of a larger one. (Upstream takes the first rows:
    dhg-wei/TOPA, `data_ratio`.)

    Args:
        count: of all samples.
        fraction: above 0, at most 1.
        seed: of the draw.

    Raises:
        RecipeError: nothing would be left.
    """
    wanted = round(count * fraction)
    if wanted < 1:
        raise RecipeError(f"data_fraction={fraction} of {count} videos leaves none")
    order = list(range(count))
    Random(f"fraction-{seed}").shuffle(order)
    return sorted(order[:wanted])
