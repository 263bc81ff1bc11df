"""Looking: from whatever shows something to features that the decoder can read.

a video file  --read_clip-->  Clip  --picture tower-->  Features (image)
              --read_clip-->  sound --sound tower---->  Features (sound), where the encoder hears
a story .txt  --one frame a line-->  --text tower-->    Features (text)
Features      made before, by the same encoder          as they are
"""

from dataclasses import dataclass, replace
from pathlib import Path

from tokenizers import Tokenizer

from textreel.data.textual_video import TextualVideo
from textreel.features.encode import (
    encode_clips,
    encode_textual_videos,
    encode_together,
    prepare_sound,
)
from textreel.features.listening import hear
from textreel.features.thin import thin
from textreel.features.towers import ClipTower, ImageBindTower, SoundTower, as_tower, no_sound
from textreel.media.clip import Clip, SoundStatus
from textreel.media.decode import decode_clip
from textreel.media.resamplers import resample_by
from textreel.media.sampling import SamplingSpec
from textreel.media.sound_clips import SoundClipSpec
from textreel.models.batch import Features
from textreel.models.image_mllm.pictures import Pictures
from textreel.models.imagebind_encoder import ImageBindEncoder
from textreel.models.open_encoder import TextEncoder
from textreel.serve.errors import EncoderMismatchError, NothingToSeeError
from textreel.serve.story import is_story, read_story
from textreel.serve.words import unknown_words


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Seen:
    """What was looked at, ready for any number of questions.

    Attributes:
        source: its name, for messages and answers.
        features: (T, 1, F); modality `image` for a video (`sound` where the encoder hears), `text`
            for a story; None where an image-LLM looks at the frames themselves.
        pictures: what an image-LLM takes of the frames, or None.
        sound_status: what became of its sound.
        clip: the frames that were looked at; None for a story, a sound and for ready features.
        unknown_words: words of a story that the text tower does not know.
        notes: what the reader of an answer should know about the looking.
        frame_times_s: the times of the frames, in seconds.
        heard_times_s: the middles of the pieces of sound that were heard, in seconds.
        heard: (K, 1, F), what was heard; None where the run has no ears or there is no sound.
    """

    source: str
    features: Features | None = None
    pictures: Pictures | None = None
    sound_status: SoundStatus = "absent"
    clip: Clip | None = None
    unknown_words: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    frame_times_s: tuple[float, ...] = ()
    heard_times_s: tuple[float, ...] = ()
    heard: Features | None = None

    def __repr__(self) -> str:
        seen = self.features if self.pictures is None else self.pictures
        heard = "" if self.heard is None else f", {self.heard!r}"
        return f"Seen({self.source!r}, {seen!r}{heard}, sound {self.sound_status})"


Video = str | Path | Clip | TextualVideo | Features | Seen
"""What a question can be about."""


def look(video: Video, *, encoder: TextEncoder, sampling: SamplingSpec) -> Seen:
    """Return the features of a video, a story, or something looked at before.

    Args:
        video: a media file's path, or a story's (`.txt`); a clip or a textual video; features made
            by `encoder`.
        encoder: the run's.
        sampling: which frames of a file are looked at, or how many pieces of its sound heard.

    Raises:
        MediaError: the file cannot be read as video, or has no sound to hear; its kinds name the
            cause.
        StoryError: the text holds no frames.
        NothingToSeeError: the file has sound but no picture.
        EncoderMismatchError: features of another encoder.
    """
    if isinstance(video, Features):
        times_s = tuple(video.times_s.tolist())
        heard = video.modality == "sound"
        video = Seen(
            source="the features",
            features=video,
            frame_times_s=() if heard else times_s,
            heard_times_s=times_s if heard else (),
        )
    if isinstance(video, Seen):
        made = video.features
        if made is None:
            raise EncoderMismatchError(
                f"{video.source} was looked at by an image-LLM, and this run reads features",
                hint="Look at it with this run.",
            )
        check_revision(made.encoder, made.revision, encoder=encoder, what=video.source)
        return video
    if isinstance(video, str | Path) and is_story(video):
        video = read_story(video)
    if isinstance(video, TextualVideo):
        return _read(video, encoder)
    if isinstance(tower := sense_of(encoder, sampling), SoundTower):
        return _listen(video, tower, sampling)
    if isinstance(video, Clip):
        return _watch(video, encoder, wanted=None)
    decoded = decode_clip(video, sampling)
    return _watch(decoded.clip, encoder, wanted=sampling.num_frames, notes=decoded.notes)


