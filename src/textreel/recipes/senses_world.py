"""What a `VideoLlama` is trained on in the world: texts that stand for pictures and for sounds.

    scene --captions of frames--------------> text tower    --> picture branch      shows = text
          --captions of what is heard-------> text tower    --> sound branch
    scene --drawn frames--------------------> picture tower --> picture branch      shows = clips
          --pictures of what sounds---------> picture tower --> sound branch

The second pair is the published way: its sound branch never hears a sound either, it sees. Scenes
are of the training part. A sound is told (or shown) for each of the clips that it would be cut
into, where it can be heard for at least `HEARD_S` of it; a scene without sounds has no sound track.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import torch

from textreel.data.prompt import Turn
from textreel.data.textual_video import TextualFrame, TextualVideo
from textreel.features.encode_store import fill_textual, textual_fingerprint
from textreel.features.fuse import FuseMode
from textreel.features.store import FeatureStore
from textreel.media.sound_clips import SoundClipSpec, clip_bounds
from textreel.models.batch import Features
from textreel.models.encoders import DualEncoder
from textreel.models.frame_encoder import FrameEncoder
from textreel.models.open_encoder import Encoder
from textreel.recipes.alignment import TaskMix, draw_prompts
from textreel.recipes.clips import world_pictures
from textreel.recipes.recipe import RecipeError
from textreel.recipes.senses_recipe import DataSource, SensesRecipe
from textreel.synth.world.captions import SOUND_WORDS
from textreel.synth.world.questions import QUESTION_TYPES, SOUND_TYPES
from textreel.synth.world.render import draw_still
from textreel.synth.world.scene import BACKGROUNDS, COLOURS, SIZES, Look, Scene, Sound, draw_scenes
from textreel.synth.world.textual import textual_video

HEARD_S = 0.5
"""A clip tells of a sound that it holds for at least so long."""
MIX = TaskMix(choices_share=0.75, summary_share=0.15, noise=0.0, most_questions=3)
SOUND_ID = "-sound"
ENCODE_WINDOW = 1024


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SensesItem:
    """Questions with what they are about.

    Attributes:
        id: of the video.
        turns: questions and answers of one prompt.
        image: what the picture branch reads, or None.
        sound: what the sound branch reads, or None.
    """

    id: str
    turns: tuple[Turn, ...]
    image: Features | None = None
    sound: Features | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WorldData:
    """Videos of the world with the features of both senses.

    Attributes:
        videos: with their questions.
        sounds: what is heard in each clip of each video, as textual videos.
        image: features of frames, by id; empty where the source shows none.
        sound: features of what is heard, by id; no entry for a scene without sounds.
    """

    videos: tuple[TextualVideo, ...]
    sounds: tuple[TextualVideo, ...]
    image: dict[str, Features]
    sound: dict[str, Features]


def kinds_of(source: DataSource) -> tuple[str, ...]:
    """Return the question types that suit what a source shows."""
    if source.only:
        return source.only
    return {
        "image": QUESTION_TYPES,
        "sound": SOUND_TYPES[:1],
        "both": (*QUESTION_TYPES, *SOUND_TYPES),
    }[source.sense]


def heard_in_clips(scene: Scene, clips: SoundClipSpec) -> list[tuple[float, tuple[Sound, ...]]]:
    """Return the middle of every clip in which something is heard, and the sounds in it."""
    found = []
    for start, end in clip_bounds(scene.duration_s, clips):
        first, last = float(start), min(float(end), scene.duration_s)
        sounds = tuple(
            s for s in scene.sounds if min(s.end_s, last) - max(s.start_s, first) >= HEARD_S
        )
        if sounds:
            found.append(((first + last) / 2, sounds))
    return found


def sound_text(scene: Scene, clips: SoundClipSpec, rng: Random) -> TextualVideo | None:
    """Tell what is heard in every clip; None for a scene without sounds."""
    heard = heard_in_clips(scene, clips)
    if not heard:
        return None
    return TextualVideo(
        id=scene.id + SOUND_ID,
        frames=tuple(TextualFrame(caption=heard_caption(sounds, rng)) for _, sounds in heard),
        caption="",
        times_s=tuple(time_s for time_s, _ in heard),
    )


def heard_caption(sounds: Sequence[Sound], rng: Random) -> str:
    """Say what is heard in the words that the tiny text tower met: `a humming circle is heard`.

    It never met a sound without the thing that makes it: its vectors of `a hum is heard` and `a
    click is heard` are as good as equal (docs/LOG.md).
    """
    named = [f"a {SOUND_WORDS[sound.shape][0]} {sound.shape}" for sound in sounds]
    rng.shuffle(named)
    return f"{' and '.join(named)} is heard"


def world_scenes(recipe: SensesRecipe, source: DataSource) -> list[Scene]:
    """Draw the scenes of a source: those that have what it shows, and a question of its types."""

    def wanted() -> Iterator[Scene]:
        for scene in draw_scenes(recipe.seed, part="training"):
            if source.sense != "image" and not heard_in_clips(scene, recipe.clips):
                continue
            if source.only and not written(recipe, source, scene).questions:
                continue
            yield scene

    return list(islice(wanted(), int(source.path)))


def written(recipe: SensesRecipe, source: DataSource, scene: Scene) -> TextualVideo:
    """Write a scene with the questions of its source; the same words at every call.

    Some questions are left out by chance, by their answer: who chooses scenes by them must see the
    questions that are asked later, or the answers would be thinned twice.
    """
    kinds = kinds_of(source)
    rng = Random(f"words-{recipe.seed}-{source.path}-{kinds}-{scene.id}")
    return textual_video(scene, rng, num_frames=recipe.sampling.num_frames or 8, kinds=kinds)


def world_data(
    recipe: SensesRecipe, source: DataSource, encoders: Mapping[str, Encoder], store: Path
) -> WorldData:
    """Write or draw a source's videos, and encode what they show.

    Args:
        recipe: seed, and how sound is cut.
        source: how many, and what stands for the senses.
        encoders: by `image` and `sound`; those of the senses that are shown.
        store: folder for the features; a killed job goes on.

    Raises:
        RecipeError: an encoder that cannot do what is wanted of it.
    """
    scenes, frames = world_scenes(recipe, source), recipe.sampling.num_frames or 8
    rng = Random(f"sounds-{recipe.seed}-{source.path}-{kinds_of(source)}")
    videos = [written(recipe, source, scene) for scene in scenes]
    told = [sound_text(scene, recipe.clips, rng) for scene in scenes]
    sounds = [text for text in told if text is not None] if source.sense != "image" else []
    image: dict[str, Features] = {}
    if source.shows == "clips":
        if source.sense != "sound":
            eye = encoders["image"]
            drawn = world_pictures(scenes, eye, store / "pictures", num_frames=frames)
            image = {video.id: f for video, f in zip(videos, drawn, strict=True)}
        heard = {}
        if source.sense != "image":
            ear = _two_sided(encoders["sound"])
            heard = {scene.id: pictured_sounds(scene, recipe.clips, ear) for scene in scenes}
        pictured = tuple(_pictured(sounds, scenes, recipe))
        return WorldData(videos=tuple(videos), sounds=pictured, image=image, sound=heard)
    if source.sense != "sound":
        image = frame_texts_encoded(recipe, videos, encoders["image"], store / "texts")
    texts = encoded_texts(sounds, encoders["sound"], store / "sounds") if sounds else {}
    heard = {id.removesuffix(SOUND_ID): f for id, f in texts.items()}
    return WorldData(videos=tuple(videos), sounds=tuple(sounds), image=image, sound=heard)


def _two_sided(encoder: Encoder) -> DualEncoder:
    """Return an encoder that sees pictures where its sound tower hears sounds.

    Raises:
        RecipeError: it does not.
    """
    if not isinstance(encoder, DualEncoder):
        raise RecipeError(
            f"pictures cannot stand for sounds to {encoder.name}, which does not see and hear in "
            f"one space",
            hint="use shows=text, or the tiny towers",
        )
    return encoder


def _pictured(
    sounds: Sequence[TextualVideo], scenes: Sequence[Scene], recipe: SensesRecipe
) -> Iterator[TextualVideo]:
    """Say of the pictures that stand for sounds what is in them, and nothing of a sound's name."""
    by_id = {scene.id + SOUND_ID: scene for scene in scenes}
    for text in sounds:
        heard = heard_in_clips(by_id[text.id], recipe.clips)
        frames = tuple(
            TextualFrame(caption=" and ".join(f"a {s.shape}" for s in found)) for _, found in heard
        )
        yield replace(text, frames=frames)


