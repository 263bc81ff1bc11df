"""All checks in one pass over textual videos, with every rejection counted.

    TextualVideo  --check-->  the same with the questions that pass, or nothing; and the reasons

A fault in a question costs that question; a fault elsewhere, or too few questions left, costs the
record. A record that nearly repeats an earlier one is rejected, so the order matters.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from textreel.data.textual_video import TextualVideo
from textreel.synth.check.findings import CheckLimits, Finding
from textreel.synth.check.near import NearDuplicates, whole_text
from textreel.synth.check.overlap import BenchmarkQuestions
from textreel.synth.check.question_rules import check_questions
from textreel.synth.check.record_rules import CountTokens, check_record
from textreel.synth.check.words import estimate_clip_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What became of one textual video.

    Attributes:
        video: with the questions that passed; None if it is rejected.
        findings: every reason, those of questions included.
    """

    video: TextualVideo | None
    findings: tuple[Finding, ...] = ()

    @property
    def reason(self) -> Finding | None:
        """Return the first finding that cost the record."""
        return next((one for one in self.findings if one.level == "record"), None)


@dataclass(kw_only=True, slots=True)
class CheckCounts:
    """What was checked so far.

    Attributes:
        records: looked at.
        passed: of them.
        rejected: records, by the code of the first finding that cost them.
        questions: looked at, in all records.
        questions_passed: of them, in records that passed.
        questions_rejected: by the code of their first finding, in all records.
        questions_lost: fine themselves, in a record that was rejected.
        all_findings: by code; more than one may concern the same record or question.
    """

    records: int = 0
    passed: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    questions: int = 0
    questions_passed: int = 0
    questions_rejected: Counter[str] = field(default_factory=Counter)
    questions_lost: int = 0
    all_findings: Counter[str] = field(default_factory=Counter)


class Checker:
    """Checks textual videos one after the other.

    Args:
        limits: thresholds.
        benchmarks: questions that must not be among ours; None: none are known.
        count_tokens: of the encoder that will read the captions; None: an estimate of CLIP's.
    """

    def __init__(
        self,
        limits: CheckLimits | None = None,
        *,
        benchmarks: BenchmarkQuestions | None = None,
        count_tokens: CountTokens | None = None,
    ) -> None:
        self.limits = limits or CheckLimits()
        self.counts = CheckCounts()
        self._benchmarks = benchmarks or BenchmarkQuestions(share=self.limits.benchmark_share)
        self._count_tokens = count_tokens or estimate_clip_tokens
        self._near = NearDuplicates(similarity=self.limits.same_words)

    def check(self, video: TextualVideo) -> Verdict:
        """Check one textual video, and count what is found."""
        findings = list(check_record(video, limits=self.limits, count_tokens=self._count_tokens))
        asked = list(check_questions(video, limits=self.limits, benchmarks=self._benchmarks))
        bad = {one.question for one in asked}
        kept = tuple(q for index, q in enumerate(video.questions) if index not in bad)
        if len(kept) < self.limits.fewest_questions:
            told = f"{len(kept)} of {len(video.questions)} questions can be used; "
            told += f"{self.limits.fewest_questions} are needed"
            findings.append(Finding(code="few-questions", where="questions", message=told))
        if not findings and (earlier := self._near.find_or_add(video.id, whole_text(video))):
            told = f"nearly repeats {earlier}"
            findings.append(Finding(code="near-duplicate", where="frames", message=told))
        self._count(video, findings, asked, num_kept=len(kept))
        every = tuple(findings + asked)
        if findings:
            return Verdict(video=None, findings=every)
        return Verdict(video=replace(video, questions=kept) if bad else video, findings=every)

    def _count(
        self, video: TextualVideo, findings: list[Finding], asked: list[Finding], *, num_kept: int
    ) -> None:
        counts = self.counts
        counts.records += 1
        counts.passed += not findings
        counts.questions += len(video.questions)
        counts.all_findings.update(one.code for one in findings + asked)
        first: dict[int | None, str] = {}
        for one in asked:
            first.setdefault(one.question, one.code)
        counts.questions_rejected.update(first.values())
        if findings:
            counts.rejected[findings[0].code] += 1
            counts.questions_lost += num_kept
        else:
            counts.questions_passed += num_kept


def most_first(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts, the largest first, ties by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
