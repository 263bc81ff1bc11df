"""Records -> the JSON that other trainers read: MiniCPM, HF messages, LLaVA, ShareGPT and others.

All shapes come from the same `Record`. Pages become the pictures that were exported for its id
(`textreel synth pages`); a video becomes its path, or, where there is a folder of pictures of its
file's name, these frames. A shape that has no place for something refuses the record by name.
"""

import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from textreel.data.errors import HintedError
from textreel.data.files import Json, atomic_file, fingerprint
from textreel.data.record import Part, Record

Shape = Literal["minicpm", "messages", "llava", "sharegpt", "qwen-vl", "internvl"]
MADE_WITH_FILE = "made_with.json"
"""Beside the pages of a text: what they were made with, and of which text."""
_PICTURES = {".png", ".webp", ".jpg", ".jpeg"}
_MARKS = re.compile("<(?:image|video)>")
_NUMBERED_MARKS = re.compile(r"<image(?:_\d+)?>")
_LIST_SHAPES = {"minicpm", "llava", "sharegpt"}
"""Shapes that stand in files of one JSON list; the others are JSON lines."""


class ShapeError(HintedError, ValueError):
    """A record that has no form in the wanted shape."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Medium:
    """A picture or a video that stands at some place of a message."""

    kind: Literal["image", "video"]
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One message: what is seen and said in it, in order."""

    role: str
    pieces: tuple[Medium | str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShapeReport:
    """What was written.

    Attributes:
        out: the file.
        shape: of its rows.
        records: in it.
        pictures: that they show.
        videos: that they show.
    """

    out: Path
    shape: Shape
    records: int
    pictures: int
    videos: int


def write_shape(
    records: Iterable[Record], out: Path | str, *, shape: Shape, pictures: Sequence[Path] = ()
) -> ShapeReport:
    """Write records in a shape, whole or not at all.

    Args:
        records: what to write.
        out: file of one JSON list (minicpm, llava, sharegpt) or of JSON lines (the others).
        shape: of the rows.
        pictures: folders that hold a folder of pictures for the id of each record with pages, and
            may hold one for each video: its path, or else its name alone, without its ending.

    Raises:
        ShapeError: no such shape or folder, or a record that has no form in it; says which.
    """
    for folder in pictures:
        if not folder.is_dir():
            raise ShapeError(f"there is no folder {folder} of pictures", hint="check the path")
    if shape not in get_args(Shape):
        raise ShapeError(f"shape {shape!r} is none of {', '.join(get_args(Shape))}")
    as_list = shape in _LIST_SHAPES
    count = num_pictures = num_videos = 0
    with atomic_file(out) as file:
        file.write(b"[\n" if as_list else b"")
        for record in records:
            turns = turns_of(record, pictures=pictures)
            media = [p for turn in turns for p in turn.pieces if isinstance(p, Medium)]
            try:
                row = json.dumps(_SHAPES[shape](record, turns), ensure_ascii=False).encode()
            except ShapeError as error:
                raise ShapeError(f"record {record.id}: {error}", hint=error.hint) from error
            file.write((b",\n" if as_list and count else b"") + row + (b"" if as_list else b"\n"))
            count += 1
            num_pictures += sum(medium.kind == "image" for medium in media)
            num_videos += sum(medium.kind == "video" for medium in media)
        file.write(b"\n]\n" if as_list else b"")
    return ShapeReport(
        out=Path(out), shape=shape, records=count, pictures=num_pictures, videos=num_videos
    )


def turns_of(record: Record, *, pictures: Sequence[Path] = ()) -> tuple[Turn, ...]:
    """Return the turns of a record, its pages and pictures found.

    Raises:
        ShapeError: pages without pictures, or a kind of part that none of the shapes knows.
    """
    return tuple(
        Turn(
            role=message.role,
            pieces=tuple(
                piece for part in message.parts for piece in _pieces(record, part, pictures)
            ),
        )
        for message in record.messages
    )


def shape_row(record: Record, shape: Shape) -> Json:
    """Return a record as a row of a shape, its media as they are named; errors as `turns_of`."""
    return _SHAPES[shape](record, turns_of(record))


def _pieces(record: Record, part: Part, folders: Sequence[Path]) -> Iterator[Medium | str]:
    if part.kind == "text":
        yield part.value
    elif part.kind == "image":
        yield Medium(kind="image", path=part.value)
    elif part.kind == "pages":
        if not (found := _find(folders, Path(record.id))):
            raise ShapeError(
                f"record {record.id} has pages, and there are no pictures of them in "
                f"{', '.join(map(str, folders)) or 'any folder: none was named'}",
                hint="write them with `textreel synth pages`, and name their folder",
            )
        _refuse_other_text(record, part, Path(found[0]).parent)
        yield from (Medium(kind="image", path=path) for path in found)
    elif part.kind == "video":
        if part.start_s is not None or part.end_s is not None:
            raise ShapeError(
                f"record {record.id} looks at seconds {part.start_s} to {part.end_s} of "
                f"{part.value}, which these shapes cannot say",
                hint="cut the video",
            )
        name = _frames_name(part.value)
        frames = _find(folders, name) or _find(folders, Path(name.name))
        yield from (Medium(kind="image", path=path) for path in frames)
        if not frames:
            yield Medium(kind="video", path=part.value)
    else:
        raise ShapeError(
            f"record {record.id} has a part of kind {part.kind!r}, which these shapes cannot say"
        )


def _frames_name(video: str) -> Path:
    """Return what the folder of a video's frames is called: its path without its ending.

    Numbers are no ending: `a_11.1_19.6` is the name of a clip of these seconds.
    """
    path = Path(video)
    keeps = not path.name or path.suffix[1:].isdecimal()
    return path if keeps else path.with_suffix("")


def _frames_hint(video: str) -> str:
    """Say how the folder of a video's frames is called, and how to make one."""
    name = _frames_name(video)
    place = f"DIR/{name.name if name.is_absolute() else name}"
    return (
        f"give --pictures DIR with the frames in the folder {place}, such as "
        f"`textreel media show VIDEO --num-frames 8 --save-frames {shlex.quote(place)}` writes"
    )


def _refuse_other_text(record: Record, part: Part, folder: Path) -> None:
    """Refuse pages that say of themselves that they show another text."""
    path = folder / MADE_WITH_FILE
    if not path.is_file():
        return
    if json.loads(path.read_bytes()).get("text") != fingerprint(part.value):
        raise ShapeError(
            f"record {record.id}: the pages in {folder} are of another text",
            hint="draw them again with `textreel synth pages`",
        )


def _find(folders: Sequence[Path], name: Path) -> list[str]:
    for folder in folders:
        if name.name and not name.is_absolute() and (place := folder / name).is_dir():
            found = (p for p in place.iterdir() if p.suffix.lower() in _PICTURES)
            return [str(p) for p in sorted(found, key=_counted)]
    return []


def _counted(path: Path) -> tuple[list[str | int], str]:
    """Order names as people count: frame_2 comes before frame_10."""
    parts = re.split(r"(\d+)", path.name)
    return [int(part) if number % 2 else part for number, part in enumerate(parts)], path.name


def _media(turns: Sequence[Turn], kind: str) -> list[str]:
    return [
        piece.path
        for turn in turns
        for piece in turn.pieces
        if isinstance(piece, Medium) and piece.kind == kind
    ]


def _said(turn: Turn, mark: Callable[[Medium], str], *, marks: re.Pattern[str] = _MARKS) -> str:
    """Return a turn as text: a line for each medium, then what is said.

    Raises:
        ShapeError: what is said holds a mark, which stands for a medium to whoever reads it.
    """
    for piece in turn.pieces:
        if isinstance(piece, str) and (found := marks.search(piece)):
            raise ShapeError(
                f"a text holds {found[0]}, which stands for a picture or video in this shape: "
                f"{piece[:60]!r}",
                hint="write it in other words, or choose the messages shape",
            )
    return "\n".join(piece if isinstance(piece, str) else mark(piece) for piece in turn.pieces)


def _minicpm(record: Record, turns: Sequence[Turn]) -> Json:
    """MiniCPM-V's fine-tuning format: names of pictures to paths, names in the text."""
    if videos := _media(turns, "video"):
        raise ShapeError(
            f"it shows the video {videos[0]}; MiniCPM's map holds pictures only",
            hint=_frames_hint(videos[0]),
        )
    if any(turn.role == "system" for turn in turns):
        raise ShapeError(
            "it has a message of the system; MiniCPM's map begins with the user",
            hint="take the message out, or choose another shape",
        )
    names: dict[str, str] = {}

    def name(medium: Medium) -> str:
        mark = f"<image_{len(names):02d}>"
        names[mark] = medium.path
        return mark

    said = [
        {"role": turn.role, "content": _said(turn, name, marks=_NUMBERED_MARKS)} for turn in turns
    ]
    return {"id": record.id, "image": names, "conversations": said}


def _messages(record: Record, turns: Sequence[Turn]) -> Json:
    """Hugging Face's chat messages, as processors' chat templates take them."""
    return {"id": record.id, "messages": _typed(turns, {"image": "path", "video": "path"})}


def _qwen(record: Record, turns: Sequence[Turn]) -> Json:
    """Messages as Qwen's `qwen_vl_utils` takes them."""
    return {"id": record.id, "messages": _typed(turns, {"image": "image", "video": "video"})}


def _typed(turns: Sequence[Turn], keys: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "role": turn.role,
            "content": [
                {"type": "text", "text": piece}
                if isinstance(piece, str)
                else {"type": piece.kind, keys[piece.kind]: piece.path}
                for piece in turn.pieces
            ],
        }
        for turn in turns
    ]


