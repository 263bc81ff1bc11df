"""Prompts for a model with eyes and ears: pictures, sound and when they were, in one conversation.

    human-assistant  ###Human: <Video>[pictures]</Video> When ... question###Assistant: answer###
    llama-2          [INST] <<SYS>> ... <</SYS>> [pictures] question [/INST] answer </s>
    chat             the tokenizer's own chat template
    plain            the words of a `PromptTemplate` around [pictures][sound]

The first two are Video-LLaMA's (`senses_templates.py` has the strings). Which characters are
targets is said while the prompt is written. In training, the published human-assistant prompt has a
newline before every `###`, and makes targets of each `###` and of the label `###Assistant: `; when
it answers, it has neither. Both are repeated here. Not as published: the end of a caption is a
target even where the caption is cut (`senses_collate`), and a time is written once per frame that
is really there.

Source: Video-LLaMA@64888c0, video_llama/conversation/conversation_video.py;
datasets/datasets/video_instruct_dataset.py `preprocess`, `preprocess_for_llama_v2`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from textreel.data.chat import write_chat_prompt
from textreel.data.prompt import (
    SOUND,
    VIDEO,
    Piece,
    Prompt,
    PromptError,
    PromptTemplate,
    Turn,
    option_targets,
    write_answer,
    write_prompt,
    write_question,
)
from textreel.models.batch import Features

Layout = Literal["human-assistant", "llama-2", "chat", "plain"]
MARK = "###"
_PLACES = re.compile(r"(\{video\}|\{sound\}|\{times\})")
_SIGNS = {"human-assistant": MARK, "llama-2": "[INST]"}


@dataclass(frozen=True, kw_only=True, slots=True)
class SensesTemplate:
    """The words around what is seen and heard. Plain strings with `{places}`.

    Attributes:
        name: what it is called.
        layout: how questions and answers follow each other.
        words: of questions, options and answers; for `plain` of everything.
        seen: a video that is seen only; `{video}` and `{times}`.
        still: a single picture; `{video}`.
        heard: a sound without pictures; `{sound}`.
        both: `{video}`, `{sound}`, and `{times}` if wanted.
        times: when the frames were; `{count}` and `{seconds}`.
        system: the system's words, for `human-assistant` and `llama-2`.
    """

    name: str
    layout: Layout
    words: PromptTemplate
    seen: str
    still: str
    heard: str
    both: str
    times: str = ""
    system: str = ""

    def __post_init__(self) -> None:
        if "{sound}{video}" in self.both:
            raise PromptError(
                f"the template {self.name} has sound right before the video",
                hint="put the sound behind it, or a word between them",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What a prompt is about.

    Attributes:
        times_s: of the frames, in seconds; empty without pictures.
        sound: whether there is a sound.
        still: whether the one frame is a picture and not a video.
    """

    times_s: tuple[float, ...] = ()
    sound: bool = False
    still: bool = False


def shown_of(image: Features | None, sound: Features | None, *, still: bool = False) -> Shown:
    """Say what features show."""
    times_s = () if image is None else tuple(float(t) for t in image.times_s)
    return Shown(times_s=times_s, sound=sound is not None, still=still)


def write_senses_prompt(
    id: str,
    *,
    turns: Sequence[Turn],
    template: SensesTemplate,
    shown: Shown,
    tokenizer: Any,  # noqa: ANN401 - an `encoding.Tokenizer`
) -> Prompt:
    """Write questions about what is seen and heard.

    Args:
        id: name of the sample.
        turns: at least one; only the last answer may be unknown.
        template: the words around them.
        shown: what there is.
        tokenizer: of the decoder; its chat template is used by the layout `chat`.

    Raises:
        PromptError: no turn, or an answer that is unknown before the last.
        ChatTemplateError: see `chat.write_chat_prompt`.
    """
    if not turns:
        raise PromptError(f"{id}: a prompt needs at least one question")
    media = media_pieces(template, shown)
    if template.layout == "chat":
        return write_chat_prompt(
            id, turns=turns, template=template.words, tokenizer=tokenizer, begin=media
        )
    if template.layout == "plain":
        return _plain(id, turns, template, media)
    answered = bool(write_answer(turns[-1], template.words))
    pieces: list[Piece]
    if template.layout == "llama-2":
        pieces, stop = _llama_2(turns, template, media), None
        lead, tail = " ", " "
    elif answered:
        pieces, stop = _taught(turns, template, media), ""
        lead, tail = "", ""
    else:
        pieces, stop = _asked(turns, template, media), MARK
        lead, tail = " ", ""
    last = turns[-1]
    options = option_targets(last, template.words)
    return Prompt(
        id=id,
        pieces=tuple(piece for piece in pieces if piece.text or piece.kind != "text"),
        options=tuple(f"{lead}{option}{tail}" for option in options),
        answer=last.answer,
        stop=stop,
    )


def write_caption_prompt(id: str, *, caption: str, heard: bool = False, end: str = "\n") -> Prompt:
    """Write a caption behind its pictures (or its sound) without a word of prompt.

    Source: Video-LLaMA@64888c0, models/video_llama.py `forward`, stage 1.

    Args:
        id: name of the sample.
        caption: the target.
        heard: whether it stands behind a sound.
        end: ends it, and is part of the target.
    """
    medium = SOUND if heard else VIDEO
    return Prompt(id=id, pieces=(medium, Piece(kind="target", text=caption + end)), stop="")