def pictured_sounds(scene: Scene, clips: SoundClipSpec, encoder: DualEncoder) -> Features:
    """Return picture features that stand for a scene's sounds: what sounds, alone in a picture."""
    heard = heard_in_clips(scene, clips)
    rng, noise = Random(f"heard-{scene.id}"), np.random.default_rng(int(scene.id, 16))
    stills = [_sounding(sounds, rng, noise) for _, sounds in heard]
    pixels = np.ascontiguousarray(np.stack(stills).transpose(0, 3, 1, 2))
    return Features(
        values=encoder.encode_frames(pixels).half()[:, None],
        times_s=torch.tensor([time_s for time_s, _ in heard], dtype=torch.float64),
        modality="image",
        encoder=encoder.name,
        revision=encoder.revision,
    )


def _sounding(
    sounds: Sequence[Sound], rng: Random, noise: np.random.Generator
) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    colours = rng.sample(COLOURS, len(sounds))
    cells = rng.sample([(row, column) for row in range(3) for column in range(3)], len(sounds))
    looks = tuple(
        Look(sound.shape, colour, rng.choice(SIZES), cell, visible=True)
        for sound, colour, cell in zip(sounds, colours, cells, strict=True)
    )
    return draw_still(rng.choice(BACKGROUNDS), looks, rng, noise)


