"""Fewer frames of a video that has too many: floor(j n / wanted), as TOPA's loaders take them."""

from dataclasses import replace

from textreel.data.errors import HintedError
from textreel.data.textual_video import TextualVideo
from textreel.models.batch import Features


class ThinError(HintedError, ValueError):
    """Frames cannot be thinned to so many."""


def thin_indices(num_frames: int, *, wanted: int) -> list[int]:
    """Return which of `num_frames` frames are kept: all of them where there are not too many.

    Source: dhg-wei/TOPA@609c482, dataloader/textvid.py, `_get_video`.

    >>> thin_indices(13, wanted=5)
    [0, 2, 5, 7, 10]

    Args:
        num_frames: n, frames that there are.
        wanted: most frames to keep.

    Raises:
        ThinError: `wanted` is below 1.
    """
    if wanted < 1:
        raise ThinError(f"a video cannot be thinned to {wanted} frames", hint="keep at least one")
    if num_frames <= wanted:
        return list(range(num_frames))
    return [j * num_frames // wanted for j in range(wanted)]


def thin(features: Features, *, wanted: int) -> Features:
    """Return the video with at most `wanted` of its frames; errors as `thin_indices`."""
    if len(features.values) <= wanted:
        return features
    kept = thin_indices(len(features.values), wanted=wanted)
    return replace(features, values=features.values[kept], times_s=features.times_s[kept])


def thin_video(video: TextualVideo, *, wanted: int) -> TextualVideo:
    """Return a textual video with the frames whose features `thin` keeps; errors as above."""
    if len(video.frames) <= wanted:
        return video
    kept = thin_indices(len(video.frames), wanted=wanted)
    times_s = video.times_s or tuple(float(i) for i in range(len(video.frames)))
    return replace(
        video,
        frames=tuple(video.frames[i] for i in kept),
        times_s=tuple(times_s[i] for i in kept),
    )
