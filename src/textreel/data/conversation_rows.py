"""LLaVA's and ShareGPT's conversations, read so that what is written again is the same row.

LLaVA keeps the path (or a list of paths) in `image` or `video`, ShareGPT (as LLaMA-Factory reads
it) lists in `images` and `videos`; `<image>` and `<video>` in a value say where each is shown, on a
line of its own. A row that `shapes.write_shape` would not write again as it is (a mark in the
middle of a line, a field that a record has no place for) is set aside, never changed silently.
"""

from collections.abc import Mapping
from typing import Literal

from textreel.data.files import Json
from textreel.data.long_text import RowError
from textreel.data.record import Message, Part, Record, Role
from textreel.data.shapes import ShapeError, shape_row

Conversations = Literal["llava", "sharegpt"]
_ROLES: dict[str, Role] = {"human": "user", "gpt": "assistant", "system": "system"}
_KEYS = {"llava": ("image", "video"), "sharegpt": ("images", "videos")}


def from_conversations(
    row: Mapping[str, Json], shape: Conversations, *, source: str, licence: str
) -> Record:
    """Read a row.

    Args:
        row: of a LLaVA or ShareGPT file.
        shape: which.
        source: of the record.
        licence: of the record.

    Raises:
        RowError: something is missing, or would not be written again as it stands here.
    """
    turns = row.get("conversations")
    if not isinstance(turns, list) or not turns or not all(isinstance(t, dict) for t in turns):
        raise RowError(
            "no conversations, a list of turns", code="no conversation", hint="give it a list"
        )
    media = {key.rstrip("s"): _paths(row.get(key)) for key in _KEYS[shape]}
    messages = tuple(_message(turn, media) for turn in turns)
    if left := [f"{len(paths)} {kind}" for kind, paths in media.items() if paths]:
        raise RowError(
            f"{', '.join(left)} more than the turns have marks for",
            code="marks",
            hint="write <image> or <video> on a line of its own for each",
        )
    name = row.get("id")
    id = str(name) if isinstance(name, str | int) and not isinstance(name, bool) else ""
    if not id:
        raise RowError("no id", code="no id", hint="give every row an id of its own")
    record = Record(id=id, messages=messages, source=source, licence=licence)
    try:
        again = shape_row(record, shape)
    except ShapeError as error:
        raise RowError(str(error), code="marks", hint=error.hint) from error
    if again != row:
        odd = sorted(k for k in again.keys() | row.keys() if again.get(k) != row.get(k))
        raise RowError(
            f"it would not be written again as it is (in {', '.join(odd)})",
            code="not lossless",
            hint="put marks on lines of their own, and take out fields that no record has",
        )
    return record


def _paths(value: Json) -> list[str]:
    given = value if isinstance(value, list) else [] if value is None else [value]
    return [str(path) for path in given]


def _message(turn: Mapping[str, Json], media: dict[str, list[str]]) -> Message:
    role, value = _ROLES.get(str(turn.get("from"))), turn.get("value")
    if role is None or not isinstance(value, str):
        raise RowError(
            f"a turn from {turn.get('from')!r} with a value of type {type(value).__name__}",
            code="unknown role",
            hint="turns are from human, gpt or system, and their values are texts",
        )
    parts: list[Part] = []
    for piece in _pieces(value):
        if piece not in ("<image>", "<video>"):
            parts.append(Part(kind="text", value=piece))
            continue
        kind: Literal["image", "video"] = "image" if piece == "<image>" else "video"
        if not media[kind]:
            raise RowError(
                f"a mark {piece} without a path",
                code="marks",
                hint=f"name a path for every {piece}",
            )
        parts.append(Part(kind=kind, value=media[kind].pop(0)))
    return Message(role=role, parts=tuple(parts))


def _pieces(value: str) -> list[str]:
    """Part a value into marks and the texts between them; a newline is what joins them."""
    pieces: list[str] = []
    text: list[str] = []
    for line in value.split("\n"):
        if line in ("<image>", "<video>"):
            pieces += ["\n".join(text)] if text else []
            pieces, text = [*pieces, line], []
        else:
            text.append(line)
    return [*pieces, "\n".join(text)] if text else pieces
