"""Stories: a text with one frame a line, which can stand wherever a video is expected."""

from pathlib import Path

from textreel.data.textual_video import TextualFrame, TextualVideo
from textreel.serve.errors import StoryError

SUFFIX = ".txt"
LINE_S = 1.0
"""A story has no clock: its lines count as one second apart, as textual videos without times do."""


def is_story(path: str | Path) -> bool:
    """Return whether a path is read as a story: its name ends in `.txt`."""
    return Path(path).suffix.lower() == SUFFIX


def read_story(path: str | Path) -> TextualVideo:
    """Read a story: every line that is not blank is one frame, in order of time.

    Raises:
        StoryError: there is no such file, it is not UTF-8 text, or it has no line with words.
    """
    path = Path(path)
    if not path.is_file():
        raise StoryError(
            f"there is no story {path}", hint="Give a text file with one frame a line."
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise StoryError(
            f"{path} is not UTF-8 text (byte {error.start})",
            hint="Save it as UTF-8; if it is a video, give it a name that does not end in .txt.",
        ) from error
    return parse_story(text, name=path.name)


def parse_story(text: str, *, name: str) -> TextualVideo:
    """Make a textual video of a text with one frame a line; blank lines are no frames.

    Raises:
        StoryError: no line holds words, or the text holds control characters.
    """
    if "\0" in text:
        raise StoryError(f"{name} is not text: it holds NUL bytes", hint="Give a text file.")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    captions = [line for line in lines if line]
    if not captions:
        raise StoryError(
            f"{name} tells nothing: no line of {len(lines)} holds words",
            hint="Write one frame a line, such as `a red circle is on the left`.",
        )
    return TextualVideo(
        id=name,
        frames=tuple(TextualFrame(caption=line) for line in captions),
        caption="",
        times_s=tuple(LINE_S * index for index in range(len(captions))),
        source=name,
    )
