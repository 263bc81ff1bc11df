"""From answers to a data set: read, check, balance, write, describe.

    journals -> state.outcome_of -> Checker -> LetterBalance -> videos/, textvid.json, card

A function of the job and its answers alone: interrupted and repeated as often as it may be, the
same answers give the same bytes. It may run before all topics are answered; the card then says so.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from textreel.data.files import Json, write_atomic
from textreel.data.journal import Journal
from textreel.data.quarantine import Quarantine
from textreel.data.textual_jsonl import read_videos, write_video_folder
from textreel.data.textual_video import TextualVideo
from textreel.data.textvid import write_textvid
from textreel.synth.check.checker import Checker, most_first
from textreel.synth.check.letters import LetterBalance
from textreel.synth.textvid.answer import AnswerFault
from textreel.synth.textvid.card import Counts, Licences, write_card
from textreel.synth.textvid.figures import FigureCounter, Figures
from textreel.synth.textvid.job import ANSWERS_KIND, Job, answers_path
from textreel.synth.textvid.picture import draw_figures
from textreel.synth.textvid.state import Todo, outcome_of
from textreel.synth.textvid.topics import Topic

VIDEOS_PER_FILE = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildReport:
    """What was built.

    Attributes:
        out: the folder.
        counts: what became of the topics.
        figures: of the records.
        quarantine: the file that lists what was left out.
    """

    out: Path
    counts: Counts
    figures: Figures
    quarantine: Path


def build(
    out: Path, job: Job, *, checker: Checker, licences: Licences, released: bool = False
) -> BuildReport:
    """Build the data set of a job from the answers that are there.

    Args:
        out: the job's folder.
        job: with the settings it was answered with; of which part does not matter.
        checker: fresh; decides what is left out.
        licences: for the card.
        released: also write the released TextVid JSON.

    Raises:
        LockedError: a client is still writing one of the journals.
        OSError: the disk refuses; what was there before stays.
    """
    quarantine_path = out / "quarantine.jsonl"
    with ExitStack() as held:
        journals = _open_journals(out, job, held)
        builder = _Builder(job, journals, checker)
        quarantine_path.unlink(missing_ok=True)
        builder.quarantine = Quarantine(quarantine_path, max_bad=None)
        write_video_folder(
            out / "videos",
            builder.videos(),
            videos_per_file=VIDEOS_PER_FILE,
            overwrite=True,
        )
        counts, figures = builder.counts(), builder.figures.figures()
    textvid = out / "textvid.json"
    if released:
        write_textvid(textvid, read_videos(out / "videos"))
    else:
        textvid.unlink(missing_ok=True)  # one that was built of fewer answers would mislead
    _describe(out, job, counts, figures, licences)
    return BuildReport(out=out, counts=counts, figures=figures, quarantine=quarantine_path)


class _Builder:
    """Goes through all topics once, and counts."""

    quarantine: Quarantine

    def __init__(self, job: Job, journals: Mapping[int, Journal], checker: Checker) -> None:
        self._job, self._checker = job, checker
        self._journals = journals
        self._balance = LetterBalance(seed=job.seed)
        self._failed: Counter[str] = Counter()
        self._topics = self._unanswered = 0
        self.figures = FigureCounter()

    def videos(self) -> Iterator[TextualVideo]:
        """Yield the records that pass, in the order of the topics."""
        for topic in self._job.topics():
            self._topics += 1
            outcome = outcome_of(topic, self._lookup, asking=self._job.asking)
            if isinstance(outcome, Todo):
                self._unanswered += 1
            elif isinstance(outcome, AnswerFault):
                self._failed[outcome.code] += 1
                message = f"{outcome.message} (topic: {topic.text[:200]!r})"
                self._set_aside(topic, topic.key, outcome.code, message)
            elif (video := self._checked(topic, outcome)) is not None:
                video = self._balance.place(video)
                self.figures.add(video)
                yield video

    def counts(self) -> Counts:
        """Return what became of the topics, after `videos` has ended."""
        checked = self._checker.counts
        return Counts(
            topics=self._topics,
            unanswered=self._unanswered,
            records=checked.passed,
            failed=most_first(self._failed),
            rejected=most_first(checked.rejected),
            questions=checked.questions_passed,
            questions_rejected=most_first(checked.questions_rejected),
            questions_lost=checked.questions_lost,
        )

    def _checked(self, topic: Topic, video: TextualVideo) -> TextualVideo | None:
        verdict = self._checker.check(video)
        for one in verdict.findings:
            name = topic.key if one.question is None else f"{topic.key} {one.where}"
            self._set_aside(topic, name, one.code, f"{one.where}: {one.message}")
        return verdict.video

    def _set_aside(self, topic: Topic, name: str, code: str, message: str) -> None:
        self.quarantine.add(name, source=topic.source, code=code, message=message)

    def _lookup(self, key: str) -> Json | None:
        for journal in self._journals.values():
            if key in journal:
                return journal[key]
        return None


def _open_journals(out: Path, job: Job, held: ExitStack) -> dict[int, Journal]:
    """Open every part that is there, so that none is written meanwhile."""
    count = job.shard[1]
    found = {}
    for index in range(count):
        path = answers_path(out, (index, count))
        if path.exists():
            journal = Journal.open(path, kind=ANSWERS_KIND, fingerprint=job.fingerprint)
            found[index] = held.enter_context(journal)
    return found


def _describe(out: Path, job: Job, counts: Counts, figures: Figures, licences: Licences) -> None:
    report = {"settings": job.settings(), "counts": asdict(counts), "figures": asdict(figures)}
    text = json.dumps(report, ensure_ascii=False, indent=1)
    write_atomic(out / "report.json", text + "\n")
    write_atomic(out / "figures.png", draw_figures(figures, rejected=counts.left_out()))
    card = write_card(
        job.settings(), counts=counts, figures=figures, sources=job.sources, licences=licences
    )
    write_atomic(out / "README.md", card)
