"""What the world sounds like to an encoder: features of its sounds, and their means.

The mean sound and the mean text about sounds, of scenes of the memory part that are paired with
nothing, move sounds to where the sound branch was aligned (mean shift; `models.bridges`).
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from random import Random

import numpy as np
import torch
from torch import Tensor

from textreel.features.dual_sound import DualSoundTower
from textreel.features.encode import encode_textual_videos
from textreel.media.clip import Clip
from textreel.media.sound_clips import SoundClipSpec
from textreel.models.batch import Features
from textreel.models.encoders import DualEncoder
from textreel.recipes.senses_world import sound_text
from textreel.synth.world.scene import Scene, draw_scenes
from textreel.synth.world.sounds import SOUND_RATE_HZ, draw_sound

MEANS_SCENES = 200


def heard_features(
    scenes: Sequence[Scene], encoder: DualEncoder, clips: SoundClipSpec
) -> dict[str, Features]:
    """Write and encode the sounds of scenes; no entry for a scene without any."""
    tower = DualSoundTower(encoder, clips=clips)
    found = {}
    for scene in scenes:
        if not scene.sounds:
            continue
        clip = Clip(
            frames=np.empty((0, 3, 0, 0), dtype=np.uint8),
            frame_times_s=np.empty(0),
            duration_s=scene.duration_s,
            source=f"scene {scene.id}",
            sound=draw_sound(scene, np.random.default_rng(int(scene.id, 16))),
            sound_rate_hz=SOUND_RATE_HZ,
            sound_status="used",
        )
        inputs, times_s = tower.prepare(clip, start_s=0.0)
        found[scene.id] = Features(
            values=tower.encode(inputs).half()[:, None],
            times_s=torch.tensor(times_s, dtype=torch.float64),
            modality="sound",
            encoder=tower.name,
            revision=tower.revision,
        )
    return found


def sound_means(
    encoder: DualEncoder, clips: SoundClipSpec, *, num_scenes: int = MEANS_SCENES
) -> tuple[Tensor, Tensor]:
    """Return the mean sound and the mean text about sounds, of scenes of the memory part.

    Args:
        encoder: whose towers.
        clips: how sound is cut.
        num_scenes: how many.
    """
    scenes = list(islice(draw_scenes(0, part="memory"), num_scenes))
    heard = heard_features(scenes, encoder, clips)
    told = [one for s in scenes if (one := sound_text(s, clips, Random(s.id))) is not None]
    texts = encode_textual_videos(told, encoder, mode="caption", window=len(told))
    return _mean(heard.values()), _mean(features for _, features in texts)


def _mean(found: Iterable[Features]) -> Tensor:
    return torch.cat([features.values[:, 0].float() for features in found]).mean(0)
