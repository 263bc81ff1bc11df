"""One row of a video instruction set -> the messages of one record.

Video-ChatGPT (VideoInstruct-100K) has `q`, `a`, `video_id`; ShareGemini and others use LLaVA's
`video` and `conversations`. Our own records are read as they are.
"""

from collections.abc import Mapping

from textreel.data.corpus_rows import text_of
from textreel.data.files import Json
from textreel.data.long_text import RowError
from textreel.data.record import Message, Part, Role

_ROLES: dict[str, Role] = {"human": "user", "user": "user", "gpt": "assistant"}
_ROLES |= {"assistant": "assistant", "system": "system"}
_MARK = "<video>"


def from_video_chatgpt(row: Mapping[str, Json]) -> tuple[Message, ...]:
    """Read a question about a video.

    Raises:
        RowError: a field is missing.
    """
    question, answer = text_of(row, "q").strip(), text_of(row, "a").strip()
    return _messages(text_of(row, "video_id"), [("user", question), ("assistant", answer)])


def from_llava_video(row: Mapping[str, Json]) -> tuple[Message, ...]:
    """Read a conversation about a video.

    Raises:
        RowError: no video, no conversation, or turns that do not alternate from the user's on.
    """
    turns = row.get("conversations")
    if not isinstance(turns, list) or not turns:
        raise RowError("no conversations", code="no conversation")
    said: list[tuple[Role, str]] = []
    for turn in turns:
        if not isinstance(turn, dict):
            raise RowError("a turn is no object", code="no conversation")
        who, text = ("from", "value") if "from" in turn else ("role", "content")
        role = _ROLES.get(text_of(turn, who))
        if role is None:
            raise RowError(f"a turn of {turn[who]!r}", code="unknown role")
        said.append((role, text_of(turn, text).replace(_MARK, "").strip()))
    spoken = [role for role, _ in said if role != "system"]
    if spoken != ["user", "assistant"] * (len(spoken) // 2) or not spoken:
        raise RowError("turns do not alternate from user to assistant", code="order of turns")
    return _messages(text_of(row, "video"), said)


def _messages(video: str, said: list[tuple[Role, str]]) -> tuple[Message, ...]:
    if not video:
        raise RowError("the video has no name", code="no video")
    messages = []
    shown = False
    for role, text in said:
        if not text:
            raise RowError(f"the {role} says nothing", code=f"empty {role}")
        parts: tuple[Part, ...] = (Part(kind="text", value=text),)
        if role == "user" and not shown:
            parts, shown = (Part(kind="video", value=video), *parts), True
        messages.append(Message(role=role, parts=parts))
    return tuple(messages)
