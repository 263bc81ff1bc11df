"""Opening a file safely, and saying why where that fails.

Only regular local files are opened, by FFmpeg's `file` protocol: a name such as `http:x.mp4` or
`a%03d.jpg` is a name, and a playlist cannot fetch anything.
"""

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Discard, Stream

from textreel.media.errors import (
    EmptyFileError,
    EncryptedError,
    MediaError,
    MissingFileError,
    NotMediaError,
    TruncatedError,
    UnreadableFileError,
)

OPTIONS = {"protocol_whitelist": "file", "pattern_type": "none"}
HEAD_BYTES = 65_536
MAX_INDEX_BYTES = 64 << 20
SIGNATURES = {
    b"RIFF": "AVI or WAV",
    b"\x1aE\xdf\xa3": "Matroska or WebM",
    b"FLV": "Flash",
    b"OggS": "Ogg",
    b"fLaC": "FLAC",
    b"ID3": "MP3",
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"\x30\x26\xb2\x75": "ASF",
    b"\x00\x00\x01\xba": "MPEG",
}
MP4_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"}


@contextlib.contextmanager
def open_media(path: Path | str) -> Iterator[InputContainer]:
    """Open a media file for reading and close it at the end of the block.

    Raises:
        MissingFileError, UnreadableFileError, EmptyFileError, NotMediaError, TruncatedError:
            what the file is instead.
    """
    path = Path(path)
    check_regular(path)
    try:
        container = av.open(f"file:{path}", options=OPTIONS, metadata_errors="replace")
    except av.FFmpegError as error:
        raise _why(path, error) from error
    with container:
        yield container


def read_only(container: InputContainer, stream: Stream) -> None:
    """Let the demuxer pass over every stream but this one."""
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all


def why_nothing_decodes(path: Path | str, *, what: str, packets: int, damaged: int) -> MediaError:
    """Return the error for a stream of which no frame could be decoded.

    Args:
        path: the file.
        what: "video" or "sound".
        packets: packets that were read.
        damaged: packets that the decoder refused.
    """
    if is_encrypted(Path(path)):
        return EncryptedError(str(path), f"its {what} is encrypted")
    if not packets:
        empty = EmptyFileError(str(path), f"its {what} stream holds no data")
        return why_nothing_there(Path(path), empty)
    return TruncatedError(
        str(path), f"no {what} can be decoded: {damaged} of {packets} packets are damaged"
    )


def is_encrypted(path: Path) -> bool:
    """Whether an mp4 file declares encrypted tracks (ISO/IEC 23001-7: `encv`, `enca`, `sinf`)."""
    index = dict(_mp4_boxes(path)).get(b"moov")
    if index is None:
        return False
    offset, size = index
    with path.open("rb") as file:
        file.seek(offset)
        box = file.read(min(size, MAX_INDEX_BYTES))
    return b"sinf" in box and (b"encv" in box or b"enca" in box)


def why_nothing_there(path: Path, otherwise: MediaError) -> MediaError:
    """Return the error for a file that opens and holds nothing to decode.

    Args:
        path: the file.
        otherwise: the error, unless an mp4 file's index is cut off and nobody knows what it held.
    """
    with path.open("rb") as file:
        is_mp4 = file.read(8)[4:] in MP4_BOXES
    if is_mp4 and b"moov" not in dict(_mp4_boxes(path)):
        return TruncatedError(str(path), "an MP4 file whose index (`moov`) is cut off")
    return otherwise


def check_regular(path: Path) -> None:
    """Refuse what is no regular file with something in it, without opening it.

    Raises:
        MissingFileError, UnreadableFileError, EmptyFileError: what it is instead.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(str(path), "no such file") from error
    except (OSError, ValueError) as error:
        raise UnreadableFileError(str(path), f"cannot be read: {error}") from error
    if stat.S_ISDIR(status.st_mode):
        raise UnreadableFileError(str(path), "is a folder", "give a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableFileError(str(path), "is not a regular file", "copy it to a file first")
    if status.st_size == 0:
        raise EmptyFileError(str(path), "the file is empty (0 bytes)")


def _why(path: Path, error: av.FFmpegError) -> MediaError:
    """Name the cause of a failed opening from the file's first bytes."""
    if not isinstance(error, av.InvalidDataError | av.EOFError):
        return UnreadableFileError(str(path), f"cannot be opened: {error.strerror}")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head[4:8] in MP4_BOXES:
        if b"moov" not in dict(_mp4_boxes(path)):
            return TruncatedError(
                str(path), "an MP4 file without its index (`moov`): cut off before the end"
            )
        return TruncatedError(str(path), "an MP4 file with a damaged index (`moov`)")
    for signature, name in SIGNATURES.items():
        if head.startswith(signature):
            return TruncatedError(str(path), f"a damaged or cut off {name} file")
    if _is_text(head):
        return NotMediaError(str(path), "holds text, not media")
    return NotMediaError(str(path), "is in no format that FFmpeg knows")


def _is_text(head: bytes) -> bool:
    """Whether bytes are text: UTF-8 (but for a cut last letter) without control characters."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\t\r\n\f" for letter in text)


def _mp4_boxes(path: Path) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Yield (type, (offset, size)) of a file's outer boxes (ISO/IEC 14496-12, 4.2)."""
    total = path.stat().st_size
    with path.open("rb") as file:
        offset = 0
        while offset + 8 <= total:
            file.seek(offset)
            header = file.read(16)
            size, kind = int.from_bytes(header[:4]), header[4:8]
            if size == 1:
                size = int.from_bytes(header[8:16])
            elif size == 0:
                size = total - offset
            if size < 8:
                return
            if offset + size <= total or kind != b"moov":
                yield kind, (offset, size)
            offset += size
