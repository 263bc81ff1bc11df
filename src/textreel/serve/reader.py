"""`Reader`: what a session asks of a model of either family; neither knows which one it holds.

look    a video, a story  -> Seen
write   Seen, turns       -> Asked, the last turn unanswered
many    Asked, ...        -> Answers, in batches
choose, stream            -> one Answer, or its pieces, through a thread that keeps what was read
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from textreel.data.prompt import Prompt, Turn
from textreel.models.answer import Answer
from textreel.models.scoring import OptionScores
from textreel.models.thread import Thread
from textreel.serve.errors import QuestionError
from textreel.serve.looking import Seen, Video

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A checked question with its prompt and what it is about.

    Attributes:
        seen: what it is about.
        turns: everything asked and answered before, and the question, which is the last.
        prompt: the words that the model reads.
    """

    seen: Seen
    turns: tuple[Turn, ...]
    prompt: Prompt

    @property
    def turn(self) -> Turn:
        """The question."""
        return self.turns[-1]


class Reader(Protocol):
    """A model with everything that prepares its input.

    Attributes:
        name: what the user called it.
        limit: most positions that it reads; None: it names no limit.
        remembers: whether a conversation shows it earlier turns, unless it is told otherwise.
    """

    name: str
    limit: int | None
    remembers: bool

    def look(self, video: Video) -> Seen:
        """Look at a video once, for any number of questions."""

    def num_tokens(self, seen: Seen) -> int:
        """Return the positions that a video takes in a prompt."""

    def check(self, question: str, options: Sequence[str] | None) -> Turn:
        """Return a question as a turn without an answer."""

    def write(self, seen: Seen, turns: Sequence[Turn]) -> Asked:
        """Write the prompt of the last turn."""

    def many(self, asked: Sequence[Asked], *, max_new_tokens: int) -> list[Answer]:
        """Answer questions in batches, in order."""

    def choose(self, asked: Asked, thread: Thread) -> Answer:
        """Answer a choice."""

    def stream(self, asked: Asked, thread: Thread, *, max_new_tokens: int) -> Iterator[str]:
        """Yield the answer to an open question as it grows: all of its text so far, each time."""

    def answer(self, asked: Asked, text: str) -> Answer:
        """Return an answer in words with what it rests on."""


def chosen(reader: Reader, asked: Asked, score: OptionScores) -> Answer:
    """Return the answer to a choice, with how likely every option is."""
    return replace(
        reader.answer(asked, asked.turn.options[score.best]),
        chosen=score.best,
        options=asked.turn.options,
        log_likelihoods=tuple(score.total.tolist()),
        probabilities=tuple(score.probabilities().tolist()),
    )


def too_long(asked: Asked, why: str) -> QuestionError:
    """Return the error of a question that does not fit with its video."""
    words = len(asked.turn.question.split())
    before = len(asked.turns) - 1
    with_past = f" and {before} earlier turn{'s' * (before > 1)}" if before else ""
    begin_again = "Begin a new conversation, " if before else ""
    hint = f"{begin_again}Ask a shorter question, give shorter options, or want a shorter answer."
    return QuestionError(
        f"a question of {words:,} words{with_past} does not fit: {why}",
        hint=hint if not before else hint.replace("Ask", "ask"),
    )


def whole_text(text: str) -> bool:
    """Return whether a decoded text ends with a whole character.

    A character of several tokens decodes to a replacement mark until its last token is there.
    """
    return not text.endswith(REPLACEMENT)
