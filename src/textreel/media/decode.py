"""Reading a file as a `Clip`: the frames a `SamplingSpec` asks for, and the sound, on one clock.

The clock starts when the first frame is shown (in a file without pictures: when its sound starts).
A frame belongs to every time from its own start to the next frame's, so frames are found by time,
never by number, and two times that fall on one frame give it once.
"""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from textreel.media.album import HandOn
from textreel.media.clip import Clip
from textreel.media.cutting import Cutting, read_pieces
from textreel.media.errors import NoStreamError, TruncatedError
from textreel.media.frames import Frames, read_frames
from textreel.media.opening import why_nothing_there
from textreel.media.packets import Work
from textreel.media.probe import MediaInfo, SoundInfo, probe
from textreel.media.sampling import SamplingSpec
from textreel.media.sound import Sound, SoundMode, read_sound
from textreel.media.sound_pieces import TakePiece

__all__ = [
    "Decoded",
    "MediaInfo",
    "SoundInfo",
    "decode_clip",
    "decode_pieces",
    "probe",
    "read_clip",
]

DEFAULT_SOUND_RATE_HZ = 16_000

log = logging.getLogger("textreel.media")


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """A clip and what reading it was like.

    Attributes:
        clip: the frames and the sound.
        notes: what was unusual about the file, one sentence each; empty for a sound file.
        work: packets decoded, packets damaged, jumps made.
        times_s: float64 (T,), the time of every frame that was read, also of those handed on.
        origin_s: when the first frame is shown, on the container's clock; None without pictures,
            and where another process has read the file.
    """

    clip: Clip
    notes: tuple[str, ...]
    work: Work
    times_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    origin_s: float | None = None


def read_clip(
    path: Path | str,
    spec: SamplingSpec | None = None,
    *,
    sound: SoundMode = "skip",
    sound_rate_hz: int | None = DEFAULT_SOUND_RATE_HZ,
    stream_index: int | None = None,
) -> Clip:
    """Read a video, sound or picture file; what is unusual about it is logged as a warning.

    Args:
        path: a local file in any format that FFmpeg reads; its name's ending does not matter.
        spec: which frames; 8 segment centres where None.
        sound: `skip`, `check` (decode it, keep nothing), `mono` (the mean of all channels) or
            `all` channels.
        sound_rate_hz: the sound is resampled to this; it keeps its own rate where None.
        stream_index: number of the video stream to read; the file's best one where None.

    Returns:
        A clip. Frames are as displayed: turned, square pixels, 8 bits, SDR. Fewer frames than
        asked come from a file that has fewer; a file without pictures has T = 0. With a window
        the sound is zero before its start and ends with it: sample n is always at n / rate.

    Raises:
        MediaError: a kind that names what is wrong; see `textreel.media.errors`.
    """
    decoded = decode_clip(
        path, spec, sound=sound, sound_rate_hz=sound_rate_hz, stream_index=stream_index
    )
    for note in decoded.notes:
        log.warning("%s: %s", path, note)
    return decoded.clip


def decode_clip(
    path: Path | str,
    spec: SamplingSpec | None = None,
    *,
    sound: SoundMode = "skip",
    sound_rate_hz: int | None = DEFAULT_SOUND_RATE_HZ,
    stream_index: int | None = None,
    progress: Callable[[], None] = lambda: None,
    hand_on: HandOn | None = None,
) -> Decoded:
    """As `read_clip`, but return the notes instead of logging them.

    Args:
        path: see `read_clip`; so are the next four.
        spec: which frames.
        sound: the mode.
        sound_rate_hz: the rate wanted.
        stream_index: the video stream.
        progress: called for each packet, to show that work goes on.
        hand_on: takes the frames part after part, so that few are in memory at a time; the clip
            has none of them then.

    Raises:
        MediaError: see `read_clip`.
        ValueError: `sound` is none of the modes.
    """
    path, spec = Path(path), spec or SamplingSpec()
    if sound not in get_args(SoundMode):
        raise ValueError(f"sound={sound!r}: must be one of {', '.join(get_args(SoundMode))}")
    frames: Frames | None = None
    no_video = (NoStreamError,) if stream_index is None else ()  # a sound file is no fault
    with contextlib.suppress(*no_video):
        frames = read_frames(
            path, spec, stream_index=stream_index, progress=progress, hand_on=hand_on
        )
    if frames is not None and sound == "skip":  # opening the file again costs more than a frame
        heard = Sound(status="unused" if frames.has_sound else "absent")
    else:
        heard = read_sound(
            path,
            sound,
            rate_hz=sound_rate_hz,
            origin_s=None if frames is None else frames.origin_s,
            spec=spec,
            progress=progress,
        )
    return _sound_only(path, heard) if frames is None else _joined(path, frames, heard)


