"""What is in a file: lengths, sizes and streams, told by its headers and its first frame."""

from dataclasses import dataclass
from pathlib import Path

from textreel.media.errors import NoStreamError
from textreel.media.frames import Frames, read_frames
from textreel.media.hdr import HDR_TRANSFERS
from textreel.media.opening import open_media
from textreel.media.sampling import SamplingSpec
from textreel.media.streams import choose_sound, choose_video, header_length_s


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundInfo:
    """A file's sound stream.

    Attributes:
        codec: FFmpeg's name of its decoder, None where none is built in.
        rate_hz: samples per second.
        channels: number of channels.
        duration_s: length in seconds, None where the headers do not say.
    """

    codec: str | None
    rate_hz: int
    channels: int
    duration_s: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaInfo:
    """What is in a file. Holds JSON values only.

    Attributes:
        source: the file.
        container: FFmpeg's names of its format.
        duration_s: length of the video (of the sound, without one) in seconds.
        width: displayed width in pixels, None without video; so below.
        height: displayed height in pixels.
        rotation: degrees clockwise by which stored pictures are turned: 0, 90, 180 or 270.
        mirrored: whether they are mirrored too.
        fps: average frames per second, None where unknown.
        codec: FFmpeg's name of the video decoder.
        pixel_format: FFmpeg's name of the stored pixels' format.
        hdr: whether pictures are HDR (PQ or HLG).
        video_streams: number of video streams, cover pictures among them.
        sound: the sound stream, None where there is none.
        notes: what is unusual, one sentence each.
    """

    source: str
    container: str
    duration_s: float
    width: int | None = None
    height: int | None = None
    rotation: int = 0
    mirrored: bool = False
    fps: float | None = None
    codec: str | None = None
    pixel_format: str | None = None
    hdr: bool = False
    video_streams: int = 0
    sound: SoundInfo | None = None
    notes: tuple[str, ...] = ()


def probe(path: Path | str) -> MediaInfo:
    """Look into a file; one frame is decoded, to know how it is displayed.

    Raises:
        MediaError: a kind that names what is wrong; see `textreel.media.errors`.
    """
    path = Path(path)
    first: Frames | None = None
    try:
        start = SamplingSpec(num_frames=1, policy="video_llama_floor")
        first = read_frames(path, start, stream_index=None, progress=lambda: None)
    except NoStreamError:
        first = None
    with open_media(path) as container:
        sound = choose_sound(container)
        if first is None and sound is None:
            raise NoStreamError(str(path), "has neither video nor sound")
        heard = None
        if sound is not None:
            context = sound.codec_context
            heard = SoundInfo(
                codec=context.name if context else None,
                rate_hz=sound.sample_rate if context else 0,
                channels=sound.channels if context else 0,
                duration_s=header_length_s(container, sound),
            )
        if first is None:
            return MediaInfo(
                source=str(path),
                container=container.format.name,
                duration_s=(heard and heard.duration_s) or 0.0,
                video_streams=len(container.streams.video),
                sound=heard,
            )
        stream = choose_video(path, container, None)
        _, _, height, width = first.pixels.shape
        return MediaInfo(
            source=str(path),
            container=container.format.name,
            duration_s=first.duration_s,
            width=width,
            height=height,
            rotation=first.turn.clockwise_deg,
            mirrored=first.turn.mirrored,
            fps=float(stream.average_rate) if stream.average_rate else None,
            codec=stream.codec_context.name,
            pixel_format=stream.codec_context.pix_fmt,
            hdr=stream.codec_context.color_trc in HDR_TRANSFERS,
            video_streams=len(container.streams.video),
            sound=heard,
            notes=first.notes,
        )
