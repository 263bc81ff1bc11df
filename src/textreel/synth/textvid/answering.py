"""Ask a writer about topics, many at a time, and journal every answer before looking at it.

`answer_topics` is a function of topics and a journal: what it asks follows from them alone
(`state.outcome_of`), so any process may run it on any part of the topics, and a killed one repeats
nothing that was received.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from textreel.data.budget import Budget
from textreel.data.files import Json
from textreel.data.journal import Journal
from textreel.models.endpoint_errors import RequestError
from textreel.models.endpoint_wire import ChatRequest, Completion, estimate_tokens
from textreel.synth.textvid.answer import AnswerFault
from textreel.synth.textvid.errors import FailingError
from textreel.synth.textvid.state import (
    Asking,
    Fresh,
    Todo,
    failed_key,
    keys_of,
    outcome_of,
)
from textreel.synth.textvid.topics import Topic
from textreel.synth.textvid.writers import Writer

MAX_BODIES = 6
"""So many bodies that hold no answer are received for one request, over all runs, before its topic
is given up."""
FEWEST_IN_A_ROW = 8
"""A run ends when so many topics (or all in flight, if that is more) fail one after the other."""


@dataclass(kw_only=True, slots=True)
class Tally:
    """What one run did.

    Attributes:
        topics: settled, now or before.
        kept: of them, settled before.
        failed: of them, without a usable answer.
        received: answers that came.
        estimated: of them, whose tokens the server did not count.
    """

    topics: int = 0
    kept: int = 0
    failed: int = 0
    received: int = 0
    estimated: int = 0
    _failed_in_a_row: int = field(default=0)


class Answering:
    """One run over topics.

    Args:
        asking: what is asked.
        writer: who answers.
        journal: open for writing; keeps every answer.
        budget: of this run.
        retry_failed: ask again about topics that were given up in an earlier run.
        show: told the tally whenever a topic is settled.
    """

    def __init__(
        self,
        asking: Asking,
        *,
        writer: Writer,
        journal: Journal,
        budget: Budget,
        retry_failed: bool = False,
        show: Callable[[Tally], None] = lambda tally: None,
    ) -> None:
        self.asking, self.writer, self.journal, self.budget = asking, writer, journal, budget
        self.tally = Tally()
        self.limit = ""
        self._retry_failed, self._show = retry_failed, show
        self._under_way = 0
        self._ended = asyncio.Event()
        self._hidden: set[str] = set()
        self._stop = False

    async def run(self, topics: Iterable[Topic]) -> str:
        """Settle every topic, or as many as the budget allows.

        Returns:
            Which limit of the budget ended it, empty if all are settled.

        Raises:
            FailingError: topic after topic failed.
            ModelError: of the writer, where no topic can be answered.
            JournalWriteError: the disk refuses.
        """
        rest = iter(topics)
        tasks = [asyncio.create_task(self._work(rest)) for _ in range(self.writer.in_flight)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            self._stop = True  # the others finish what is under way: it is paid for
            await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
        errors = [error for task in tasks if (error := task.exception()) is not None]
        if errors:
            raise errors[0]
        return self.limit

    async def _work(self, topics: Iterator[Topic]) -> None:
        for topic in topics:
            if not await self._settle(topic) or self._stop or self.limit:
                return

    async def _settle(self, topic: Topic) -> bool:
        """Bring one topic to its end; return whether that was possible within the budget."""
        fresh, asked = Fresh(), False
        if self._retry_failed:
            self._forget_failure(topic)
        while isinstance(
            outcome := outcome_of(topic, self._lookup, asking=self.asking, fresh=fresh), Todo
        ):
            if asked and self._stop:
                return False
            if not await self._ask(topic, outcome, fresh):
                return False
            asked = True
        self._count(failed=isinstance(outcome, AnswerFault), kept=not asked)
        return True

    def _forget_failure(self, topic: Topic) -> None:
        """Where a topic has failed, look away from what it failed with, so that it is asked again.

        The first answer stays if it can still be mended; a refusal does not.
        """
        first, second, failed = keys_of(topic)
        for hidden in ({second, failed}, {first, second, failed}):
            if isinstance(outcome_of(topic, self._lookup, asking=self.asking), AnswerFault):
                self._hidden |= hidden

    async def _ask(self, topic: Topic, todo: Todo, fresh: Fresh) -> bool:
        if self.journal.attempt(todo.key) >= MAX_BODIES:
            self._give_up(topic, code="no-answer", message=f"{MAX_BODIES} bodies: {todo.failure}")
            return True
        held = _most_tokens(todo.request)
        if not await self._reserve(*held):
            return False
        try:
            fresh.completions[todo.key] = await self.writer.ask(
                topic,
                todo.request,
                key_of=lambda: f"textvid-{todo.key}-{self.journal.attempt(todo.key) + 1}",
                received=lambda body: self._received(todo.key, body),
            )
            self._paid(fresh.completions[todo.key])
        except RequestError as error:
            self._give_up(topic, code=error.code, message=str(error))
        finally:
            self.budget.release(*held)
            self._under_way -= 1
            self._ended.set()
        return True

    async def _reserve(self, tokens_in: int, tokens_out: int) -> bool:
        """Reserve a request's cost; where there is no room, wait for what others give back."""
        while limit := self.budget.reserve(tokens_in, tokens_out):
            if self._under_way == 0 or self.limit or self._stop:
                self.limit = self.limit or limit
                self._ended.set()
                return False
            self._ended.clear()
            await self._ended.wait()
        self._under_way += 1
        return True

    def _received(self, key: str, body: str) -> None:
        self.journal.record(key, {"body": body}, attempt=self.journal.attempt(key) + 1)
        self._hidden.discard(key)
        self.tally.received += 1

    def _paid(self, completion: Completion) -> None:
        self.budget.spend(completion.tokens_in, completion.tokens_out)
        self.tally.estimated += completion.estimated

    def _give_up(self, topic: Topic, *, code: str, message: str) -> None:
        key = failed_key(topic)
        value = {"code": code, "message": message}
        self.journal.record(key, value, attempt=self.journal.attempt(key) + 1)
        self._hidden.discard(key)

    def _lookup(self, key: str) -> Json | None:
        if key in self._hidden or key not in self.journal:
            return None
        return self.journal[key]

    def _count(self, *, failed: bool, kept: bool) -> None:
        tally = self.tally
        tally.topics += 1
        tally.kept += kept
        tally.failed += failed
        if not kept:
            tally._failed_in_a_row = tally._failed_in_a_row + 1 if failed else 0
        self._show(tally)
        allowed = max(FEWEST_IN_A_ROW, self.writer.in_flight)
        if tally._failed_in_a_row >= allowed and not self._stop:
            self._stop = True
            raise FailingError(
                f"the last {tally._failed_in_a_row} topics all failed; the run was ended before it "
                "spends more",
                hint="the quarantine file has the reasons; after mending what is wrong, "
                "--retry-failed asks about them again",
            )


def _most_tokens(request: ChatRequest) -> tuple[int, int]:
    return sum(estimate_tokens(turn.text) + 8 for turn in request.turns), request.max_tokens