def _from_value(turns: Sequence[Turn]) -> list[dict[str, str]]:
    who = {"user": "human", "assistant": "gpt", "system": "system"}
    return [
        {"from": who[turn.role], "value": _said(turn, lambda medium: f"<{medium.kind}>")}
        for turn in turns
    ]


def _llava(record: Record, turns: Sequence[Turn]) -> Json:
    """LLaVA: one picture or video is a text, several are a list."""
    row: dict[str, Any] = {"id": record.id, "conversations": _from_value(turns)}
    for kind in ("image", "video"):
        if paths := _media(turns, kind):
            row[kind] = paths[0] if len(paths) == 1 else paths
    return row


def _sharegpt(record: Record, turns: Sequence[Turn]) -> Json:
    """ShareGPT with media lists, as LLaMA-Factory reads it."""
    row: dict[str, Any] = {"id": record.id, "conversations": _from_value(turns)}
    for kind in ("image", "video"):
        if paths := _media(turns, kind):
            row[f"{kind}s"] = paths
    return row


def _internvl(record: Record, turns: Sequence[Turn]) -> Json:
    """InternVL's JSON lines: several pictures are numbered in the text."""
    pictures, videos = _media(turns, "image"), _media(turns, "video")
    if len(videos) > 1 or (videos and pictures):
        raise ShapeError(
            f"it shows {len(videos)} videos and {len(pictures)} pictures; an InternVL row has one "
            f"video or pictures"
        )
    seen: list[str] = []

    def mark(medium: Medium) -> str:
        seen.append(medium.path)
        numbered = medium.kind == "image" and len(pictures) > 1
        return f"Image-{len(seen)}: <image>" if numbered else f"<{medium.kind}>"

    who = {"user": "human", "assistant": "gpt", "system": "system"}
    said = [{"from": who[turn.role], "value": _said(turn, mark)} for turn in turns]
    row: dict[str, Any] = {"id": record.id, "conversations": said}
    if pictures:
        row["image"] = pictures[0] if len(pictures) == 1 else pictures
    return row | ({"video": videos[0]} if videos else {})


_SHAPES: dict[Shape, Callable[[Record, Sequence[Turn]], Json]] = {
    "minicpm": _minicpm,
    "messages": _messages,
    "llava": _llava,
    "sharegpt": _sharegpt,
    "qwen-vl": _qwen,
    "internvl": _internvl,
}
