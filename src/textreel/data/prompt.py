"""Prompts: what a model reads, written together with where the video and the answers stand.

A `Prompt` is a row of pieces: text, a video, and targets (what the model shall say). The writer
knows every target when it writes it, so nobody searches for it afterwards: `segments` gives texts
with character spans, and `collate` turns those into token spans through the tokenizer's offsets.

A prompt may hold several questions about one video. Each answer is a target. The last answer may be
unknown (empty); then the prompt is for generating, or for scoring its `options` in that place.

`PromptTemplate` is plain data; `templates.py` has the ready ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

Task = Literal["choice", "open", "summary"]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class PromptError(ValueError):
    """A prompt cannot be written as asked.

    Attributes:
        exit_code: what the command line exits with.
        hint: the way out, one sentence.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class PromptTooLongError(PromptError):
    """A prompt does not fit, and nothing that may be dropped is left."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptTemplate:
    """The words around a video and its questions. Plain strings with `{places}`.

    A `choice` question reads, in order: `choice_instruction`, video, `context`, `question`,
    `choices_lead`, one `option` each, `choice_lead`, then the target `choice_target`; `open` and
    `summary` likewise. In a prompt of several questions, instruction and video stand once, and
    `turn_separator` between one answer and the next question.

    Attributes:
        name: what it is called.
        choice_instruction: first words of a prompt whose first question is a choice.
        open_instruction: the same for an open question.
        summary_instruction: the same for a summary.
        video_lead: before the video; left out where there is none.
        video_tail: after the video; left out where there is none.
        frame_tail: after the soft tokens of every frame (published: nothing).
        context: how one line of context is written; `{text}`.
        question: how a question is written; `{question}`.
        choices_lead: before the options.
        option: how one option is written; `{letter}`, `{letter_low}`, `{text}`.
        choice_lead: before the answer to a choice, not a target.
        choice_target: the answer to a choice, a target; places as in `option`.
        open_lead: before the answer to an open question.
        open_target: the answer to an open question; `{text}`.
        summary_lead: before a summary.
        summary_target: a summary; `{text}`.
        stop: text that ends every answer and is part of its target; None: the tokenizer's own
            end-of-text token, also a target.
        turn_separator: between an answer and the next question.
        bos: whether the tokenizer's begin-of-text token, where it has one, comes first.
        chat: whether everything is wrapped in the tokenizer's own chat template (which then says
            how prompts begin and answers end); see `chat.write_chat_prompt`.
    """

    name: str
    choice_instruction: str
    open_instruction: str
    summary_instruction: str
    question: str
    option: str
    choice_target: str
    video_lead: str = ""
    video_tail: str = ""
    frame_tail: str = ""
    context: str = "{text}\n"
    choices_lead: str = ""
    choice_lead: str = ""
    open_lead: str = ""
    open_target: str = "{text}"
    summary_lead: str = ""
    summary_target: str = "{text}"
    stop: str | None = None
    turn_separator: str = ""
    bos: bool = True
    chat: bool = False

    def ask(self, question: str) -> str:
        """Return a question as it is written."""
        return self.question.format(question=question)


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One question and, where it is known, its answer.

    Attributes:
        task: `choice`, `open` or `summary`.
        question: the question's text; empty for a summary.
        options: texts to choose from, for a choice.
        answer: index of the right option, for a choice; None: unknown.
        answer_text: the answer in words, for the others; empty: unknown.
    """

    task: Task
    question: str = ""
    options: tuple[str, ...] = ()
    answer: int | None = None
    answer_text: str = ""

    def __post_init__(self) -> None:
        if self.task != "choice":
            if self.options or self.answer is not None:
                raise PromptError(f"a question of task {self.task!r} takes no options")
            return
        if not 2 <= len(self.options) <= len(LETTERS):
            raise PromptError(
                f"a choice needs 2 to {len(LETTERS)} options, got {len(self.options)} "
                f"(question: {shorten(self.question)})",
                hint="give at least two --option, or none for an open question",
            )
        if len(set(self.options)) < len(self.options):
            twice = next(o for i, o in enumerate(self.options) if o in self.options[:i])
            raise PromptError(
                f"option {twice!r} is given more than once (question: {shorten(self.question)})",
                hint="options must differ",
            )
        if self.answer is not None and not 0 <= self.answer < len(self.options):
            raise PromptError(
                f"answer {self.answer} is not one of {len(self.options)} options "
                f"(question: {shorten(self.question)})"
            )


