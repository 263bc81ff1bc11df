"""`textreel plan RECIPE`: how large a training is, before anything is downloaded or run.

The model is built on the meta device: shapes without numbers.
"""

from dataclasses import dataclass

from torch import nn

from textreel.models.decoder_sizes import sized_decoder
from textreel.models.track_lm import TrackLM
from textreel.recipes.prepare import model_config, open_encoder
from textreel.recipes.recipe import AlignRecipe, is_world, world_count

KNOWN_WIDTHS = {"openai/clip-vit-large-patch14": 768}
"""Joint-space vectors of encoders that need not be here to be planned with."""
HALVED_BYTES, FULL_BYTES = 2, 4
"""bfloat16, float32."""
TRAINED_BYTES = 4 + 4 + 2 * 4
"""float32, its gradient, and AdamW's two moments."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingPlan:
    """The size of a training; JSON values only.

    Attributes:
        recipe: its name.
        kind: align, finetune or baseline.
        decoder: what is frozen.
        decoder_parameters: numbers in it.
        trained_parameters: numbers that learn.
        connector_parameters: those of the connector.
        adapter_parameters: those of the adapter.
        num_frames: frames of a video.
        soft_tokens: positions that a video takes in a prompt.
        steps: updates.
        effective_batch: prompts in an update.
        prompts: in the whole training.
        videos: that the data hold, where that is known without reading them.
        weights_bytes: on an accelerator; the frozen decoder in bfloat16 where the recipe's
            precision is bf16, and everything else, the trained part with its gradient and
            optimizer, in float32. Activations are not counted.
    """

    recipe: str
    kind: str
    decoder: str
    decoder_parameters: int
    trained_parameters: int
    connector_parameters: int
    adapter_parameters: int
    num_frames: int
    soft_tokens: int
    steps: int
    effective_batch: int
    prompts: int
    videos: int | None
    weights_bytes: int


def plan_training(recipe: AlignRecipe) -> TrainingPlan:
    """Size a recipe.

    Raises:
        DecoderNotFoundError, DecoderUnsupportedError: see `models.decoder.empty_decoder`.
        EncoderUnavailableError: an encoder that is not on this machine.
    """
    decoder = sized_decoder(recipe.decoder)
    frozen = _count(decoder)
    width = KNOWN_WIDTHS.get(recipe.encoder) or open_encoder(recipe).dim
    model = TrackLM(decoder, model_config(recipe, feature_dim=width))
    trained = sum(p.numel() for p in model.trainable_parameters())
    connector = _count(model.connector)
    schedule = recipe.schedule
    batch = schedule.batch_size * schedule.accumulate
    per_frozen = HALVED_BYTES if recipe.halves_frozen("cuda") else FULL_BYTES
    return TrainingPlan(
        recipe=recipe.name,
        kind=recipe.kind,
        decoder=recipe.decoder,
        decoder_parameters=frozen,
        trained_parameters=trained,
        connector_parameters=connector,
        adapter_parameters=trained - connector,
        num_frames=recipe.num_frames,
        soft_tokens=model.num_soft_tokens(recipe.num_frames),
        steps=schedule.steps,
        effective_batch=batch,
        prompts=schedule.steps * batch,
        videos=_videos(recipe),
        weights_bytes=per_frozen * frozen + TRAINED_BYTES * trained,
    )


def _videos(recipe: AlignRecipe) -> int | None:
    if not is_world(recipe.data):
        return None
    return round(world_count(recipe.data) * recipe.data_fraction)


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
