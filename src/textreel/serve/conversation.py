"""`Conversation`: questions about one video, which stays encoded and read between them.

A conversation that remembers shows the model what was asked and answered before; one that does not
asks every question afresh. Both read only what is new in a prompt.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from textreel.data.files import write_atomic
from textreel.data.prompt import Turn
from textreel.data.record import Message, Part, Record
from textreel.models.answer import Answer
from textreel.models.thread import Thread
from textreel.serve.looking import Seen
from textreel.serve.reader import Asked, Reader

MAX_NEW_TOKENS = 32


class Stream:
    """An answer as it is written: iterate over its pieces, then take `answer`.

    Iterating to the end makes the answer part of the conversation; breaking off leaves it out.
    """

    def __init__(self, conversation: "Conversation", asked: Asked, max_new_tokens: int) -> None:
        self._conversation, self._asked = conversation, asked
        self._max_new_tokens = max_new_tokens
        self._answer: Answer | None = None

    def __iter__(self) -> Iterator[str]:
        said = ""
        reader, thread = self._conversation.reader, self._conversation.thread
        for text in reader.stream(self._asked, thread, max_new_tokens=self._max_new_tokens):
            if text.startswith(said) and len(text) > len(said):
                piece, said = text[len(said) :], text
                yield piece
        self._answer = self._conversation.add(self._asked, reader.answer(self._asked, text))

    @property
    def answer(self) -> Answer:
        """The whole answer; reads what is left of the stream first."""
        if self._answer is None:
            for _ in self:
                pass
        assert self._answer is not None
        return self._answer


class Conversation:
    """Questions and answers about one video. Build it with `Session.chat`.

    Args:
        reader: the model.
        seen: the video, looked at.
        remember: whether earlier turns are shown to the model; None: as the model's family does.

    Attributes:
        answers: given so far, in order.
        thread: what was read, with its keys and values.
    """

    def __init__(self, reader: Reader, seen: Seen, *, remember: bool | None = None) -> None:
        self.reader = reader
        self.seen = seen
        self.remember = reader.remembers if remember is None else remember
        self.answers: list[Answer] = []
        self.thread = Thread(grows=self.remember)
        self._turns: list[Turn] = []

    def ask(
        self,
        question: str,
        *,
        options: Sequence[str] | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> Answer:
        """Ask about the video; arguments and errors as `Session.ask`."""
        asked = self._asked(question, options)
        if options is None:
            return Stream(self, asked, max_new_tokens).answer
        return self.add(asked, self.reader.choose(asked, self.thread))

    def stream(self, question: str, *, max_new_tokens: int = MAX_NEW_TOKENS) -> Stream:
        """Ask about the video and get the answer in pieces; errors as `Session.ask`."""
        return Stream(self, self._asked(question, None), max_new_tokens)

    def add(self, asked: Asked, answer: Answer) -> Answer:
        """Make an answer part of the conversation; return it."""
        answered = replace(asked.turn, answer=answer.chosen)
        if answer.chosen is None:
            answered = replace(asked.turn, answer_text=answer.text)
        if answer.chosen is not None or answer.text:  # nothing said, nothing to remember
            self._turns.append(answered)
        self.answers.append(answer)
        return answer

    def reset(self) -> None:
        """Forget what was asked and answered; the video stays encoded and read."""
        self.answers.clear()
        self._turns.clear()

    def save(self, path: str | Path) -> None:
        """Write the conversation as one record in the message shape of Hugging Face, as JSON."""
        write_atomic(path, json.dumps(self.record().to_json(), indent=2, ensure_ascii=False) + "\n")

    def record(self) -> Record:
        """Return the conversation as a record: the video, then questions and answers."""
        video = Part(kind="video", value=self.seen.source)
        messages: list[Message] = []
        for index, answer in enumerate(self.answers):
            listed = "".join(f"\n- {option}" for option in answer.options)
            asked = Part(kind="text", value=answer.question + listed)
            said = Part(kind="text", value=answer.text or "(no words)")
            parts = (video, asked) if index == 0 else (asked,)
            messages += [
                Message(role="user", parts=parts),
                Message(role="assistant", parts=(said,)),
            ]
        if not messages:
            messages = [Message(role="user", parts=(video,))]
        name = f"{self.reader.name} about {self.seen.source}"
        return Record(id=name, messages=tuple(messages), source=f"textreel chat {self.reader.name}")

    def _asked(self, question: str, options: Sequence[str] | None) -> Asked:
        turn = self.reader.check(question, options)
        before = self._turns if self.remember else []
        return self.reader.write(self.seen, [*before, turn])