PieceKind = Literal["text", "video", "sound", "target"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A part of a prompt.

    Attributes:
        kind: `text`; `video` and `sound`, where soft tokens of pictures and of sound go; `target`,
            what the model shall say.
        text: its words; empty for a video or a sound.
        droppable: whether this text may be left out of a prompt that is too long.
    """

    kind: PieceKind
    text: str = ""
    droppable: bool = False


VIDEO = Piece(kind="video")
SOUND = Piece(kind="sound")
MEDIA = (VIDEO, SOUND)


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """Text between videos and sounds, with the spans of its targets.

    Attributes:
        text: the words.
        targets: (start, end) of every target, characters in [start, end).
        video_before: whether a video stands right before this text.
        sound_before: whether a sound does.
    """

    text: str
    targets: tuple[tuple[int, int], ...]
    video_before: bool
    sound_before: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What a model reads about one video.

    Attributes:
        id: name of the sample, for messages.
        pieces: in order; the last one is a target, empty where the answer is unknown.
        options: what may stand in the last target, for a choice.
        answer: index of the right option, where it is known.
        stop: text that ends every answer and is part of its target; None: the tokenizer's
            end-of-text token.
        bos: whether the tokenizer's begin-of-text token comes first.
    """

    id: str
    pieces: tuple[Piece, ...]
    options: tuple[str, ...] = ()
    answer: int | None = None
    stop: str | None = None
    bos: bool = True

    def __post_init__(self) -> None:
        if not self.pieces or self.pieces[-1].kind != "target":
            raise PromptError(f"{self.id}: a prompt ends with a target, known or empty")
        if sum(piece.kind == "video" for piece in self.pieces) > 1:
            raise PromptError(f"{self.id}: a prompt takes one video")
        if sum(piece.kind == "sound" for piece in self.pieces) > 1:
            raise PromptError(f"{self.id}: a prompt takes one sound")
        early = [p for p in self.pieces[:-1] if p.kind == "target" and not p.text]
        if early:
            raise PromptError(f"{self.id}: only the last answer of a prompt may be unknown")

    @property
    def has_video(self) -> bool:
        """Whether there is a place for a video."""
        return VIDEO in self.pieces

    def with_answer(self, text: str) -> "Prompt":
        """Return the same prompt with `text` as its last target."""
        last = replace(self.pieces[-1], text=text)
        return replace(self, pieces=(*self.pieces[:-1], last))

    def without_context(self, count: int) -> "Prompt":
        """Return the same prompt without its last `count` droppable pieces."""
        at = [i for i, piece in enumerate(self.pieces) if piece.droppable]
        gone = set(at[len(at) - count :]) if count else set()
        return replace(self, pieces=tuple(p for i, p in enumerate(self.pieces) if i not in gone))

    def segments(self) -> tuple[Segment, ...]:
        """Return the texts between video and sound with the character spans of their targets."""
        parts: list[tuple[Piece | None, list[Piece]]] = [(None, [])]
        for piece in self.pieces:
            if piece in MEDIA:
                parts.append((piece, []))
            else:
                parts[-1][1].append(piece)
        return tuple(_segment(part, before=before) for before, part in parts)

    def text(self, *, video: str = "<video>", sound: str = "<sound>") -> str:
        """Return all words in order, `video` and `sound` for these; for people and logs."""
        stand_in = {"video": video, "sound": sound}
        return "".join(stand_in.get(piece.kind, piece.text) for piece in self.pieces)


def _segment(pieces: Sequence[Piece], *, before: Piece | None) -> Segment:
    text, targets = "", []
    for piece in pieces:
        if piece.kind == "target":
            targets.append((len(text), len(text) + len(piece.text)))
        text += piece.text
    return Segment(
        text=text,
        targets=tuple(targets),
        video_before=before == VIDEO,
        sound_before=before == SOUND,
    )


def write_prompt(
    id: str,
    *,
    turns: Sequence[Turn],
    template: PromptTemplate,
    video: bool = True,
    context: Sequence[str] = (),
) -> Prompt:
    """Write questions about one video.

    Args:
        id: name of the sample.
        turns: at least one; only the last answer may be unknown.
        template: the words around them.
        video: whether there is a video; without, its lead and tail are left out too.
        context: lines of text beside or instead of the video, such as captions or a dialogue; the
            last lines are dropped first where a prompt is too long and dropping is allowed.

    Raises:
        PromptError: no turn, or an answer that is unknown before the last.
    """
    if not turns:
        raise PromptError(f"{id}: a prompt needs at least one question")
    pieces = opening(turns[0], template, video=video, context=context)
    for index, turn in enumerate(turns):
        separator = template.turn_separator if index else ""
        lead = separator + write_question(turn, template) + answer_lead(turn, template)
        answer = write_answer(turn, template)
        if not answer:
            lead += given_words(turn, template)
        pieces += [Piece(kind="text", text=lead), Piece(kind="target", text=answer)]
    last = turns[-1]
    return Prompt(
        id=id,
        pieces=tuple(piece for piece in pieces if piece.text or piece.kind != "text"),
        options=option_targets(last, template),
        answer=last.answer,
        stop=template.stop,
        bos=template.bos,
    )


def opening(
    first: Turn, template: PromptTemplate, *, video: bool, context: Sequence[str]
) -> list[Piece]:
    """Return what stands before the first question: instruction, video and context."""
    instruction = {
        "choice": template.choice_instruction,
        "open": template.open_instruction,
        "summary": template.summary_instruction,
    }[first.task]
    pieces = [Piece(kind="text", text=instruction)]
    if video:
        pieces += [Piece(kind="text", text=template.video_lead), VIDEO]
        pieces.append(Piece(kind="text", text=template.video_tail))
    lines = (template.context.format(text=line) for line in context)
    return pieces + [Piece(kind="text", text=line, droppable=True) for line in lines]


def write_question(turn: Turn, template: PromptTemplate) -> str:
    """Return a question with its options."""
    if turn.task == "summary":
        return ""
    question = template.ask(turn.question)
    if turn.task == "open":
        return question
    options = (template.option.format(**_places(i, o)) for i, o in enumerate(turn.options))
    return question + template.choices_lead + "".join(options)


def answer_lead(turn: Turn, template: PromptTemplate) -> str:
    """Return the words of an answer that are given, not asked for."""
    return {
        "choice": template.choice_lead,
        "open": template.open_lead,
        "summary": template.summary_lead,
    }[turn.task]


def write_answer(turn: Turn, template: PromptTemplate) -> str:
    """Return an answer as a target; empty where it is unknown."""
    if turn.task == "choice":
        return "" if turn.answer is None else option_targets(turn, template)[turn.answer]
    target = template.open_target if turn.task == "open" else template.summary_target
    return target.format(text=turn.answer_text) if turn.answer_text else ""


def given_words(turn: Turn, template: PromptTemplate) -> str:
    """Return the words before a free answer that are learned with it but need not be said.

    A space before the answer is not among them: it belongs to the answer's first token.
    """
    if turn.task == "choice":
        return ""
    target = template.open_target if turn.task == "open" else template.summary_target
    return target.split("{text}")[0].rstrip()


def option_targets(turn: Turn, template: PromptTemplate) -> tuple[str, ...]:
    """Return what each option of a choice looks like as a target; empty for other tasks."""
    target = template.choice_target
    return tuple(target.format(**_places(i, option)) for i, option in enumerate(turn.options))


def _places(index: int, option: str) -> dict[str, str]:
    return {"letter": LETTERS[index], "letter_low": LETTERS[index].lower(), "text": option}


def shorten(text: str, *, limit: int = 60) -> str:
    """Return `text` in quotes, cut for a message."""
    return repr(text if len(text) <= limit else text[:limit] + "...")