def media_pieces(template: SensesTemplate, shown: Shown) -> list[Piece]:
    """Return the pieces that stand for what is seen and heard; none for neither."""
    if shown.times_s and shown.sound:
        text = template.both
    elif shown.times_s:
        text = template.still if shown.still else template.seen
    else:
        text = template.heard if shown.sound else ""
    seconds = ", ".join(str(round(time_s, 1)) for time_s in shown.times_s)
    times = template.times.format(count=len(shown.times_s), seconds=seconds)
    places = {"{video}": VIDEO, "{sound}": SOUND, "{times}": Piece(kind="text", text=times)}
    parts = (places.get(part) or Piece(kind="text", text=part) for part in _PLACES.split(text))
    return [part for part in parts if part.text or part.kind != "text"]


def check_template(template: SensesTemplate, tokenizer: Any) -> None:  # noqa: ANN401
    """Refuse a template that the decoder's tokenizer cannot follow, or was not taught with.

    Args:
        template: to be used.
        tokenizer: the decoder's.

    Raises:
        PromptError: names the template, the tokenizer and what is missing.
    """
    name = getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
    own = getattr(tokenizer, "chat_template", None)
    if template.layout == "chat" and own is None:
        raise PromptError(
            f"the template {template.name} is the decoder's own, and {name} has no chat template",
            hint="use video-llama-vicuna or video-llama-llama-2",
        )
    sign = _SIGNS.get(template.layout)
    if sign is None:
        return
    if isinstance(own, str) and sign not in own:
        raise PromptError(
            f"the template {template.name} writes {sign}, which the chat template of {name} does "
            f"not have: that decoder was taught other prompts, and would answer nonsense",
            hint="use the template senses-chat",
        )
    if template.layout == "llama-2":
        for text, wanted in (("<s>", tokenizer.bos_token_id), ("</s>", tokenizer.eos_token_id)):
            ids = tokenizer([text], add_special_tokens=False)["input_ids"][0]
            if wanted is None or ids != [wanted]:
                raise PromptError(
                    f"the template {template.name} needs {text} to be the token that begins or "
                    f"ends a text, but {name} reads it as {ids}",
                    hint="use a Llama-2 tokenizer, or the template senses-chat",
                )


def _question(turn: Turn, template: SensesTemplate) -> str:
    words = template.words
    return words.summary_instruction if turn.task == "summary" else write_question(turn, words)


def _answer(id: str, turn: Turn, template: SensesTemplate) -> str:
    answer = write_answer(turn, template.words)
    if not answer:
        raise PromptError(f"{id}: only the last answer of a prompt may be unknown")
    return answer


def _plain(
    id: str, turns: Sequence[Turn], template: SensesTemplate, media: Sequence[Piece]
) -> Prompt:
    written = write_prompt(id, turns=turns, template=template.words, video=bool(media))
    pieces: list[Piece] = []
    for piece in written.pieces:
        pieces += media if piece == VIDEO else [piece]
    return Prompt(
        id=id,
        pieces=tuple(pieces),
        options=written.options,
        answer=written.answer,
        stop=written.stop,
        bos=written.bos,
    )


def _taught(turns: Sequence[Turn], template: SensesTemplate, media: Sequence[Piece]) -> list[Piece]:
    """The published training prompt: every `###` and the assistant's label are targets too."""
    pieces = [Piece(kind="text", text=f"{template.system}\n\n"), Piece(kind="target", text=MARK)]
    for number, turn in enumerate(turns):
        asked = Piece(kind="text", text=f"{_question(turn, template)}\n")
        pieces += [Piece(kind="text", text="Human: "), *([] if number else media), asked]
        answer = _answer(f"question {number}", turn, template)
        pieces.append(Piece(kind="target", text=f"{MARK}Assistant: {answer}\n{MARK}"))
    return pieces


def _asked(turns: Sequence[Turn], template: SensesTemplate, media: Sequence[Piece]) -> list[Piece]:
    """The published prompt of a chat, whose last answer is to be written."""
    pieces = [Piece(kind="text", text=template.system)]
    for number, turn in enumerate(turns):
        pieces += [Piece(kind="text", text=f"{MARK}Human: "), *([] if number else media)]
        text = f"{_question(turn, template)}{MARK}Assistant:"
        if number + 1 < len(turns):
            text += f" {_answer(f'question {number}', turn, template)}"
        pieces.append(Piece(kind="text", text=text))
    return [*pieces, Piece(kind="target")]


def _llama_2(
    turns: Sequence[Turn], template: SensesTemplate, media: Sequence[Piece]
) -> list[Piece]:
    pieces = [Piece(kind="text", text=f"[INST] <<SYS>>\n{template.system}\n<</SYS>>\n\n")]
    for number, turn in enumerate(turns):
        again = "<s>[INST] " if number else ""
        pieces += [Piece(kind="text", text=again), *([] if number else media)]
        pieces.append(Piece(kind="text", text=f"{_question(turn, template)} [/INST]"))
        answer = write_answer(turn, template.words)
        if not answer and number + 1 < len(turns):
            raise PromptError(f"question {number}: only the last answer of a prompt may be unknown")
        pieces.append(Piece(kind="target", text=f" {answer} " if answer else ""))
    return pieces
