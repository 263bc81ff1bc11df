"""Real clips to fine-tune on: their questions, and features of their pictures.

    world:N         N scenes of the training part, their frames drawn and seen by the picture tower
    a file          questions as textual videos in JSON lines; features from a store by the same ids

The scenes are others than those of the textual videos of the same seed.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from random import Random

from textreel.data.textual_video import TextualVideo
from textreel.features.encode_store import fill_clips
from textreel.features.rules import require_rule
from textreel.features.store import FeatureStore
from textreel.features.thin import thin
from textreel.media.sampling import SamplingSpec
from textreel.media.sound_clips import SoundClipSpec
from textreel.models.batch import Features
from textreel.models.open_encoder import Encoder, TextEncoder
from textreel.recipes.demo_media import rendered
from textreel.recipes.recipe import AlignRecipe, is_world, world_count
from textreel.synth.world.scene import Scene, draw_scenes
from textreel.synth.world.textual import textual_video

CLIPS_SEED = 500_000
"""Added to the recipe's seed: the scenes of clips are not those of its textual videos."""
DRAW_TOGETHER = 32


def world_scenes(recipe: AlignRecipe) -> list[Scene]:
    """Draw the scenes of the recipe's clips."""
    drawn = draw_scenes(recipe.seed + CLIPS_SEED, part="training", seconds=recipe.seconds)
    return list(islice(drawn, world_count(recipe.data)))


def world_questions(scenes: Sequence[Scene], seed: int) -> list[TextualVideo]:
    """Ask about every scene; the textual frames that come with the questions are not used."""
    rng = Random(f"clips-{seed}")
    return [textual_video(scene, rng) for scene in scenes]


def world_pictures(
    scenes: Sequence[Scene], encoder: Encoder, store: Path, *, num_frames: int
) -> list[Features]:
    """Draw the frames of scenes and encode them into a store; a killed job goes on.

    Args:
        scenes: any number.
        encoder: whose picture tower sees them.
        store: its folder.
        num_frames: of each scene.
    """
    opened = FeatureStore.open_or_create(
        store,
        encoder=encoder.name,
        revision=encoder.revision,
        sampling=SamplingSpec(num_frames=num_frames).fingerprint,
        feature_dim=encoder.dim,
    )
    by_id = {scene.id: scene for scene in scenes}
    fill_clips(
        opened,
        list(by_id),
        lambda id: rendered(by_id[id], num_frames),
        encoder,
        window=DRAW_TOGETHER,
    )
    return opened.read_many([scene.id for scene in scenes])


def stored_pictures(
    store: Path, videos: Sequence[TextualVideo], encoder: TextEncoder, *, num_frames: int
) -> list[Features]:
    """Read the picture features of clips, thinned to `num_frames`.

    Raises:
        FeatureStoreError: no store there.
        FeatureMismatchError: it is of another encoder, or of other frames than the run looks at.
        MissingFeaturesError: some clips have no features in it.
    """
    opened = FeatureStore.open(store)
    opened.require(encoder=encoder.name, revision=encoder.revision)
    clips = SoundClipSpec(num_clips=num_frames)  # of an encoder that hears
    require_rule(opened, SamplingSpec(num_frames=num_frames), clips)
    found = opened.read_many([video.id for video in videos])
    return [thin(features, wanted=num_frames) for features in found]


def clip_samples(
    recipe: AlignRecipe, videos: Sequence[TextualVideo], encoder: TextEncoder, store: Path
) -> tuple[list[TextualVideo], list[Features]]:
    """Return the clips' questions and picture features.

    Args:
        recipe: of kind `finetune` or `baseline`.
        videos: the file's, where there is one.
        encoder: the picture tower.
        store: where features of drawn clips go.
    """
    if not is_world(recipe.data):
        pictures = stored_pictures(
            Path(recipe.features), videos, encoder, num_frames=recipe.num_frames
        )
        return list(videos), pictures
    scenes = world_scenes(recipe)
    pictures = world_pictures(scenes, encoder, store, num_frames=recipe.num_frames)
    return world_questions(scenes, recipe.seed), pictures