def decode_pieces(
    path: Path | str,
    spec: SamplingSpec,
    cutting: Cutting,
    *,
    hand_on: TakePiece,
    clock: Decoded | None = None,
    progress: Callable[[], None] = lambda: None,
    again: Callable[[], None] = lambda: None,
) -> Decoded:
    """Read the pieces of a file's sound that a tower hears, in bounded memory; see `cutting`.

    Args:
        path: see `read_clip`.
        spec: its window is what is listened to; its resampler changes the rate.
        cutting: which pieces.
        hand_on: takes piece after piece, in order of time.
        clock: what `decode_clip` has read of the file, in this process; where None, one frame of
            it is read, which sets the clock.
        progress: see `decode_clip`.
        again: called before the sound is read once more.

    Returns:
        A clip without samples, and with the frames of `clock`, or that one frame.

    Raises:
        MediaError: see `read_clip`.
    """
    path = Path(path)
    clock = clock or _clock(path, spec, progress)
    heard = read_pieces(
        path,
        cutting,
        spec,
        origin_s=None if clock is None else clock.origin_s,
        hand_on=hand_on,
        progress=progress,
        again=again,
    )
    if clock is None or clock.origin_s is None:
        return _sound_only(path, heard)
    clip = replace(clock.clip, sound_status=heard.status)
    return replace(clock, clip=clip, notes=clock.notes + heard.notes)


def _clock(path: Path, spec: SamplingSpec, progress: Callable[[], None]) -> Decoded | None:
    """Read one frame of the window; None of a sound file, which is no fault."""
    one = SamplingSpec(num_frames=1, start_s=spec.start_s, end_s=spec.end_s)
    try:
        frames = read_frames(path, one, stream_index=None, progress=progress)
    except NoStreamError:
        return None
    return _joined(path, frames, Sound(status="unused" if frames.has_sound else "absent"))


def _joined(path: Path, frames: Frames, heard: Sound) -> Decoded:
    clip = Clip(
        frames=frames.pixels,
        frame_times_s=frames.times_s[: len(frames.pixels)],
        duration_s=frames.duration_s,
        source=str(path),
        sound=heard.samples,
        sound_rate_hz=heard.rate_hz,
        sound_status=heard.status,
    )
    notes = frames.notes + heard.notes
    return Decoded(
        clip=clip,
        notes=notes,
        work=frames.work,
        times_s=frames.times_s,
        origin_s=frames.origin_s,
    )


def _sound_only(path: Path, heard: Sound) -> Decoded:
    if heard.status == "absent":
        nothing = NoStreamError(str(path), "has neither video nor sound")
        raise why_nothing_there(path, nothing)
    if heard.status == "undecodable":
        raise TruncatedError(str(path), "; ".join(("has no video", *heard.notes)))
    clip = Clip(
        frames=np.empty((0, 3, 0, 0), dtype=np.uint8),
        frame_times_s=np.empty(0),
        duration_s=heard.length_s,
        source=str(path),
        sound=heard.samples,
        sound_rate_hz=heard.rate_hz,
        sound_status=heard.status,
    )
    return Decoded(clip=clip, notes=heard.notes, work=Work())
