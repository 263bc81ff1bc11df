"""What can be wrong with a media file, one class per cause.

Each error names the file and the cause in its message and the way out in `hint`. All of them cross
process borders: they pickle with their fields.
"""

from typing import ClassVar


class MediaError(ValueError):
    """A file cannot be read as video or sound.

    Attributes:
        source: the file.
        cause: what is wrong with it.
        hint: the way out; the class's own where the caller gives none.
    """

    exit_code: ClassVar[int] = 1
    default_hint: ClassVar[str] = "check that the file plays, for instance with `ffplay`"

    def __init__(self, source: str, cause: str, hint: str = "") -> None:
        super().__init__(source, cause, hint)
        self.source = source
        self.cause = cause
        self.hint = hint or self.default_hint

    def __str__(self) -> str:
        return f"{self.source}: {self.cause}"


class MissingFileError(MediaError, FileNotFoundError):
    """There is no such file."""

    exit_code: ClassVar[int] = 2
    default_hint: ClassVar[str] = "check the path; relative paths start at the working directory"


class UnreadableFileError(MediaError):
    """The operating system refuses to read the path (a folder, no permission, an input error)."""

    default_hint: ClassVar[str] = "give a readable file"


class EmptyFileError(MediaError):
    """The file has no bytes, or a container without anything in it."""

    default_hint: ClassVar[str] = "download or copy the file again"


class NotMediaError(MediaError):
    """The file holds something other than video, sound or a picture."""

    default_hint: ClassVar[str] = (
        "give a video, sound or picture file; the name's ending is ignored"
    )


class TruncatedError(MediaError):
    """The file is cut off or damaged, and nothing in it can be decoded."""

    default_hint: ClassVar[str] = "download or copy the file again"


class EncryptedError(MediaError):
    """The file's streams are encrypted."""

    default_hint: ClassVar[str] = "decrypt the file first"


class UnsupportedCodecError(MediaError):
    """The container can be read, but no decoder for its streams is built in."""

    default_hint: ClassVar[str] = "convert the file, for instance to H.264 and AAC with `ffmpeg`"


class NoStreamError(MediaError):
    """The file has no such video or sound stream."""

    default_hint: ClassVar[str] = "list the file's streams with `textreel media show`"


class TooShortError(MediaError):
    """The sound is shorter than one frame of a spectrogram."""

    default_hint: ClassVar[str] = "give a longer sound, or leave the file out"


class OutOfRangeError(MediaError):
    """The window asked for lies outside the file."""

    exit_code: ClassVar[int] = 2
    default_hint: ClassVar[str] = "choose start_s and end_s inside the file's duration"


class TooManyFramesError(MediaError):
    """The frames asked for take more memory than a clip may."""

    exit_code: ClassVar[int] = 2
    default_hint: ClassVar[str] = (
        "take fewer frames: max_frames beside fps, a lower fps, or a window of start_s and end_s"
    )


class TooMuchSoundError(MediaError):
    """The sound asked for takes more memory than a clip may."""

    exit_code: ClassVar[int] = 2
    default_hint: ClassVar[str] = "take a window of start_s and end_s, or the sound in mono"


class DecodeTimeoutError(MediaError, TimeoutError):
    """Decoding passed its limit of CPU time, or of wall time without progress."""

    default_hint: ClassVar[str] = (
        "raise the limit (`--cpu-s`, or DecodeLimits), or convert the file"
    )


class DecoderCrashError(MediaError):
    """The decoding process died on this file."""

    default_hint: ClassVar[str] = "convert the file, for instance with `ffmpeg -i FILE fixed.mp4`"


class WriteError(MediaError):
    """A clip cannot be written as asked."""

    exit_code: ClassVar[int] = 2
    default_hint: ClassVar[str] = "write at least one frame, of even height and width"
