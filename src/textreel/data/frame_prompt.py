"""Prompts for image-LLMs: conversations in the model's own chat template, with pictures in them.

The template is observed as in `chat.py`; it writes one placeholder for each picture, which is
replaced by the picture's own words (`Pictures.words`). What comes out is a `Prompt` of text and
targets only: the image tokens are part of its text, so the model's tokenizer sees what the family's
own processor would have shown it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from textreel.data.chat import UNKNOWN, ChatTemplateError, observe
from textreel.data.prompt import VIDEO, Piece, Prompt, PromptError
from textreel.data.record import Role


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameMessage:
    """What one side says, with pictures.

    Attributes:
        role: who; everything the assistant says is a target or leads to one.
        pieces: text, targets, and a `VIDEO` wherever pictures stand.
    """

    role: Role
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """A run of text pieces, or one picture."""

    pieces: tuple[Piece, ...]

    @property
    def is_picture(self) -> bool:
        return self.pieces == (VIDEO,)

    @property
    def text(self) -> str:
        return "".join(p.text or (UNKNOWN if p.kind == "target" else "") for p in self.pieces)


def write_frames_prompt(
    id: str,
    *,
    messages: Sequence[FrameMessage],
    groups: Sequence[int],
    words: Sequence[str],
    placeholder: str,
    tokenizer: Any,  # noqa: ANN401 - an `encoding.Tokenizer` with a chat template for parts
) -> Prompt:
    """Write a conversation with pictures; the last message is the assistant's.

    Args:
        id: name of the sample.
        messages: only the last answer may be unknown.
        groups: how many pictures each `VIDEO` stands for, in order.
        words: what stands in the prompt for each picture; `Pictures.words`.
        placeholder: what the chat template writes for a picture; `Family.placeholder`.
        tokenizer: fast, with a chat template.

    Raises:
        ChatTemplateError: the template changes texts, or writes other pictures than it was given.
        PromptError: pictures and words do not match, a text holds the placeholder, the last message
            is not the assistant's.
    """
    _check(id, messages, groups, words, placeholder)
    left = iter(groups)
    content = [(message.role, _parts(message, left)) for message in messages]
    runs = [part for _, parts in content for part in parts if not part.is_picture]

    def render(texts: Sequence[str]) -> str:
        own = iter(texts)
        conversation = [
            {"role": role, "content": [_json(part, own) for part in parts]}
            for role, parts in content
        ]
        return str(tokenizer.apply_chat_template(conversation, tokenize=False))

    between = observe([run.text for run in runs], render, name=tokenizer.name_or_path)
    found = sum(text.count(placeholder) for text in between)
    if found != len(words):
        raise ChatTemplateError(
            f"{tokenizer.name_or_path}: the chat template writes {found} pictures where "
            f"{len(words)} were given",
            hint="put the template of the model's family into its folder",
        )
    between = list(_expanded(between, placeholder, iter(words)))
    begins = str(getattr(tokenizer, "bos_token", None) or "\0")
    return Prompt(
        id=id,
        pieces=_laid_out(runs, between, name=tokenizer.name_or_path),
        stop=between[-1].strip() or None,
        bos=_adds_begin(tokenizer) and not between[0].startswith(begins),
    )


def _check(
    id: str,
    messages: Sequence[FrameMessage],
    groups: Sequence[int],
    words: Sequence[str],
    placeholder: str,
) -> None:
    if not messages or messages[-1].role != "assistant":
        raise PromptError(f"{id}: a conversation ends with what the assistant shall say")
    places = sum(piece == VIDEO for message in messages for piece in message.pieces)
    if places != len(groups) or sum(groups) != len(words):
        raise PromptError(
            f"{id}: {places} places for pictures, {len(groups)} groups of {sum(groups)} pictures "
            f"in all, and words for {len(words)}"
        )
    holding = [p.text for m in messages for p in m.pieces if placeholder in p.text]
    if holding:
        raise PromptError(
            f"{id}: a text holds {placeholder!r}, which stands for a picture in this model's "
            f"prompts",
            hint="ask in other words",
        )


def _parts(message: FrameMessage, groups: Iterator[int]) -> list[_Part]:
    """Part a message into pictures and runs of text."""
    parts: list[_Part] = []
    for is_picture, pieces in groupby(message.pieces, key=VIDEO.__eq__):
        run = tuple(pieces)
        if is_picture:
            parts += [_Part((VIDEO,)) for _ in run for _ in range(next(groups))]
        elif any(piece.text or piece.kind == "target" for piece in run):
            parts.append(_Part(run))
    return parts


def _json(part: _Part, texts: Iterator[str]) -> dict[str, str]:
    if part.is_picture:
        return {"type": "image"}
    return {"type": "text", "text": next(texts)}


def _expanded(between: Sequence[str], placeholder: str, words: Iterator[str]) -> Iterator[str]:
    """Yield the template's own words with every placeholder replaced by the next picture's."""
    for text in between:
        first, *others = text.split(placeholder)
        yield first + "".join(next(words) + other for other in others)


def _laid_out(runs: Sequence[_Part], between: Sequence[str], *, name: str) -> tuple[Piece, ...]:
    """Return all pieces in order; what ends an answer belongs to the answer, not to what follows.

    Raises:
        ChatTemplateError: the template ends its answers in more than one way.
    """
    stop = between[-1].strip()
    pieces = [Piece(kind="text", text=between[0])]
    for run, after in zip(runs, between[1:], strict=True):
        ends = any(piece.kind == "target" for piece in run.pieces)
        if ends and not after.startswith(stop):
            raise ChatTemplateError(
                f"{name}: the chat template ends the last answer with {stop!r}, but an earlier "
                f"one with {after[: len(stop)]!r}",
                hint="ask one question at a time",
            )
        rest = after.removeprefix(stop) if ends else after
        pieces += [*run.pieces, Piece(kind="text", text=rest)]
    return tuple(p for p in pieces[:-1] if p.text or p.kind == "target")


def _adds_begin(tokenizer: Any) -> bool:  # noqa: ANN401
    """Return whether the tokenizer puts a begin-of-text token before texts by itself."""
    if tokenizer.bos_token_id is None:
        return False
    return bool(tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id])
