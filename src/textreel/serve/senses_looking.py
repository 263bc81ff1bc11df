"""Looking and listening: from a file to what the branches of a `VideoLlama` read.

    frames  --the picture branch's encoder-->  Features (T, P, F)     where there are any
    sound   --the sound branch's encoder-->    Features (K, 1, F)     where it can be heard

A file without a usable sound is answered by sight, one without pictures by ear; the answer says
what became of the sound: used, absent, silent, undecodable, or unused by a run that has no ears.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from textreel.data.textual_video import TextualVideo
from textreel.features.encode import encode_textual_videos
from textreel.features.listening import hear
from textreel.features.towers import ClipTower, SoundTower
from textreel.media.clip import Clip, SoundStatus
from textreel.media.decode import Decoded, decode_clip
from textreel.media.errors import TooShortError
from textreel.media.sampling import SamplingSpec
from textreel.models.batch import Features
from textreel.models.encoders import DualEncoder
from textreel.serve.errors import EncoderMismatchError, NothingToSeeError, StoryError
from textreel.serve.looking import Seen, Video, at_rate, fewer_frames
from textreel.serve.story import is_story, read_story


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Senses:
    """The encoders of a run.

    Attributes:
        eye: what sees for the picture branch, or None.
        ear: what hears for the sound branch, or None.
        reads: the picture branch's encoder where it also reads texts, so that a story can be told.
    """

    eye: ClipTower | None = None
    ear: SoundTower | None = None
    reads: DualEncoder | None = None


def look_and_listen(video: Video, senses: Senses, *, sampling: SamplingSpec, name: str) -> Seen:
    """Return what a run sees and hears of a video, or reads of a story.

    Args:
        video: a media file's path, or a story's (`.txt`); a clip, a textual video, features of
            frames, or something looked at before.
        senses: the run's encoders.
        sampling: which frames of a file are looked at.
        name: of the run, for messages.

    Raises:
        MediaError: the file cannot be read; its kinds name the cause.
        StoryError: a story for a run whose encoder reads no texts, or one that holds no frames.
        NothingToSeeError: nothing that the run has a sense for.
        EncoderMismatchError: features of another encoder.
    """
    if isinstance(video, Features):
        times_s = tuple(video.times_s.tolist())
        video = Seen(source="the features", features=video, frame_times_s=times_s)
    if isinstance(video, Seen):
        return _checked(video, senses, name)
    if isinstance(video, TextualVideo) or (not isinstance(video, Clip) and is_story(video)):
        return _read(video if isinstance(video, TextualVideo) else read_story(video), senses, name)
    if isinstance(video, Clip):
        return _perceive(video, _hear_clip(video, senses.ear, sampling), senses, name=name)
    decoded = decode_clip(video, sampling)
    heard = _hear_file(video, decoded, senses.ear, sampling)
    seen = _perceive(decoded.clip, heard, senses, name=name)
    few = fewer_frames(decoded.clip, sampling.num_frames) if seen.frame_times_s else ()
    return replace(seen, notes=decoded.notes + few + seen.notes)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Heard:
    """What was heard of a sound, and what became of it."""

    status: SoundStatus
    features: Features | None = None
    notes: tuple[str, ...] = ()


def _hear_file(
    path: str | Path, decoded: Decoded, ear: SoundTower | None, spec: SamplingSpec
) -> _Heard:
    """Hear the sound of a file, piece after piece."""
    if ear is None:
        return _Heard(status=decoded.clip.sound_status)
    try:
        found, read = hear(path, ear, spec, clock=decoded, silence=False)
    except TooShortError as error:
        return _Heard(status="undecodable", notes=(error.cause,))
    notes = read.notes[len(decoded.notes) :]
    return _Heard(status=read.clip.sound_status, features=found, notes=notes)


def _hear_clip(clip: Clip, ear: SoundTower | None, spec: SamplingSpec) -> _Heard:
    """Hear the sound of a clip, if it brings one."""
    if ear is None and clip.sound is not None:
        return _Heard(status="unused")
    if ear is None or clip.sound is None or clip.sound_status != "used":
        return _Heard(status=clip.sound_status)
    try:
        prepared, times_s = ear.prepare(at_rate(clip, ear, spec), start_s=0.0)
    except TooShortError as error:
        return _Heard(status="undecodable", notes=(error.cause,))
    return _Heard(status="used", features=_features(ear.encode(prepared), times_s, ear))


def _perceive(clip: Clip, sound: _Heard, senses: Senses, *, name: str) -> Seen:
    features = None
    if senses.eye is not None and len(clip.frames):
        rows = senses.eye.encode(senses.eye.prepare_frames(clip.frames))
        features = _features(rows, clip.frame_times_s.tolist(), senses.eye)
    heard = sound.features
    if features is None and heard is None:
        has = " and ".join(
            what
            for what, sense in (("eyes", senses.eye), ("ears", senses.ear))
            if sense is not None
        )
        raise NothingToSeeError(
            f"{clip.source}: {name} has {has} only, and the file has {len(clip.frames)} frames and "
            f"its sound is {sound.status}",
            hint="Give a file with pictures, or with a sound that can be heard.",
        )
    return Seen(
        source=clip.source,
        features=features,
        heard=heard,
        sound_status=sound.status,
        clip=clip if features is not None else None,
        notes=sound.notes,
        frame_times_s=() if features is None else tuple(clip.frame_times_s.tolist()),
        heard_times_s=() if heard is None else tuple(heard.times_s.tolist()),
    )


def _features(rows: torch.Tensor, times_s: list[float], tower: ClipTower) -> Features:
    return Features(
        values=rows.half() if rows.ndim == 3 else rows.half()[:, None, :],
        times_s=torch.tensor(times_s, dtype=torch.float64),
        modality=tower.modality,
        encoder=tower.name,
        revision=tower.revision,
    )


def _read(story: TextualVideo, senses: Senses, name: str) -> Seen:
    if senses.reads is None:
        raise StoryError(
            f"{name} reads pictures by an encoder without a text side, so no story can be told",
            hint="Give a video.",
        )
    (_, features), *_ = encode_textual_videos([story], senses.reads)
    return Seen(source=story.id, features=features, frame_times_s=tuple(features.times_s.tolist()))


def _checked(seen: Seen, senses: Senses, name: str) -> Seen:
    """Refuse what other encoders, or an image-LLM, looked at."""
    for what, features, tower in (
        ("pictures", seen.features, senses.eye),
        ("sound", seen.heard, senses.ear),
    ):
        if features is None:
            continue
        own = None if tower is None else tower.revision
        if features.modality == "text" and senses.reads is not None:
            own = senses.reads.revision
        if features.revision != own:
            raise EncoderMismatchError(
                f"{seen.source}: its {what} were encoded by {features.encoder} (revision "
                f"{features.revision}), which is not the encoder of {name}",
                hint="Look at the file with this run.",
            )
    if seen.features is None and seen.heard is None:
        raise EncoderMismatchError(
            f"{seen.source} holds nothing that {name} reads", hint="Look at it with this run."
        )
    return seen
