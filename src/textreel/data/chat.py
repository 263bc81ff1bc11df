"""Prompts in a model's own chat template, with spans that need no searching.

A chat template is a program of the tokenizer's author; where it puts a text cannot be known, only
observed. So the conversation is rendered twice: once with a unique sentinel in the place of every
text, which shows where texts go, and once with the texts themselves. Both must agree when the
sentinels are replaced; a template that trims, reorders or rewrites what it is given is refused.

The words that follow the last answer (`<|im_end|>`, `</s>`) are what ends an answer; they are part
of every target.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from textreel.data.encoding import Tokenizer
from textreel.data.prompt import (
    MEDIA,
    Piece,
    Prompt,
    PromptError,
    PromptTemplate,
    Turn,
    answer_lead,
    opening,
    option_targets,
    write_answer,
    write_question,
)

Message = tuple[Piece, ...]
UNKNOWN = "a"
"""Stands in the place of an answer that is not known while a template is observed."""


class ChatTemplateError(PromptError):
    """A tokenizer has no chat template, or one that changes what it is given."""


def write_chat_prompt(
    id: str,
    *,
    turns: Sequence[Turn],
    template: PromptTemplate,
    tokenizer: Tokenizer,
    video: bool = True,
    context: Sequence[str] = (),
    begin: Sequence[Piece] | None = None,
) -> Prompt:
    """Write questions about one video as a conversation in the tokenizer's own chat template.

    Questions (the first with instruction, video and context) are the user's messages, answers the
    assistant's; blank space around a message is left out.

    Args:
        id: name of the sample.
        turns: at least one; only the last answer may be unknown.
        template: the words within messages.
        tokenizer: has a chat template.
        video: whether there is a video.
        context: lines of text beside or instead of the video.
        begin: what stands before the first question instead of instruction, video and context.

    Raises:
        ChatTemplateError: no chat template, or one that changes the texts.
        PromptError: no turn, or an answer that is unknown before the last.
    """
    if not turns:
        raise PromptError(f"{id}: a prompt needs at least one question")
    if getattr(tokenizer, "chat_template", None) is None:
        raise ChatTemplateError(
            f"{tokenizer.name_or_path}: the tokenizer has no chat template",
            hint="use a template with chat=False",
        )
    if begin is None:
        begin = opening(turns[0], template, video=video, context=context)
    messages = turn_messages(turns, template, begin)
    between = _render(messages, tokenizer)
    stop = between[-1].strip()
    pieces = [Piece(kind="text", text=between[0])]
    for index, (message, after) in enumerate(zip(messages, between[1:], strict=True)):
        is_answer = index % 2 == 1
        if is_answer and not after.startswith(stop):
            raise ChatTemplateError(
                f"{tokenizer.name_or_path}: the chat template ends the last answer with {stop!r}, "
                f"but an earlier one with {after[: len(stop)]!r}",
                hint="use a template with chat=False, or one question per prompt",
            )
        rest = after.removeprefix(stop) if is_answer else after
        pieces += [*message, Piece(kind="text", text=rest)]
    return Prompt(
        id=id,
        pieces=tuple(piece for piece in pieces[:-1] if piece.text or piece.kind != "text"),
        options=option_targets(turns[-1], template),
        answer=turns[-1].answer,
        stop=stop or None,
        bos=False,
    )


def turn_messages(
    turns: Sequence[Turn], template: PromptTemplate, begin: Sequence[Piece]
) -> list[Message]:
    """Return question and answer of every turn; `begin` stands before the first question."""
    messages: list[Message] = []
    for turn in turns:
        question = Piece(kind="text", text=write_question(turn, template))
        lead = Piece(kind="text", text=answer_lead(turn, template).lstrip())
        answer = Piece(kind="target", text=write_answer(turn, template))
        messages += [_stripped([*begin, question]), (lead, answer)]
        begin = ()
    return messages


def _stripped(pieces: Sequence[Piece]) -> Message:
    """Leave out blank space at both ends of a message."""
    kept = [piece for piece in pieces if piece.text or piece in MEDIA]
    while kept and kept[0] not in MEDIA and not kept[0].text.strip():
        kept = kept[1:]
    while kept and kept[-1] not in MEDIA and not kept[-1].text.strip():
        kept = kept[:-1]
    if kept and kept[0] not in MEDIA:
        kept[0] = replace(kept[0], text=kept[0].text.lstrip())
    if kept and kept[-1] not in MEDIA:
        kept[-1] = replace(kept[-1], text=kept[-1].text.rstrip())
    return tuple(kept)


def _render(messages: Sequence[Message], tokenizer: Tokenizer) -> list[str]:
    """Return the template's own words before, between and after the messages."""
    mark = hashlib.sha256(repr(messages).encode()).hexdigest()[:16]
    stand_in = {"video": f"<{mark}-video>", "sound": f"<{mark}-sound>", "target": UNKNOWN}
    texts = ["".join(p.text or stand_in.get(p.kind, "") for p in message) for message in messages]
    return observe(texts, partial(_apply, tokenizer), name=tokenizer.name_or_path)


def observe(
    texts: Sequence[str], render: Callable[[Sequence[str]], str], *, name: str
) -> list[str]:
    """Return what a chat template writes before, between and after the texts it is given.

    Args:
        texts: in the order of the conversation.
        render: writes the conversation with these texts, or others, in their places.
        name: of the tokenizer, for messages.

    Raises:
        ChatTemplateError: a template that leaves texts out, repeats, reorders or changes them.
    """
    mark = hashlib.sha256(repr(list(texts)).encode()).hexdigest()[:16]
    sentinels = [f"<{mark}-{index}>" for index in range(len(texts))]
    marked, real = render(sentinels), render(texts)
    between: list[str] = []
    rest = marked
    for sentinel in sentinels:
        before, found, rest = rest.partition(sentinel)
        if not found or sentinel in rest:
            raise ChatTemplateError(
                f"{name}: the chat template does not write message "
                f"{len(between)} exactly once and in order",
                hint="use a template with chat=False",
            )
        between.append(before)
    between.append(rest)
    rebuilt = between[0] + "".join(a + b for a, b in zip(texts, between[1:], strict=True))
    if rebuilt != real:
        raise ChatTemplateError(
            f"{name}: the chat template changes the texts it is given",
            hint="use a template with chat=False",
        )
    return between


def _apply(tokenizer: Tokenizer, contents: Sequence[str]) -> str:
    roles = ("user", "assistant")
    conversation = [
        {"role": roles[index % 2], "content": content} for index, content in enumerate(contents)
    ]
    return tokenizer.apply_chat_template(conversation, tokenize=False)
