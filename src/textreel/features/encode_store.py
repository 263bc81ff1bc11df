"""Fill a feature store from textual videos or clips, so that a killed job can be run again.

    videos, or ids and a reader  --windows-->  encode  -->  FeatureStore

A window whose ids are all stored is skipped. Any other window is encoded whole again, although
only its missing ids are added: which texts and frames share a batch decides the last bits of a
vector, so a resumed job must batch as a straight one does to store the same bytes.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from textreel.data.files import canonical_json
from textreel.data.quarantine import Quarantine
from textreel.data.shards import in_shard
from textreel.data.textual_video import TextualVideo
from textreel.features.encode import (
    EncodeError,
    EncodeTally,
    encode_clips,
    encode_textual_videos,
    windows,
)
from textreel.features.fuse import FuseMode, frame_texts
from textreel.features.store import FeatureStore
from textreel.media.clip import Clip
from textreel.media.errors import MediaError
from textreel.models.open_encoder import Encoder, TextEncoder


def textual_fingerprint(videos: Sequence[TextualVideo], *, mode: FuseMode) -> str:
    """Return a short name of everything about textual videos that decides their features.

    It stands in a store where the sampling of real videos stands: other texts under the same ids
    are other features. Questions are not part of it.
    """
    digest = hashlib.sha256()
    for video in videos:
        texts = [frame_texts(frame, mode=mode) for frame in video.frames]
        digest.update(canonical_json([video.id, texts, video.times_s]).encode() + b"\n")
    return f"{mode}-{digest.hexdigest()[:16]}"


def fill_textual(
    store: FeatureStore,
    videos: Sequence[TextualVideo],
    encoder: TextEncoder,
    *,
    mode: FuseMode = "caption+objects",
    window: int = 256,
    shard: tuple[int, int] = (0, 1),
) -> EncodeTally:
    """Encode textual videos into a store made with their `textual_fingerprint`.

    Args:
        store: made for this encoder, with `sampling=textual_fingerprint(videos, mode=mode)`.
        videos: all of them, also those of other shards.
        encoder: whose text tower reads them.
        mode: which texts of a frame are fused.
        window: videos encoded together.
        shard: (i, n), write part i of n.

    Raises:
        FeatureMismatchError: the store is of another encoder, or of other texts.
        EncodeError: two videos share an id, or one has no frames.
    """
    store.require(
        encoder=encoder.name,
        revision=encoder.revision,
        sampling=textual_fingerprint(videos, mode=mode),
    )
    by_id = {video.id: video for video in videos}
    tally = EncodeTally()
    with store.writer(shard=shard) as writer:
        for names in _unfinished([v.id for v in videos], store, window, shard, tally):
            group = [by_id[name] for name in names]
            for name, features in encode_textual_videos(
                group, encoder, mode=mode, window=window, tally=tally
            ):
                writer.add(name, features)
    return tally


def fill_clips(
    store: FeatureStore,
    names: Sequence[str],
    read: Callable[[str], Clip],
    encoder: Encoder,
    *,
    quarantine: Quarantine | None = None,
    window: int = 32,
    shard: tuple[int, int] = (0, 1),
) -> EncodeTally:
    """Encode the frames of clips into a store.

    Args:
        store: made for this encoder and for the sampling that `read` uses.
        names: id of every clip, also those of other shards.
        read: returns the clip of an id; it is not asked for clips whose window is stored.
        encoder: whose picture tower sees them.
        quarantine: takes clips that cannot be read or have no frames; without one they stop the
            job. They are tried again when the job is run again.
        window: clips encoded together.
        shard: (i, n), write part i of n.

    Raises:
        FeatureMismatchError: the store is of another encoder.
        EncodeError: two clips share an id, or one has no frames (without a quarantine).
        MediaError: a clip cannot be read (without a quarantine).
        TooManyBadError: more are bad than the quarantine allows.
    """
    store.require(encoder=encoder.name, revision=encoder.revision)
    tally = EncodeTally()
    with store.writer(shard=shard) as writer:
        for group in _unfinished(names, store, window, shard, tally):
            clips = _readable(group, read, quarantine)
            if quarantine is not None:
                quarantine.check(total=len(names))
            for name, features in encode_clips(clips, encoder, window=window, tally=tally):
                writer.add(name, features)
    return tally


def _unfinished(
    names: Sequence[str],
    store: FeatureStore,
    window: int,
    shard: tuple[int, int],
    tally: EncodeTally,
) -> Iterator[list[str]]:
    """Yield the windows of one shard that lack something; count the ids of the others."""
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise EncodeError(
            f"{len(names) - len(set(names))} of {len(names)} videos share an id with another "
            f"(first: {twice!r}), and would share its features",
            hint="give every video an id of its own",
        )
    mine = [name for name in names if in_shard(name, shard=shard)]
    for group in windows(mine, window):
        if all(name in store for name in group):
            tally.skipped += len(group)
        else:
            yield group


def _readable(
    names: Sequence[str], read: Callable[[str], Clip], quarantine: Quarantine | None
) -> list[tuple[str, Clip]]:
    clips = []
    for name in names:
        try:
            clip = read(name)
        except MediaError as error:
            if quarantine is None:
                raise
            quarantine.add(
                name, source=error.source, code=type(error).__name__, message=error.cause
            )
            continue
        if len(clip.frames) == 0 and quarantine is not None:
            message = f"no frames to encode (sound: {clip.sound_status})"
            quarantine.add(name, source=clip.source, code="NoFrames", message=message)
            continue
        clips.append((name, clip))
    return clips
