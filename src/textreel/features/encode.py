"""Frozen towers over textual videos and over clips: the same `Features` from both.

    TextualVideo  --texts, each distinct one once, fused per frame-->  Features (T, 1, F) text
    Clip          --frames of many clips in one batch-->               Features (T, 1, F) image
                                                          or, as patches, Features (T, P, F) image

T frames, F feature width; P is 1, one vector per frame, except for patches. Those are other
features: their encoder's name ends in `#patches`, so no store and no batch mixes the two. Which
tower takes a clip, and what of it: features/towers.py.
Everything is lazy: an iterator of videos in, an iterator of features out, one window in memory at
a time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TypeVar

import torch
from torch import Tensor

from textreel.data.errors import HintedError
from textreel.data.textual_video import TextualVideo
from textreel.features.fuse import FuseMode, average, frame_texts, split_text
from textreel.features.towers import ClipTower, PictureTower, SoundTower
from textreel.media.album import Part
from textreel.media.clip import Clip
from textreel.media.sound_pieces import Piece
from textreel.models.batch import Features
from textreel.models.open_encoder import Encoder, TextEncoder
from textreel.models.tower_runner import Prepared

_Item = TypeVar("_Item")


class EncodeError(HintedError, ValueError):
    """A video that has nothing to encode."""


@dataclass(kw_only=True, slots=True)
class EncodeTally:
    """What has been encoded so far; counted while the iterators run.

    Attributes:
        videos: textual videos or clips.
        frames: their frames.
        texts: texts of those frames, repeats included.
        distinct_texts: texts that went to the tower, after repeats within a window were dropped.
        split_texts: distinct texts that were too long and were split.
        pieces: into how many pieces those were split.
        skipped: videos that were there already.
    """

    videos: int = 0
    frames: int = 0
    texts: int = 0
    distinct_texts: int = 0
    split_texts: int = 0
    pieces: int = 0
    skipped: int = 0


def encode_textual_videos(
    videos: Iterable[TextualVideo],
    encoder: TextEncoder,
    *,
    mode: FuseMode = "caption+objects",
    window: int = 256,
    tally: EncodeTally | None = None,
) -> Iterator[tuple[str, Features]]:
    """Yield (id, features) for each video, in order.

    Args:
        videos: any number; without times their frames count as one second apart.
        encoder: whose text tower reads them.
        mode: which texts of a frame are fused.
        window: videos taken together; a text that repeats within them is encoded once.
        tally: counts what happens.

    Raises:
        EncodeError: a video without frames.
    """
    tally = EncodeTally() if tally is None else tally
    for group in windows(videos, window):
        _refuse_empty((video.id, len(video.frames)) for video in group)
        frames = _fuse_window(group, encoder, mode, tally)
        start = 0
        for video in group:
            rows = frames[start : start + len(video.frames)]
            start += len(rows)
            times_s = video.times_s or range(len(rows))
            yield (
                video.id,
                Features(
                    values=rows.half()[:, None, :],
                    times_s=torch.tensor(list(times_s), dtype=torch.float64),
                    modality="text",
                    encoder=encoder.name,
                    revision=encoder.revision,
                ),
            )
            tally.videos += 1
            tally.frames += len(rows)


def encode_clips(
    clips: Iterable[tuple[str, Clip]],
    encoder: Encoder,
    *,
    window: int = 32,
    tally: EncodeTally | None = None,
) -> Iterator[tuple[str, Features]]:
    """Yield (id, features) of the frames of each clip, in order.

    Args:
        clips: (id, clip) pairs, of any sizes.
        encoder: whose picture tower sees them.
        window: clips whose frames go to the tower together.
        tally: counts what happens.

    Raises:
        EncodeError: a clip without frames, such as a sound file's.
    """
    tally = EncodeTally() if tally is None else tally
    tower = PictureTower(encoder)
    for group in windows(clips, window):
        _refuse_empty((name, len(clip.frames)) for name, clip in group)
        prepared = [prepare_clip(name, clip, tower) for name, clip in group]
        for name, features in encode_together(prepared, tower):
            yield name, features
            tally.videos += 1
            tally.frames += len(features.times_s)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PreparedClip:
    """A clip whose frames, or whose sound, is ready for a tower.

    Attributes:
        name: its id.
        inputs: the tower's inputs by name, each (T, ...).
        times_s: float64 (T,), when each frame is shown, or the middle of each piece of sound.
    """

    name: str
    inputs: Prepared
    times_s: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncodedClip:
    """A clip so long that it went to the tower in parts: its id and all of its features."""

    name: str
    features: Features


def prepare_clip(
    name: str, clip: Clip | Part, encoder: ClipTower, *, still: bool | None = None
) -> PreparedClip:
    """Resize and normalise the frames of one clip, or of a part of it; on the CPU, in any thread.

    Args:
        name: its id.
        clip: the clip, or the part.
        encoder: whose image preparation is used.
        still: whether the clip has no other frame than this one; None: these are all.

    Raises:
        EncodeError: a clip without frames, such as a sound file's.
    """
    _refuse_empty([(name, len(clip.frames))])
    times_s = clip.frame_times_s if isinstance(clip, Clip) else clip.times_s
    return PreparedClip(
        name=name,
        inputs=encoder.prepare_some(
            clip.frames, clip=name, still=len(clip.frames) == 1 if still is None else still
        ),
        times_s=torch.tensor(times_s.tolist(), dtype=torch.float64),
    )


def join_parts(parts: Sequence[PreparedClip]) -> PreparedClip:
    """Return the parts of one clip as one, in order of time."""
    first, *others = parts
    if not others:
        return first
    times_s, order = torch.cat([part.times_s for part in parts]).sort(stable=True)
    inputs = _joined([part.inputs for part in parts])
    return PreparedClip(
        name=first.name, inputs={key: rows[order] for key, rows in inputs.items()}, times_s=times_s
    )


def split_clip(clip: PreparedClip, count: int) -> tuple[PreparedClip, PreparedClip]:
    """Return the first `count` frames of a clip, and the others."""
    first, others = (
        PreparedClip(
            name=clip.name,
            inputs={key: rows[part] for key, rows in clip.inputs.items()},
            times_s=clip.times_s[part],
        )
        for part in (slice(count), slice(count, None))
    )
    return first, others


def join_features(parts: Sequence[Features]) -> Features:
    """Return the features of the parts of one clip as one, in order of time."""
    times_s, order = torch.cat([part.times_s for part in parts]).sort(stable=True)
    values = torch.cat([part.values for part in parts])
    return replace(parts[0], values=values[order], times_s=times_s)


def prepare_sound(name: str, clip: Clip, tower: SoundTower, *, start_s: float) -> PreparedClip:
    """Cut the sound of one clip for a tower; on the CPU, in any thread.

    Args:
        name: its id.
        clip: read as the tower wants it.
        tower: the one it is for.
        start_s: where its window starts; what sounds before is not encoded.

    Raises:
        MediaError: the clip has no sound, or too short a one.
    """
    return _prepared(name, *tower.prepare(clip, start_s=start_s))


def prepare_heard(
    name: str, pieces: Sequence[Piece], *, tower: SoundTower, source: str, start_s: float
) -> PreparedClip:
    """Prepare pieces of a sound, some of them where the tower hears them apart.

    Args:
        name: id of the clip.
        pieces: read as the tower's `cutting` says.
        tower: the one they are for.
        source: the file, for messages.
        start_s: where its window starts.

    Raises:
        TooShortError: the sound is too short.
    """
    return _prepared(name, *tower.prepare_pieces(pieces, source=source, start_s=start_s))


def _prepared(name: str, inputs: Prepared, times_s: Sequence[float]) -> PreparedClip:
    at = torch.tensor(times_s, dtype=torch.float64)
    return PreparedClip(name=name, inputs=inputs, times_s=at)


def encode_together(
    clips: Sequence[PreparedClip], encoder: ClipTower
) -> list[tuple[str, Features]]:
    """Return (id, features) of clips that share the tower's batches.

    Features are pooled, (T, 1, F), or several vectors per step, (T, P, F). The last bits of a
    vector depend on which clips these are, and on their order.
    """
    if not clips:
        return []
    vectors = encoder.encode(_joined([clip.inputs for clip in clips]))
    parts = torch.split(vectors, [len(clip.times_s) for clip in clips])
    return [
        (
            clip.name,
            Features(
                values=rows.half() if rows.ndim == 3 else rows.half()[:, None, :],
                times_s=clip.times_s,
                modality=encoder.modality,
                encoder=encoder.name,
                revision=encoder.revision,
            ),
        )
        for clip, rows in zip(clips, parts, strict=True)
    ]


def encode_long_texts(
    texts: Sequence[str], encoder: TextEncoder, *, tally: EncodeTally | None = None
) -> Tensor:
    """Return unit-norm float32 (N, F) for texts of any length.

    A text that is too long for the tower is split at sentences, clauses or words, and the vectors
    of its pieces are averaged; nothing is cut.
    """
    tally = EncodeTally() if tally is None else tally
    split = [split_text(text, fits=_fits(encoder)) for text in texts]
    tally.distinct_texts += len(texts)
    tally.split_texts += sum(len(pieces) > 1 for pieces in split)
    tally.pieces += sum(len(pieces) for pieces in split if len(pieces) > 1)
    vectors = encoder.encode_texts(list(chain.from_iterable(split)))
    return average(vectors, _owners(split), count=len(split))


def _fuse_window(
    videos: Sequence[TextualVideo], encoder: TextEncoder, mode: FuseMode, tally: EncodeTally
) -> Tensor:
    """Return (frames of all videos, F)."""
    groups = [frame_texts(frame, mode=mode) for video in videos for frame in video.frames]
    every = list(chain.from_iterable(groups))
    tally.texts += len(every)
    index = {text: i for i, text in enumerate(dict.fromkeys(every))}
    vectors = encode_long_texts(list(index), encoder, tally=tally)
    rows = torch.tensor([index[text] for text in every])
    return average(vectors[rows], _owners(groups), count=len(groups))


def _fits(encoder: TextEncoder) -> Callable[[str], bool]:
    return lambda text: encoder.count_tokens(text) <= encoder.max_text_tokens


def _owners(groups: Sequence[Sequence[str]]) -> Tensor:
    """Return which group each text belongs to, when the groups are laid end to end."""
    return torch.repeat_interleave(torch.tensor([len(group) for group in groups], dtype=torch.long))


def _joined(prepared: Sequence[Prepared]) -> Prepared:
    return {key: torch.cat([one[key] for one in prepared]) for key in prepared[0]}


def _refuse_empty(lengths: Iterable[tuple[str, int]]) -> None:
    empty = [name for name, length in lengths if length == 0]
    if empty:
        raise EncodeError(
            f"videos without frames, nothing to encode: {len(empty)} (first: {empty[0]!r})",
            hint="leave them out, or encode their sound",
        )


def windows(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Yield lists of `size` items; the last one may be shorter."""
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group
