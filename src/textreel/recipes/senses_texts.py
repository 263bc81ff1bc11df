"""Textual videos of a file that stand for pictures, and captions of sounds that stand for sounds.

    videos.jsonl   textual videos, whoever wrote them; read by the picture branch's text tower
    sounds.jsonl   textual videos of the same ids, whose captions say what is heard at their times;
                   read by the sound branch's text tower

The branches may read two dual encoders; each needs a text side. EVA and BLIP-2 have
none, so the published picture branch cannot be aligned on texts.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from textreel.data.textual_jsonl import read_videos
from textreel.data.textual_video import TextualVideo
from textreel.data.textvid import read_textvid
from textreel.features.thin import thin, thin_video
from textreel.models.open_encoder import Encoder
from textreel.recipes.recipe import RecipeError
from textreel.recipes.senses_recipe import DataSource, SensesRecipe
from textreel.recipes.senses_world import (
    SOUND_ID,
    WorldData,
    encoded_texts,
    frame_texts_encoded,
)

LOGGER = logging.getLogger("textreel.recipes")


def textual_data(
    recipe: SensesRecipe, source: DataSource, encoders: Mapping[str, Encoder], store: Path
) -> WorldData:
    """Read a source's textual videos and captions of sounds, and encode them.

    Args:
        recipe: how many frames and clips are looked at.
        source: the files, and what prompts show.
        encoders: by `image` and `sound`; those of the senses that are shown.
        store: folder for the features; a killed job goes on.

    Raises:
        RecipeError: no such file, or no video that has what the source shows.
    """
    videos = _read(source.path)
    heard = {text.id: text for text in (_read(source.sounds) if source.sounds else [])}
    if source.sense != "image":
        every, videos = videos, [video for video in videos if video.id in heard]
        if silent := len(every) - len(videos):
            LOGGER.warning(
                "%s: %d of %d textual videos have no caption of their sound in %s: left out",
                source.path,
                silent,
                len(every),
                source.sounds or "the source",
            )
    if not videos:
        raise RecipeError(
            f"{source.path}: no textual video with what is to be shown ({source.sense})",
            hint="ids in both files must be the same",
        )
    sounds = [
        replace(heard[video.id], id=video.id + SOUND_ID) for video in videos if video.id in heard
    ]
    image, sound = {}, {}
    if source.sense != "sound":
        most = recipe.sampling.num_frames or 8
        eye = encoders["image"]
        found = frame_texts_encoded(recipe, videos, eye, store / "texts", mode="caption+objects")
        image = {id: thin(features, wanted=most) for id, features in found.items()}
        videos = [thin_video(video, wanted=most) for video in videos]
    if source.sense != "image":
        found = encoded_texts(sounds, encoders["sound"], store / "sounds")
        sound = {
            id.removesuffix(SOUND_ID): thin(features, wanted=recipe.clips.num_clips)
            for id, features in found.items()
        }
        sounds = [thin_video(one, wanted=recipe.clips.num_clips) for one in sounds]
    return WorldData(videos=tuple(videos), sounds=tuple(sounds), image=image, sound=sound)


def _read(path: str) -> list[TextualVideo]:
    if not Path(path).is_file():
        raise RecipeError(
            f"there is no file of textual videos {path}",
            hint="give a TextVid JSON, or textual videos as JSON lines",
        )
    read = read_textvid if path.endswith(".json") else read_videos
    return list(read(Path(path)))
