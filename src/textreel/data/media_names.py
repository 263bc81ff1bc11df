"""From the name that a record has for a video or picture to the file of that name.

Annotations often give a video's name without its ending (`video_id` of Video-ChatGPT and of
ActivityNet). Such a name is that of the one file which only adds the ending of a video; of two,
none is taken.
"""

from pathlib import Path

from textreel.media.errors import MissingFileError

VIDEO_ENDINGS = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv")
"""What names of videos may leave out, in lower case."""


def named_file(folder: Path, name: str) -> Path:
    """Return the file of a name.

    Args:
        folder: that relative names start from.
        name: a path, perhaps without the ending of a video.

    Raises:
        MissingFileError: no file has that name, or several have it and another ending each.
    """
    path = folder / name
    if not path.name:
        raise MissingFileError(str(path), f"{name!r} names no file")
    if path.exists() and not path.is_dir():
        return path
    found = [p for ending in VIDEO_ENDINGS if (p := path.with_name(path.name + ending)).is_file()]
    if len(found) > 1:
        raise MissingFileError(
            str(path),
            f"{len(found)} files have that name: {', '.join(p.name for p in found)}",
            hint="leave one of them there, or name the file with its ending",
        )
    if not found:
        tried = (
            "" if path.suffix.lower() in VIDEO_ENDINGS else ", nor one that adds a video's ending"
        )
        what = "a folder, no file" if path.is_dir() else "no such file"
        raise MissingFileError(str(path), f"{what}{tried}")
    return found[0]