def encoded_texts(
    videos: Sequence[TextualVideo], encoder: Encoder, store: Path, *, mode: FuseMode = "caption"
) -> dict[str, Features]:
    """Encode textual videos into a store, and return their features by id; a killed job goes on.

    Raises:
        RecipeError: the encoder reads no texts.
    """
    if not videos:
        return {}
    if isinstance(encoder, FrameEncoder):
        raise RecipeError(
            f"captions cannot stand for pictures to {encoder.name}, which reads no texts",
            hint="use shows=clips, or a dual encoder",
        )
    opened = FeatureStore.open_or_create(
        store,
        encoder=encoder.name,
        revision=encoder.revision,
        sampling=textual_fingerprint(videos, mode=mode),
        feature_dim=encoder.dim,
    )
    fill_textual(opened, videos, encoder, mode=mode, window=ENCODE_WINDOW)
    ids = [video.id for video in videos]
    return dict(zip(ids, opened.read_many(ids), strict=True))


def frame_texts_encoded(
    recipe: SensesRecipe,
    videos: Sequence[TextualVideo],
    encoder: Encoder,
    store: Path,
    *,
    mode: FuseMode = "caption",
) -> dict[str, Features]:
    """Encode what stands for frames as the recipe's picture branch reads it.

    A branch of one vector a step reads a fused vector (`mode`); one of P vectors the caption and up
    to P - 1 objects before any fusion, (T, P, F), zeros where there are fewer.

    Raises:
        RecipeError: the encoder reads no text; or a branch of P vectors that would take the zeros
            for vectors.
    """
    image = recipe.image
    vectors = 1 if image is None else image.vectors_per_step
    if image is None or vectors == 1:
        return encoded_texts(videos, encoder, store, mode=mode)
    if not image.fewer:
        raise RecipeError(
            f"image.vectors_per_step={vectors}: a caption has up to {vectors - 1} objects beside "
            f"it, and image.fewer=false takes those that are missing for seen",
            hint="set image.fewer=true",
        )
    told = [[_parts(frame, vectors) for frame in video.frames] for video in videos]
    spread = [
        replace(video, frames=tuple(f for frame in frames for f in frame), times_s=())
        for video, frames in zip(videos, told, strict=True)
    ]
    found = encoded_texts(spread, encoder, store)
    encoded = {}
    for video, frames in zip(videos, told, strict=True):
        features = found[video.id]
        values = torch.zeros(len(frames), vectors, features.values.shape[-1], dtype=torch.half)
        start = 0
        for number, frame in enumerate(frames):
            values[number, : len(frame)] = features.values[start : start + len(frame), 0]
            start += len(frame)
        times_s = video.times_s or range(len(frames))
        at = torch.tensor(list(times_s), dtype=torch.float64)
        encoded[video.id] = replace(features, values=values, times_s=at)
    return encoded


def _parts(frame: TextualFrame, most: int) -> list[TextualFrame]:
    """Return a frame's caption and its first objects, a frame each."""
    texts = [frame.caption, *(text or name for name, text in frame.objects)]
    return [TextualFrame(caption=text) for text in texts[:most]]


def world_items(source: DataSource, data: WorldData, *, seed: int) -> list[SensesItem]:
    """Deal every video's questions out to prompts, each with what the source shows."""
    rng = Random(f"prompts-{seed}-{source.path}-{source.sense}")
    mix = MIX if source.sense != "sound" else replace(MIX, summary_share=0.0)
    items = []
    for video in data.videos:
        if not video.questions:
            continue
        for turns in draw_prompts(video, mix, rng):
            items.append(
                SensesItem(
                    id=video.id,
                    turns=tuple(turns),
                    image=data.image.get(video.id),
                    sound=data.sound.get(video.id),
                )
            )
    return items
