"""Makes small files with the traps that break readers. Frame i is grey, value 10 * i + 20.

python -m tests.media.traps DIR
"""

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

SIZE = (64, 48)  # width, height
TICKS = 1000


def grey(number: int, size: tuple[int, int] = SIZE, *, corner: bool = False) -> np.ndarray:
    picture = np.full((size[1], size[0], 3), 10 * number + 20, np.uint8)
    if corner:
        picture[: size[1] // 4, : size[0] // 4] = 250  # top left as stored
    return picture


def number_of(picture: np.ndarray) -> int:
    """The number of a decoded (3, H, W) frame."""
    return round((float(np.median(picture)) - 20) / 10)


def video(
    path: Path,
    stamps_ms: list[int],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    size: tuple[int, int] = SIZE,
    container: str | None = None,
    options: dict[str, str] | None = None,
    corner: bool = False,
    setup: Callable[[object], None] = lambda stream: None,
    tone_hz: int | None = None,
    tone_ms: int = 0,
) -> Path:
    with av.open(str(path), "w", format=container) as out:
        fast = {"preset": "veryfast"} if codec == "libx264" else {}
        stream = out.add_stream(codec, rate=25, options=fast | (options or {}))
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.codec_context.time_base = Fraction(1, TICKS)
        stream.codec_context.thread_count = 1
        setup(stream)
        sound = None if tone_hz is None else out.add_stream("aac", rate=16000, layout="mono")
        for number, stamp in enumerate(stamps_ms):
            picture = grey(number % 23, size, corner=corner)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = stamp, Fraction(1, TICKS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if sound is not None:
            samples = 0.5 * np.sin(2 * np.pi * tone_hz * np.arange(16000) / 16000)
            tone = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), "fltp", "mono")
            tone.sample_rate, tone.time_base = 16000, Fraction(1, 16000)
            tone.pts = tone_ms * 16
            out.mux(sound.encode(tone))
            out.mux(sound.encode(None))
    return path


def every(step_ms: int, count: int, start_ms: int = 0) -> list[int]:
    return [start_ms + step_ms * i for i in range(count)]


def plain(folder: Path) -> Path:
    return video(folder / "plain.mp4", every(100, 20), tone_hz=440)


def short_gops(folder: Path) -> Path:
    return video(folder / "short_gops.mp4", every(40, 200), options={"g": "10", "bf": "2"})


def long_gop(folder: Path) -> Path:
    return video(folder / "long_gop.mp4", every(40, 200), options={"g": "250", "bf": "2"})


def matroska(folder: Path) -> Path:
    return video(folder / "plain.mkv", every(40, 200), options={"g": "10", "bf": "2"})


def reordered(
    folder: Path,
    *,
    codec: str = "mpeg4",
    key: int = 50,
    between: int = 2,
    open_gop: bool = False,
    ending: str = "avi",
) -> Path:
    """AVI, which tells no times, with B-frames; or another container that does not."""
    options = {"g": str(key), "bf": str(between)}
    options |= {"x264-params": "open-gop=1"} if open_gop else {}

    def tick(stream: object) -> None:
        stream.codec_context.time_base = Fraction(1, 25)

    path = folder / f"reordered.{ending}"
    return video(path, every(40, 200), codec=codec, options=options, setup=tick)


def variable_rate(folder: Path) -> Path:
    return video(folder / "variable.mp4", [0, 40, 80, 1000, 1040, 3000])


def late_start(folder: Path) -> Path:
    return video(folder / "late.mkv", every(100, 10, start_ms=5000), tone_hz=440, tone_ms=5200)


def early_sound(folder: Path) -> Path:
    return video(folder / "early.mkv", every(100, 10, start_ms=5000), tone_hz=440)


def rotated(folder: Path, degrees: int) -> Path:
    def turn(stream: object) -> None:
        stream.set_display_rotation(degrees)

    return video(folder / f"rotated{degrees}.mp4", every(100, 3), corner=True, setup=turn)


def odd_size(folder: Path) -> Path:
    return video(folder / "odd.mkv", every(100, 3), codec="ffv1", pixels="yuv444p", size=(61, 37))


def wide_pixels(folder: Path) -> Path:
    def widen(stream: object) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    return video(folder / "wide.mp4", every(100, 3), setup=widen)


def transparent(folder: Path) -> Path:
    picture = Image.new("RGBA", SIZE, (200, 100, 50, 128))
    picture.save(folder / "transparent.png")
    return folder / "transparent.png"


def broken_picture(folder: Path) -> Path:
    """A PNG whose pixels do not unpack: not FFmpeg but zlib says so."""
    data = bytearray(transparent(folder).read_bytes())
    data[data.index(b"IDAT") + 8] ^= 0x55
    (folder / "broken.png").write_bytes(data)
    return folder / "broken.png"