def check_revision(name: str, revision: str, *, encoder: TextEncoder, what: str) -> None:
    """Refuse features, or a run trained on features, of another encoder.

    Raises:
        EncoderMismatchError: naming both sides.
    """
    if revision != encoder.revision:
        raise EncoderMismatchError(
            f"{what} were made by {name or 'an encoder without a name'} (revision "
            f"{revision or 'unknown'}), but the encoder at hand is {encoder.name} (revision "
            f"{encoder.revision})",
            hint="Use the encoder that the run was trained on, or encode and train again.",
        )


def sense_of(encoder: TextEncoder, sampling: SamplingSpec) -> ClipTower:
    """Return the tower that a run's videos go through.

    Args:
        encoder: the run's.
        sampling: its number of frames is that of ImageBind's pieces of sound.
    """
    if isinstance(encoder, ImageBindEncoder) and encoder.hears and sampling.num_frames:
        return ImageBindTower(encoder, clips=SoundClipSpec(num_clips=sampling.num_frames))
    return as_tower(encoder)


def _listen(video: str | Path | Clip, tower: SoundTower, sampling: SamplingSpec) -> Seen:
    """Encode the sound of a file, or of a clip that brings one; of many windows some."""
    notes: tuple[str, ...] = ()
    if isinstance(video, Clip):
        clip = at_rate(video, tower, sampling)
        prepared = prepare_sound(clip.source, clip, tower, start_s=0.0)
        ((_, heard),) = encode_together([prepared], tower)
    else:
        found, read = hear(video, tower, sampling)
        clip, notes = read.clip, read.notes
        if found is None:
            raise no_sound(clip)
        heard = found
    kept = heard if sampling.num_frames is None else thin(heard, wanted=sampling.num_frames)
    if len(kept.values) < len(heard.values):
        notes += (f"heard {len(kept.values)} of {len(heard.values)} pieces of its sound",)
    return Seen(
        source=clip.source,
        features=kept,
        sound_status=clip.sound_status,
        notes=notes,
        heard_times_s=tuple(kept.times_s.tolist()),
    )


def at_rate(clip: Clip, tower: SoundTower, spec: SamplingSpec) -> Clip:
    """Return a clip with its sound as a tower wants it: at its rate, in one channel or in all."""
    if clip.sound is None or clip.sound_rate_hz is None:
        return clip
    sound = clip.sound if tower.sound == "all" else clip.sound.mean(0, keepdims=True)
    sound = resample_by(spec.resampler, sound, clip.sound_rate_hz, tower.sound_rate_hz)
    return replace(clip, sound=sound, sound_rate_hz=tower.sound_rate_hz)


def _watch(
    clip: Clip, encoder: TextEncoder, *, wanted: int | None, notes: tuple[str, ...] = ()
) -> Seen:
    check_frames(clip)
    (_, features), *_ = encode_clips([(clip.source, clip)], encoder)
    return Seen(
        source=clip.source,
        features=features,
        sound_status=clip.sound_status,
        clip=clip,
        notes=notes + fewer_frames(clip, wanted),
        frame_times_s=tuple(clip.frame_times_s.tolist()),
    )


def check_frames(clip: Clip) -> None:
    """Refuse a clip without frames.

    Raises:
        NothingToSeeError: naming what became of its sound.
    """
    if not len(clip.frames):
        raise NothingToSeeError(
            f"{clip.source} shows nothing: it has 0 frames, and its sound is {clip.sound_status}",
            hint="This run has eyes only; give it a file with pictures.",
        )


def fewer_frames(clip: Clip, wanted: int | None) -> tuple[str, ...]:
    """Return the note that a file shows fewer frames than were wanted, if it does."""
    if wanted is None or len(clip.frames) >= wanted:
        return ()
    return (f"saw {len(clip.frames)} of {wanted} frames: the file shows no more",)


def _read(story: TextualVideo, encoder: TextEncoder) -> Seen:
    (_, features), *_ = encode_textual_videos([story], encoder)
    path = encoder.path / "tokenizer.json"
    words: list[str] = []
    if path.is_file():
        captions = [frame.caption for frame in story.frames]
        words = unknown_words(captions, tokenizer=Tokenizer.from_file(str(path)))
    return Seen(
        source=story.id,
        features=features,
        unknown_words=tuple(words),
        frame_times_s=tuple(features.times_s.tolist()),
    )
