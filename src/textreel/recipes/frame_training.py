"""`run_frame_recipe`: an image-LLM and records in, a fine-tuned image-LLM out; safe to kill.

The run's folder is an image-LLM of Hugging Face like the one it began with, LoRA merged, with
`sampling.json` (the frames it was trained on) and `recipe.json`. `textreel.load`, `ask`, `chat` and
`predict` take it as they take any.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from textreel.data.files import write_atomic
from textreel.data.templates import FRAME_TEMPLATES, IMAGE_CHAT
from textreel.media.sampling import SamplingSpec
from textreel.models.decoder import load_decoder
from textreel.models.image_mllm.loading import ImageLLM, load_image_llm
from textreel.models.image_mllm.pictures import PictureSettings
from textreel.models.image_mllm.tiny import new_tiny_image_llm
from textreel.models.image_mllm.tuning import merge_lora, tune
from textreel.models.tokenizer import load_tokenizer
from textreel.recipes.eyes_lessons import teach_eyes
from textreel.recipes.frame_data import check_places, open_records, open_source
from textreel.recipes.frame_fonts import kept_fonts
from textreel.recipes.frame_recipe import NEW_TINY, FrameRecipe, is_frame_recipe
from textreel.recipes.frame_resume import RECIPE_FILE, check_recipe, keep_recipe
from textreel.recipes.page_reading import read_pages_check
from textreel.recipes.recipe_values import read_as, with_settings
from textreel.recipes.t2vid import FRAME_RECIPES
from textreel.serve.run_files import save_image_run
from textreel.train.contracts import Evaluate, Progress
from textreel.train.frame_records import FrameRecords, FrameSource
from textreel.train.loop import train
from textreel.train.result import TrainResult

Show = Callable[[str, int, int, str], None]
TINY_DECODER = "embedded:tiny/decoder"


def find_frame_recipe(name: str, *, settings: Sequence[str] = ()) -> FrameRecipe | None:
    """Return a recipe of an image-LLM by name, or from a run's recipe.json; None for any other.

    Raises:
        RecipeError: a setting that does not fit.
    """
    if name in FRAME_RECIPES:
        return with_settings(FRAME_RECIPES[name](), list(settings))
    if not Path(name).is_file():
        return None
    try:
        values = json.loads(Path(name).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None  # who looks for other recipes says what is wrong with it
    if not isinstance(values, Mapping) or not is_frame_recipe(values):
        return None
    return with_settings(read_as(FrameRecipe, dict(values)), list(settings))


def run_frame_recipe(
    recipe: FrameRecipe,
    out: Path,
    *,
    show: Show = lambda *_: None,
    inexact: bool = False,
    device: torch.device | str = "cpu",
) -> TrainResult:
    """Fine-tune an image-LLM as a recipe says, and write a run; safe to kill and to call again.

    Args:
        recipe: everything.
        out: the run's folder.
        show: told how far each phase is.
        inexact: go on although other last bits must be expected.
        device: where it trains. Weights and batches are drawn on the processor.

    Raises:
        RecipeError: no data, or the folder's run was begun with other settings.
        TooManyBadError: more records must be left out than the recipe allows.
    """
    check_places(recipe)
    check_recipe(recipe, out)
    made = open_learner(recipe, device=device)
    source = open_source(recipe, made)
    records, lengths = open_records(recipe, made, source, out, show=show)
    source = replace(source, drawer=kept_fonts(source.drawer, out))
    data = FrameRecords(
        records, lengths, source, batch_size=recipe.train.batch_size, seed=recipe.seed
    )

    def report(what: str, progress: Progress) -> None:
        note = f"loss {progress.loss:.3f}" if progress.step else ""
        found = ", ".join(f"{name} {value:.3f}" for name, value in progress.evaluation.items())
        show(what, progress.step, progress.steps, "; ".join(filter(None, (note, found))))

    keep_recipe(recipe, out)
    stored = made.model.model.dtype
    if recipe.eyes is not None:
        teach_eyes(recipe, made, source, out, report=partial(report, "eyes"), inexact=inexact)
    result = train(
        made.model,
        data,
        recipe.schedule,
        out,
        evaluate=_evaluate(recipe, made, source),
        progress=partial(report, "train"),
        inexact=inexact,
    )
    save_frame_run(out, made, recipe, dtype=stored)
    return result


def open_learner(recipe: FrameRecipe, *, device: torch.device | str = "cpu") -> ImageLLM:
    """Load or build the recipe's model on a device, and set what learns."""
    if recipe.model == NEW_TINY:
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            made = new_tiny_image_llm(load_decoder(TINY_DECODER), load_tokenizer(TINY_DECODER))
    else:
        settings = PictureSettings(tiles=recipe.tiles, frame_tokens=recipe.frame_tokens)
        made = load_image_llm(recipe.model, device=device, settings=settings)
    tune(made.model, recipe.tuning, generator=torch.Generator().manual_seed(recipe.seed))
    made.model.to(device)
    return made


def _evaluate(recipe: FrameRecipe, made: ImageLLM, source: FrameSource) -> Evaluate | None:
    if recipe.world is None or not recipe.world.checked_pages:
        return None
    return read_pages_check(made, source, count=recipe.world.checked_pages)


def save_frame_run(run: Path, made: ImageLLM, recipe: FrameRecipe, *, dtype: torch.dtype) -> None:
    """Write a fine-tuned model as a folder that `load` takes, in the type its weights came in.

    Args:
        run: the folder.
        made: trained; LoRA updates are merged into it.
        recipe: that made it.
        dtype: of the weights.
    """
    if recipe.tuning.lora is not None:
        merge_lora(made.model)
    template = FRAME_TEMPLATES[recipe.template]
    write_atomic(run / RECIPE_FILE, json.dumps(recipe.to_json(), indent=2) + "\n")
    save_image_run(
        run,
        sampling=SamplingSpec(num_frames=recipe.num_frames),
        template=None if template == IMAGE_CHAT else template,
    )
    write_atomic(run / "README.md", _card(recipe))
    made.model.to(dtype)
    made.save_pretrained(run)


def _card(recipe: FrameRecipe) -> str:
    """Write the run's model card."""
    learned = "LoRA on its decoder" if recipe.tuning.lora is not None else "all of it"
    if recipe.tuning.lora is None and not recipe.tuning.vision:
        learned = "everything but its eyes"
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: video-text-to-text",
        f"base_model: {recipe.model}",
        "---",
        "",
        f"# {recipe.name}",
        "",
        f"`{recipe.model}`, fine-tuned on `{recipe.data}`: {learned}, {recipe.train.steps} steps",
        f"of {recipe.train.batch_size * recipe.train.accumulate} records, loss of {recipe.loss}.",
        "`recipe.json` repeats it.",
    ]
    if recipe.knows:
        lines += ["", f"**It knows only {recipe.knows}.**"]
    return "\n".join(lines) + "\n"
