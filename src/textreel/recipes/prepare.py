"""From a recipe to what training needs: textual videos, their features, the model, its collator."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.nn.functional import normalize

from textreel.data.collate import Collator
from textreel.data.templates import TEMPLATES
from textreel.data.textual_video import TextualVideo
from textreel.features.encode_store import fill_textual, textual_fingerprint
from textreel.features.store import FeatureStore
from textreel.features.thin import thin, thin_video
from textreel.models.adapters import AdapterKind
from textreel.models.batch import Batch, Features
from textreel.models.config import TrackLMConfig
from textreel.models.connectors import ConnectorConfig
from textreel.models.decoder import load_decoder, locate, max_positions, weight_fingerprint
from textreel.models.open_encoder import TextEncoder, open_text_encoder
from textreel.models.tokenizer import load_tokenizer
from textreel.models.track_lm import TrackLM
from textreel.recipes.alignment import FrameCaptions, alignment_data, caption_data
from textreel.recipes.head_start import fit_head_start, object_words
from textreel.recipes.recipe import AlignRecipe, RecipeError, data_path, is_world, world_count
from textreel.synth.check.report import read_any
from textreel.synth.world.textual import draw_textual_videos
from textreel.train.contracts import TrainingData
from textreel.train.staged import StagedData, StartedData

ENCODE_WINDOW = 1024
"""Textual videos encoded together; a text that repeats among them is encoded once."""
DEFAULT_MAX_TOKENS = 2048
LENGTH_MULTIPLE = 16
"""Rows are padded to a multiple of this, so that few shapes occur; see `Collator`."""


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """A model with its collator.

    Attributes:
        model: on the CPU, untrained.
        collator: of its decoder's tokenizer and the recipe's template.
    """

    model: TrackLM
    collator: Collator


def read_data(recipe: AlignRecipe) -> list[TextualVideo]:
    """Read the recipe's textual videos, or write them by the world's grammar.

    Raises:
        RecipeError: no such file, or no videos in it.
    """
    if is_world(recipe.data):
        count = world_count(recipe.data)
        drawn = draw_textual_videos(
            count, recipe.seed, num_frames=recipe.text_frames, seconds=recipe.seconds
        )
        return list(drawn)
    return read_videos_of(recipe.data)


def read_videos_of(data: str, *, field: str = "data") -> list[TextualVideo]:
    """Read textual videos, whoever wrote them: see `read_any`.

    Args:
        data: the path.
        field: of the recipe, for messages.

    Raises:
        RecipeError: nothing there, or no videos in it.
    """
    videos = list(read_any(data_path(data, field=field)))
    if not videos:
        raise RecipeError(f"{field}={data!r}: no textual videos in it")
    return videos


def open_encoder(recipe: AlignRecipe, *, device: torch.device | str = "cpu") -> TextEncoder:
    """Load the recipe's encoder: its text side, and its pictures or sounds."""
    return open_text_encoder(
        locate(recipe.encoder),
        weights=recipe.encoder_weights,
        tokenizer=recipe.encoder_tokenizer,
        device=device,
    )


def encode_data(
    recipe: AlignRecipe, videos: Sequence[TextualVideo], encoder: TextEncoder, store: Path
) -> list[Features]:
    """Encode the text frames of `videos` into a feature store, and read them back, thinned.

    A store that is there already goes on where it was killed; one of other texts is refused.
    """
    opened = FeatureStore.open_or_create(
        store,
        encoder=encoder.name,
        revision=encoder.revision,
        sampling=textual_fingerprint(videos, mode=recipe.fuse),
        feature_dim=encoder.dim,
    )
    fill_textual(opened, videos, encoder, mode=recipe.fuse, window=ENCODE_WINDOW)
    found = opened.read_many([video.id for video in videos])
    return [thin(features, wanted=recipe.num_frames) for features in found]


def centred(features: Sequence[Features], encoder: TextEncoder) -> list[Features]:
    """Subtract the mean of each one's modality, and bring the vectors to unit length again.

    Raises:
        RecipeError: the encoder has no stored means.
    """
    if encoder.statistics is None:
        raise RecipeError(
            f"centred: the encoder {encoder.name} has no stored means",
            hint="measure and store them beside the encoder",
        )
    means = {"text": encoder.statistics.text_mean, "image": encoder.statistics.image_mean}
    return [
        replace(f, values=normalize(f.values.float() - means[f.modality], dim=-1).half())
        for f in features
    ]


