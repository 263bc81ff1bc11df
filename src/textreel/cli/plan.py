"""`textreel plan`: how large a training is."""

from typing import TYPE_CHECKING, Annotated

import typer

from textreel.cli.output import JsonOption, emit

if TYPE_CHECKING:
    from textreel.recipes.plan import TrainingPlan


def plan(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A recipe's name, or a run's recipe.json.")
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Such as num_frames=5; again for more."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Size a training: parameters, steps, memory of the weights. Nothing is loaded or run."""
    from textreel.recipes.plan import plan_training
    from textreel.recipes.training import find_recipe

    found = plan_training(find_recipe(recipe, settings=set_ or []))
    emit(found, as_json=as_json, text=describe_plan(found))


def describe_plan(plan: "TrainingPlan") -> str:
    """Return a plan as lines for people."""
    videos = "" if plan.videos is None else f" of {plan.videos:,} videos"
    return "\n".join(
        (
            f"{plan.recipe} ({plan.kind}) on {plan.decoder}",
            f"trained parameters  {plan.trained_parameters:,} "
            f"(connector {plan.connector_parameters:,}, adapter {plan.adapter_parameters:,})",
            f"frozen parameters   {plan.decoder_parameters:,}",
            f"video               {plan.num_frames} frames, {plan.soft_tokens} soft tokens",
            f"updates             {plan.steps:,} of {plan.effective_batch} prompts, "
            f"{plan.prompts:,} prompts in all{videos}",
            f"memory of weights   {plan.weights_bytes / 2**30:.1f} GiB, activations not counted",
        )
    )
