"""A synthesis as a folder: what was asked for, every answer, and what is built of them.

    DIR/job.json               settings; a folder of other settings is refused
    DIR/answers/I-of-N.jsonl   journal of each client: every answer as it came
    DIR/quarantine.jsonl       what was left out, each with its reason
    DIR/videos/                textual videos (JSON lines)
    DIR/textvid.json           the same as the released TextVid, where asked for
    DIR/report.json            counts and figures
    DIR/README.md, figures.png the data card

All but the answers follows from settings and answers alone (`build.py`).
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from textreel.data.budget import Budget
from textreel.data.errors import FingerprintError
from textreel.data.files import Json, check_header, fingerprint, make_header, write_atomic
from textreel.data.journal import Journal
from textreel.data.shards import in_shard
from textreel.synth.textvid.answering import Answering, Tally
from textreel.synth.textvid.errors import JobError
from textreel.synth.textvid.state import Asking
from textreel.synth.textvid.topics import Topic, TopicSource, draw_topics, world_topics
from textreel.synth.textvid.writers import Writer

KIND = "textvid-job"
ANSWERS_KIND = "textvid-answers"
Show = Callable[[Tally, Budget], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What is written about what, and how it is asked.

    Attributes:
        asking: prompts, model, language.
        sources: of topics; none for the world's grammar.
        count: topics.
        seed: of the draw, and of the order of options.
        shard: (i, n): which part of the topics this client asks about.
    """

    asking: Asking
    sources: tuple[TopicSource, ...] = ()
    count: int = 1
    seed: int = 0
    shard: tuple[int, int] = (0, 1)

    def topics(self) -> Iterator[Topic]:
        """Yield all topics of the job, those of other clients too, always the same."""
        if not self.sources:
            return world_topics(count=self.count, seed=self.seed)
        return draw_topics(self.sources, count=self.count, seed=self.seed)

    def own_topics(self) -> Iterator[Topic]:
        """Yield the topics of this client's part."""
        return (topic for topic in self.topics() if in_shard(topic.key, shard=self.shard))

    def settings(self) -> dict[str, Json]:
        """Return everything that decides what is asked, for people and for the fingerprint.

        The number of topics is not part of it: a longer job begins with the shorter one.
        """
        asking = self.asking
        if not self.sources:
            return {
                "writer": asking.origin.writer,
                "language": "the world's own",
                "topics": "scenes of the world",
                "seed": self.seed,
                "clients": self.shard[1],
            }
        return {
            "writer": asking.origin.writer,
            "prompts": asking.prompts.hash,
            "language": asking.language,
            "temperature": asking.temperature,
            "max_tokens": asking.max_tokens,
            "json_schema": "yes" if asking.schema is not None else "no",
            "seed": self.seed,
            "clients": self.shard[1],
            "topics": [
                f"{one.kind}:{one.name}@{one.weight:g} {one.digest}" for one in self.sources
            ],
        }

    @property
    def fingerprint(self) -> str:
        """Return a short name of the settings."""
        return fingerprint(self.settings())


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """How one run of a job went.

    Attributes:
        tally: what was settled.
        limit: the limit of the budget that ended it, or empty.
        own: topics of this client's part.
    """

    tally: Tally
    limit: str
    own: int


@dataclass(kw_only=True, slots=True)
class RunOptions:
    """What may differ between runs of one job.

    Attributes:
        budget: of this run.
        retry_failed: ask again about topics that were given up.
        first: only the first so many topics; for a pilot.
        show: told how far the run is.
    """

    budget: Budget = field(default_factory=Budget)
    retry_failed: bool = False
    first: int | None = None
    show: Show = lambda tally, budget: None


def answers_path(out: Path, shard: tuple[int, int]) -> Path:
    """Return the journal of part i of n."""
    return out / "answers" / f"{shard[0]}-of-{shard[1]}.jsonl"


def open_job(out: Path, job: Job) -> None:
    """Write a job's settings into its folder, or compare them with what is there.

    Raises:
        JobError: `out` is a file.
        FingerprintError: the folder belongs to a job with other settings; they are named.
        FormatError: a folder of another kind, or of a newer format.
    """
    if out.exists() and not out.is_dir():
        raise JobError(f"{out} is a file, not a folder", hint="choose another folder")
    path = out / "job.json"
    settings = json.loads(json.dumps(job.settings()))
    if not path.is_file():
        header = make_header(KIND, settings=settings)
        write_atomic(path, json.dumps(header, ensure_ascii=False, indent=1) + "\n")
        return
    found: Json = None
    with suppress(ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
    there = check_header(found, kind=KIND, path=path).get("settings", {})
    if differing := [name for name in settings if settings[name] != there.get(name)]:
        told = "; ".join(f"{k}: {there.get(k)!r} there, {settings[k]!r} here" for k in differing)
        raise FingerprintError(
            f"{out} belongs to a job with other settings ({told})",
            hint="repeat the settings it was started with, or choose another folder",
        )


def run_job(out: Path, job: Job, *, writer: Writer, options: RunOptions) -> Run:
    """Ask about every topic of this client's part that has no answer yet.

    Args:
        out: folder, opened with `open_job`.
        job: what to ask.
        writer: who answers; closed at the end.
        options: of this run.

    Raises:
        LockedError: another process is writing the same part.
        BudgetReachedError is not raised here: `Run.limit` says that a limit ended the run.
        Others as `Answering.run`.
    """
    own = sum(1 for _ in job.own_topics()) if options.first is None else options.first
    path = answers_path(out, job.shard)
    with Journal.open(path, kind=ANSWERS_KIND, fingerprint=job.fingerprint) as journal:
        answering = Answering(
            job.asking,
            writer=writer,
            journal=journal,
            budget=options.budget,
            retry_failed=options.retry_failed,
            show=lambda tally: options.show(tally, options.budget),
        )
        limit = asyncio.run(_answer(answering, islice(job.own_topics(), own)))
    return Run(tally=answering.tally, limit=limit, own=own)


async def _answer(answering: Answering, topics: Iterator[Topic]) -> str:
    try:
        return await answering.run(topics)
    finally:
        await answering.writer.close()


def check_topics(sources: Sequence[object], *, world: bool, asked: Mapping[str, bool]) -> None:
    """Refuse topics and settings for a writer that takes none, and a writer without topics.

    Args:
        sources: the files with topics.
        world: whether the world's grammar writes.
        asked: names of options of language models, and whether they were given.

    Raises:
        JobError: an option without effect for the world's grammar, or no topics for a model.
    """
    given = [*["--topics"][: len(sources)], *(name for name, there in asked.items() if there)]
    if world and given:
        raise JobError(
            f"the world's grammar draws its own scenes: {', '.join(given)} has no effect",
            hint="leave it out, or name a language model with --llm",
        )
    if not world and not sources:
        raise JobError(
            "a language model needs topics to write about", hint="give at least one --topics FILE"
        )
