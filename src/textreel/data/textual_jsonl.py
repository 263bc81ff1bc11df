"""Textual videos in our own form: JSON lines, exact for everything a `TextualVideo` holds.

    {"format": 1, "kind": "textual-videos", "version": "0.1.0"}
    {"id": "v17", "frames": [{"caption": "...", "objects": [["hammer", "..."]]}], ...}

One file, or a folder of files of a stated number of videos each (`videos-00000.jsonl`, ...).
"""

import json
import math
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain, islice, pairwise
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from textreel.data.errors import TextualDataError
from textreel.data.files import Json, atomic_directory, atomic_file, check_header, make_header
from textreel.data.quarantine import Quarantine
from textreel.data.textual_video import TextualVideo

_KIND = "textual-videos"


def write_videos(path: Path | str, videos: Iterable[TextualVideo]) -> int:
    """Write videos into one file, whole or not at all.

    Returns:
        The number of videos.

    Raises:
        TextualDataError: a video that could not be read back (see `faults`), or two with one id;
            nothing is written.
    """
    seen: set[str] = set()
    with atomic_file(path) as file:
        file.write(_line(make_header(_KIND)))
        for video in videos:
            _refuse(video, seen, path=path)
            try:
                file.write(_line(_adapter().dump_python(video)))
            except ValueError as error:
                raise _unwritable(video, path, f"cannot be UTF-8 JSON: {error}") from error
    return len(seen)


def write_video_folder(
    path: Path | str,
    videos: Iterable[TextualVideo],
    *,
    videos_per_file: int = 10_000,
    overwrite: bool = False,
) -> int:
    """Write videos into a folder of files, whole or not at all.

    Returns:
        The number of videos.

    Raises:
        TakenError: `path` is there already, not empty, and `overwrite` is false.
        TextualDataError: as for `write_videos`.
    """
    seen: set[str] = set()
    rest = iter(videos)
    with atomic_directory(path, overwrite=overwrite) as draft:
        for number, first in enumerate(rest):
            part = chain([first], islice(rest, videos_per_file - 1))
            checked = (_refuse(video, seen, path=path) for video in part)
            write_videos(draft / f"videos-{number:05d}.jsonl", checked)
        if not seen:
            write_videos(draft / "videos-00000.jsonl", [])
    return len(seen)


def read_videos(
    path: Path | str, *, quarantine: Quarantine | None = None
) -> Iterator[TextualVideo]:
    """Yield the videos of a file, or of all `.jsonl` files of a folder in order of their names.

    Args:
        path: file or folder.
        quarantine: takes lines that are no good; without one, the first is an error.

    Raises:
        TextualDataError: nothing to read at `path`, or a bad line; the message names file and line.
        FormatError: a file of another kind, or of a newer format.
    """
    path = Path(path)
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise TextualDataError(
            f"{path} is no file, and no folder with .jsonl files", hint="check the path"
        )
    return _read(files, quarantine)


def faults(video: TextualVideo) -> list[str]:
    """Return what keeps a video from being used, each with its place; empty if nothing does."""
    found = [] if video.id else ["id: is empty"]
    if not video.frames:
        found.append("frames: is empty")
    if len(video.times_s) not in (0, len(video.frames)):
        found.append(f"times_s: {len(video.times_s)} times for {len(video.frames)} frames")
    if not all(map(math.isfinite, video.times_s)):
        found.append("times_s: not finite")
    elif not all(a <= b for a, b in pairwise(video.times_s)):
        found.append("times_s: not ascending")
    for index, question in enumerate(video.questions):
        where = f"questions.{index}"
        if len(question.options) < 2 or len(set(question.options)) < len(question.options):
            found.append(f"{where}.options: {len(question.options)} options, not two or more, all")
            found[-1] += " different"
        if not 0 <= question.answer < len(question.options):
            found.append(
                f"{where}.answer: {question.answer} is not the index of one of "
                f"{len(question.options)} options"
            )
    return found


def _read(files: list[Path], quarantine: Quarantine | None) -> Iterator[TextualVideo]:
    seen: set[str] = set()
    for path in files:
        with path.open("rb") as file:
            check_header(_json_or_none(file.readline()), kind=_KIND, path=path)
            for number, line in enumerate(file, start=2):
                video, wrong = _parse(line)
                if video is not None and video.id in seen:
                    wrong = [f"id: {video.id!r} is the name of an earlier video"]
                if video is not None and not wrong:
                    seen.add(video.id)
                    yield video
                elif quarantine is None:
                    raise TextualDataError(
                        f"{path} line {number}: {'; '.join(wrong)}",
                        hint="mend or remove the line, or give a quarantine, which sets it aside",
                    )
                else:
                    quarantine.add(
                        f"line {number}" if video is None else video.id,
                        source=str(path),
                        line=number,
                        code="textual-video",
                        message="; ".join(wrong),
                    )


def _parse(line: bytes) -> tuple[TextualVideo | None, list[str]]:
    try:
        video = _adapter().validate_json(line, strict=True)
    except ValidationError as error:
        return None, [
            f"{'.'.join(map(str, fault['loc'])) or 'line'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
    return video, faults(video)


@cache
def _adapter() -> TypeAdapter[TextualVideo]:
    return TypeAdapter(TextualVideo)


def _refuse(video: TextualVideo, seen: set[str], *, path: Path | str) -> TextualVideo:
    wrong = faults(video)
    if video.id in seen:
        wrong.append("id: is the name of an earlier video")
    if wrong:
        raise _unwritable(video, path, "; ".join(wrong))
    seen.add(video.id)
    return video


def _unwritable(video: TextualVideo, path: Path | str, why: str) -> TextualDataError:
    return TextualDataError(
        f"textual video {video.id!r} cannot be written to {path}: {why}",
        hint="mend it or leave it out; nothing was written",
    )


def _line(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _json_or_none(line: bytes) -> Json:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
