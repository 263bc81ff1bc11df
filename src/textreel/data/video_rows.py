"""One row of a video instruction set -> the messages of one record.

Video-ChatGPT (VideoInstruct-100K) has `q`, `a`, `video_id`; ShareGemini and others use LLaVA's
`video` and `conversations`; LLaVA-instruct the same with `image`; VideoChat has `video` and `QA`, a
list of `q` and `a`. Captions without a question (WebVid's csv; `filter_cap.json` of CC595k and
MiniGPT-4) become a message that shows the video or picture and says nothing, and its answer.
Questions of any set with named fields (MSVD-QA, MSRVTT-QA) are read by those names, and those of
ActivityNet-QA with the prefix that ActivityNet's files have and its questions leave out. Our own
records are read as they are.

Source: Video-LLaMA@64888c0, video_llama/datasets/datasets/.
"""

import re
from collections.abc import Mapping
from typing import Literal

from textreel.data.corpus_rows import text_of
from textreel.data.files import Json
from textreel.data.long_text import RowError
from textreel.data.named_fields import PLACE
from textreel.data.record import Message, Part, Role

_ROLES: dict[str, Role] = {"human": "user", "user": "user", "gpt": "assistant"}
_ROLES |= {"assistant": "assistant", "system": "system"}
_MARKS = re.compile(r"<(?:video|image)>\n?|\n?<(?:video|image)>")
LLAVA_PREFIX = "COCO_train2014_"
"""Before the name of every picture of LLaVA-instruct, in the folder that holds them."""
ACTIVITYNET_PREFIX, _YOUTUBE_CHARS = "v_", 11
"""Before the name of every video of ActivityNet, and how long such a name is without it."""
_CAPTION_NOISE = re.compile(r"[.!\"()*#:;~]")
MOST_CAPTION_WORDS = 50


def from_webvid(row: Mapping[str, Json]) -> tuple[Message, ...]:
    """Read a line of WebVid's csv: a video below its page's folder, and its caption.

    The caption is cleaned as published (`blip_caption`): lower case, marks to spaces, 50 words.

    Raises:
        RowError: a column is missing, or nothing is left of the caption.
    """
    words = _CAPTION_NOISE.sub(" ", text_of(row, "name").lower()).split()
    path = f"{text_of(row, 'page_dir')}/{text_of(row, 'videoid')}.mp4"
    return _captioned("video", path.lstrip("/"), " ".join(words[:MOST_CAPTION_WORDS]))


def from_captions(row: Mapping[str, Json]) -> tuple[Message, ...]:
    """Read an annotation of `filter_cap.json`: a picture below `image/`, and its caption as it is.

    Raises:
        RowError: a field is missing, or the caption is empty.
    """
    return _captioned(
        "image", f"image/{_name(row, 'image_id')}.jpg", text_of(row, "caption").strip()
    )


def from_videochat(row: Mapping[str, Json]) -> tuple[Message, ...]:
    """Read questions and answers about a video.

    Raises:
        RowError: no video, or no list of questions with answers.
    """
    asked = row.get("QA")
    if not isinstance(asked, list) or not asked or not all(isinstance(one, dict) for one in asked):
        raise RowError("no QA, a list of questions and answers", code="no conversation")
    said: list[tuple[Role, str]] = []
    for one in asked:
        said += [("user", text_of(one, "q").strip()), ("assistant", text_of(one, "a").strip())]
    return _messages(text_of(row, "video"), said)


def from_llava_instruct(row: Mapping[str, Json]) -> tuple[Message, ...]:
    """Read a conversation about a picture.

    Raises:
        RowError: see `from_llava_video`.
    """
    return _conversation(row, "image", prefix=LLAVA_PREFIX)


def _captioned(kind: Literal["image", "video"], path: str, caption: str) -> tuple[Message, ...]:
    if not caption:
        raise RowError("the caption says nothing", code="empty caption")
    return (
        Message(role="user", parts=(Part(kind=kind, value=path),)),
        Message(role="assistant", parts=(Part(kind="text", value=caption),)),
    )


def _name(row: Mapping[str, Json], field: str) -> str:
    """Return a name that may be written as a number."""
    value = row.get(field)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else text_of(row, field)


def from_named_fields(row: Mapping[str, Json], fields: Mapping[str, str]) -> tuple[Message, ...]:
    """Read a question about a video or picture.

    Names and answers may be whole numbers.

    Args:
        row: of a file.
        fields: where `instruction`, `answer` and `video` or `image` stand; see `named_fields`.

    Raises:
        RowError: a field is missing, empty, or neither text nor whole number.
    """
    kind: Literal["image", "video"] = "video" if "video" in fields else "image"
    name = fields[kind]
    if "{" not in name:
        path = _name(row, name).strip()
    else:
        values = {field: _name(row, field).strip() for field in PLACE.findall(name)}
        if empty := [field for field, value in values.items() if not value]:
            raise RowError(f"{kind} {name}: {', '.join(empty)} is empty", code=f"no {kind}")
        path = PLACE.sub(lambda found: values[found[1]], name)
    question, answer = text_of(row, fields["instruction"]), _name(row, fields["answer"])
    return _messages(path, [("user", question.strip()), ("assistant", answer.strip())], kind=kind)


def from_activitynet_qa(row: Mapping[str, Json]) -> tuple[Message, ...]:
    """Read a question of ActivityNet-QA that has its answers beside it.

    Source: MILVLG/activitynet-qa, dataset/README.md; of the names, ActivityNet's own files.

    Raises:
        RowError: no name, question or answer, or several answers that differ.
    """
    name, question, answers = text_of(row, "video_name"), text_of(row, "question"), row["answers"]
    if not isinstance(answers, list) or len(answers) != 1:
        found = ", ".join(map(repr, answers)) if isinstance(answers, list) else ""
        raise RowError(
            f"question_id {row.get('question_id')!r} has {found or 'none'} as answers, one wanted",
            code="several answers" if found else "no answer",
        )
    if name and not (name.startswith(ACTIVITYNET_PREFIX) and len(name) > _YOUTUBE_CHARS):
        name = ACTIVITYNET_PREFIX + name
    return _messages(name, [("user", question.strip()), ("assistant", str(answers[0]).strip())])


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
    return _conversation(row, "video")


def _conversation(
    row: Mapping[str, Json], kind: Literal["image", "video"], *, prefix: str = ""
) -> tuple[Message, ...]:
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
        said.append((role, _MARKS.sub("", text_of(turn, text)).strip()))
    spoken = [role for role, _ in said if role != "system"]
    if spoken != ["user", "assistant"] * (len(spoken) // 2) or not spoken:
        raise RowError("turns do not alternate from user to assistant", code="order of turns")
    path = text_of(row, kind)
    return _messages(path and prefix + path, said, kind=kind)


def _messages(
    video: str, said: list[tuple[Role, str]], *, kind: Literal["image", "video"] = "video"
) -> tuple[Message, ...]:
    if not video:
        raise RowError(f"the {kind} has no name", code=f"no {kind}")
    messages = []
    shown = False
    for role, text in said:
        if not text:
            raise RowError(f"the {role} says nothing", code=f"empty {role}")
        parts: tuple[Part, ...] = (Part(kind="text", value=text),)
        if role == "user" and not shown:
            parts, shown = (Part(kind=kind, value=video), *parts), True
        messages.append(Message(role=role, parts=parts))
    return tuple(messages)