def animated_gif(folder: Path) -> Path:
    frames = [Image.fromarray(grey(i)) for i in range(4)]
    path = folder / "animated.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, loop=0)
    return path


def without_duration(folder: Path) -> Path:
    """Matroska as a live stream writes it: no length, no index."""
    path = folder / "live.mkv"
    options = {"live": "1"}
    with path.open("wb") as file, av.open(file, "w", "matroska", options=options) as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        for number, stamp in enumerate(every(100, 10)):
            frame = av.VideoFrame.from_ndarray(grey(number), format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, TICKS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def absurd_length(folder: Path) -> Path:
    """Matroska of two seconds whose tag says more than a year."""
    path = video(folder / "absurd_length.mkv", every(100, 20))
    data = path.read_bytes()
    assert b"00:00:0" in data
    path.write_bytes(data.replace(b"00:00:0", b"9999:0:"))
    return path


def cut(folder: Path) -> Path:
    """The first 60% of a Matroska file, as a broken download leaves it."""
    data = video(
        folder / "whole.mkv", every(100, 20), codec="mjpeg", pixels="yuvj420p"
    ).read_bytes()
    (folder / "whole.mkv").unlink()
    (folder / "cut.mkv").write_bytes(data[: len(data) * 6 // 10])
    return folder / "cut.mkv"


def without_index(folder: Path) -> Path:
    """An mp4 cut before its index, which comes last."""
    data = plain(folder).read_bytes()
    (folder / "no_index.mp4").write_bytes(data[: len(data) // 2])
    return folder / "no_index.mp4"


def cut_index(folder: Path, *, keep: float = 0.4) -> Path:
    """An mp4 cut in the middle of its index, of which `keep` (a share) is left."""
    data = variable_rate(folder).read_bytes()
    start = data.index(b"moov")
    (folder / "cut_index.mp4").write_bytes(data[: start + int(keep * (len(data) - start))])
    return folder / "cut_index.mp4"


def unknown_codec(folder: Path) -> Path:
    data = video(folder / "known.mkv", every(100, 3)).read_bytes()
    (folder / "unknown.mkv").write_bytes(data.replace(b"V_MPEG4/ISO/AVC", b"V_MPEG9/ISO/XYZ"))
    return folder / "unknown.mkv"


def wave(folder: Path, *, rate_hz: int = 8000, channels: int = 2, peak: float = 0.5) -> Path:
    path = folder / "sound.wav"
    t = np.arange(rate_hz) / rate_hz
    tones = [peak * np.sin(2 * np.pi * 440 * (c + 1) * t) for c in range(channels)]
    layout = {1: "mono", 2: "stereo"}[channels]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=rate_hz, layout=layout)
        samples = np.round(np.stack(tones, 1) * 32767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
        frame.sample_rate = rate_hz
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def long_sound(folder: Path) -> Path:
    """14 seconds of m4a, a tone that rises by 20 Hz a second."""
    path, t = folder / "long.m4a", np.arange(14 * 8000) / 8000
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=8000, layout="mono")
        samples = 0.5 * np.sin(2 * np.pi * (200 + 10 * t) * t)
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), "fltp", "mono")
        frame.sample_rate, frame.time_base, frame.pts = 8000, Fraction(1, 8000), 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def absurd_sound_time(folder: Path) -> Path:
    """Live Matroska, half a second of sound, of which the last tenth claims to be 20 hours late."""
    path = folder / "absurd.mkv"
    with path.open("wb") as file, av.open(file, "w", "matroska", options={"live": "1"}) as out:
        stream = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        for number in range(5):
            samples = np.full((1, 800), 1000 * (number + 1), np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.time_base = 8000, Fraction(1, 8000)
            frame.pts = 800 * number + (20 * 3600 * 8000 if number == 4 else 0)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").write_bytes(b"")
    return folder / "empty.mp4"


def text(folder: Path) -> Path:
    (folder / "text.mp4").write_text("This is no video, it is a létter.\n")
    return folder / "text.mp4"


TRAPS: dict[str, Callable[[Path], Path]] = {
    trap.__name__: trap
    for trap in (
        *(
            plain,
            short_gops,
            long_gop,
            matroska,
            reordered,
            variable_rate,
            late_start,
            early_sound,
            odd_size,
            wide_pixels,
        ),
        *(transparent, animated_gif, without_duration, cut, without_index, unknown_codec),
        *(broken_picture, cut_index, absurd_sound_time, absurd_length, long_sound),
        *(wave, empty, text),
    )
}

if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for make in TRAPS.values():
        make(target)
    for angle in (90, 180, 270):
        rotated(target, angle)
