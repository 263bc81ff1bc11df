"""`Record`: one sample of any data set, in the message shape of Hugging Face chats.

    {"id": "a1", "source": "...", "licence": "CC-BY-4.0", "messages": [
      {"role": "user", "content": [{"type": "video", "path": "a.mp4", "start_s": 2.0},
                                   {"type": "text", "text": "What happens?"}]},
      {"role": "assistant", "content": [{"type": "text", "text": "It moves."}]}]}

A message whose content is a plain string is a message of one text part.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

PartKind = Literal["text", "image", "video", "audio", "textual_video", "pages"]
Role = Literal["system", "user", "assistant"]
VALUE_KEY: dict[PartKind, str] = {
    "text": "text",
    "image": "path",
    "video": "path",
    "audio": "path",
    "textual_video": "id",
    "pages": "text",
}
"""Where each kind of part keeps its value in JSON."""


class RecordError(ValueError):
    """A record does not have the shape of one.

    Attributes:
        exit_code: what the command line exits with.
        hint: the way out, one sentence.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A piece of a message.

    Attributes:
        kind: what it is.
        value: the text; the path of a picture, video or sound; the id of a textual video; the
            long text that pages show.
        start_s: first second to look at, for a video or sound; None: from the start.
        end_s: second to stop before; None: to the end.
    """

    kind: PartKind
    value: str
    start_s: float | None = None
    end_s: float | None = None

    def __post_init__(self) -> None:
        timed = self.start_s is not None or self.end_s is not None
        if timed and self.kind not in ("video", "audio"):
            raise RecordError(f"a part of kind {self.kind!r} has no seconds")
        start_s = self.start_s or 0.0
        end_s = start_s + 1 if self.end_s is None else self.end_s
        if not 0 <= start_s < end_s < math.inf:
            raise RecordError(f"[{self.start_s}, {self.end_s}) is no interval of seconds")

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        times = {"start_s": self.start_s, "end_s": self.end_s}
        kept = {name: time for name, time in times.items() if time is not None}
        return {"type": self.kind, VALUE_KEY[self.kind]: self.value, **kept}


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What one side says.

    Attributes:
        role: who.
        parts: at least one.
    """

    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One sample.

    Attributes:
        id: unique in its data set.
        messages: at least one.
        source: where it comes from: a data set, a file, a recipe.
        licence: SPDX name, or as the source states it; empty: unknown.
    """

    id: str
    messages: tuple[Message, ...]
    source: str = ""
    licence: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; `from_json` gives an equal record."""
        messages = [
            {"role": message.role, "content": [part.to_json() for part in message.parts]}
            for message in self.messages
        ]
        return {
            "id": self.id,
            "source": self.source,
            "licence": self.licence,
            "messages": messages,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Record":
        """Read a record.

        Raises:
            RecordError: a field is missing, unknown or of another kind; says which, and where.
        """
        id = values.get("id")
        if not isinstance(id, str) or not id:
            raise RecordError(f"a record has no id (its fields: {', '.join(sorted(values))})")
        if unknown := values.keys() - {"id", "source", "licence", "messages"}:
            raise RecordError(f"{id}: unknown fields {', '.join(sorted(unknown))}")
        messages = values.get("messages")
        if not isinstance(messages, list) or not messages:
            raise RecordError(f"{id}: messages must be a list of at least one message")
        return cls(
            id=id,
            messages=tuple(_message(m, f"{id}, message {i}") for i, m in enumerate(messages)),
            source=str(values.get("source", "")),
            licence=str(values.get("licence", "")),
        )


def _message(values: Any, place: str) -> Message:  # noqa: ANN401 - any JSON value
    if not isinstance(values, dict) or values.keys() != {"role", "content"}:
        raise RecordError(f"{place}: a message has the fields role and content, and no others")
    role, content = values["role"], values["content"]
    if role not in get_args(Role):
        raise RecordError(f"{place}: role {role!r} is none of {', '.join(get_args(Role))}")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list) or not content:
        raise RecordError(f"{place}: content must be a text or a list of at least one part")
    return Message(
        role=role, parts=tuple(_part(p, f"{place}, part {i}") for i, p in enumerate(content))
    )


def _part(values: Any, place: str) -> Part:  # noqa: ANN401 - any JSON value
    kind = values.get("type") if isinstance(values, dict) else None
    if kind not in VALUE_KEY:
        raise RecordError(f"{place}: type {kind!r} is none of {', '.join(VALUE_KEY)}")
    value = values.get(VALUE_KEY[kind])
    if not isinstance(value, str) or not value:
        raise RecordError(f"{place}: a part of type {kind!r} needs a {VALUE_KEY[kind]!r}")
    if unknown := values.keys() - {"type", VALUE_KEY[kind], "start_s", "end_s"}:
        raise RecordError(f"{place}: unknown fields {', '.join(sorted(unknown))}")
    times = {name: values.get(name) for name in ("start_s", "end_s")}
    if any(t is not None and not isinstance(t, int | float) for t in times.values()):
        raise RecordError(f"{place}: start_s and end_s are seconds, got {times}")
    return Part(kind=kind, value=value, **times)