def build_learner(
    recipe: AlignRecipe,
    encoder: TextEncoder,
    *,
    adapter: AdapterKind | None = None,
    dtype: torch.dtype = torch.float32,
) -> Learner:
    """Build the recipe's model around a freshly loaded decoder.

    Args:
        recipe: decoder, connector and adapter.
        encoder: whose features are read.
        adapter: instead of the recipe's.
        dtype: of the frozen decoder's weights.
    """
    config = replace(
        model_config(recipe, feature_dim=encoder.dim, adapter=adapter),
        decoder_weights=weight_fingerprint(recipe.decoder),
        encoder=encoder.name,
        encoder_revision=encoder.revision,
    )
    generator = torch.Generator().manual_seed(recipe.seed)
    model = TrackLM(load_decoder(recipe.decoder, dtype=dtype), config, generator=generator)
    collator = Collator(
        load_tokenizer(recipe.decoder),
        TEMPLATES[recipe.template],
        model.num_soft_tokens,
        max_tokens=max_positions(model.decoder) or DEFAULT_MAX_TOKENS,
        multiple=LENGTH_MULTIPLE,
    )
    return Learner(model, collator)


def model_config(
    recipe: AlignRecipe, *, feature_dim: int, adapter: AdapterKind | None = None
) -> TrackLMConfig:
    """Return the shapes of the recipe's model.

    Args:
        recipe: decoder, connector and adapter.
        feature_dim: width of the encoder's vectors.
        adapter: instead of the recipe's.
    """
    shape = recipe.connector
    return TrackLMConfig(
        decoder=recipe.decoder,
        connector=ConnectorConfig(
            feature_dim=feature_dim,
            tokens_per_vector=shape.tokens_per_vector,
            temporal=shape.temporal,
            max_frames=shape.max_frames,
            temporal_std=shape.temporal_std,
            norm=shape.norm,
        ),
        adapter=recipe.adapter if adapter is None else adapter,
        lora=recipe.lora,
        gated=recipe.gated,
    )


def build_data(
    recipe: AlignRecipe,
    videos: Sequence[TextualVideo],
    features: Sequence[Features] | None,
    collator: Collator,
) -> TrainingData[Batch]:
    """Return what the recipe trains on: captions of single frames first, then the tasks.

    Args:
        recipe: mix, batch sizes and seed.
        videos: with their questions.
        features: one for each; None: prompts without a video, and no captions of frames.
        collator: the model's.
    """
    tasks = alignment_data(
        videos,
        features,
        collator,
        mix=recipe.mix,
        batch_size=recipe.train.batch_size,
        seed=recipe.seed,
    )
    num_captions = round(recipe.captions.share * recipe.schedule.steps)
    num_captions *= recipe.schedule.accumulate
    if features is None or not num_captions:
        return tasks
    captions = caption_data(
        _as_read(recipe, videos),
        features,
        collator,
        captions=recipe.captions,
        noise=recipe.mix.noise,
        seed=recipe.seed,
    )
    return StagedData(captions, num_captions, tasks)


def started(
    recipe: AlignRecipe,
    data: TrainingData[Batch],
    learner: Learner,
    videos: Sequence[TextualVideo],
    features: Sequence[Features],
) -> TrainingData[Batch]:
    """Return the data with the recipe's head start before the first batch, if it has one."""
    if (settings := recipe.head_start) is None:
        return data
    model, tokenizer = learner.model, learner.collator.tokenizer

    def start() -> None:
        words = object_words(_as_read(recipe, videos), tokenizer, model, absent=settings.absent)
        fit_head_start(model, features, words, ridge=settings.ridge)

    return StartedData(data, start)


def _as_read(recipe: AlignRecipe, videos: Sequence[TextualVideo]) -> list[TextualVideo]:
    """Return the videos with those frames only that they have features of."""
    return [thin_video(video, wanted=recipe.num_frames) for video in videos]


def quarter(recipe: AlignRecipe) -> AlignRecipe:
    """Return the recipe with a quarter of its steps, none of them on captions of frames."""
    steps = max(1, recipe.train.steps // 4)
    warmup = min(recipe.train.warmup // 4, steps - 1)
    train = replace(recipe.train, steps=steps, warmup=warmup, restarts=())
    return replace(recipe, train=train, captions=FrameCaptions(), head_start=None)
