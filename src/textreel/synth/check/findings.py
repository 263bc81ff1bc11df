"""What a check finds, and the limits it goes by."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from textreel.data.errors import HintedError

Level = Literal["record", "question"]


class CheckError(HintedError, ValueError):
    """Limits, or files to check against, that make no sense."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One reason against a record, or against one of its questions.

    Attributes:
        code: one or two words, for counting.
        where: place in the record, such as `frames.3.caption`.
        message: what is wrong.
        question: index of the question that it costs; None: it costs the record.
    """

    code: str
    where: str
    message: str
    question: int | None = None

    @property
    def level(self) -> Level:
        """Return what it costs."""
        return "record" if self.question is None else "question"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckLimits:
    """The thresholds of all checks.

    Attributes:
        fewest_frames: 5 (TextVid, arXiv:2405.13911).
        most_frames: 15 (the same).
        fewest_questions: usable ones that a record needs.
        fewest_options: of a question.
        most_options: of a question; TOPA's own loader knows five letters.
        caption_tokens: most tokens of a frame's caption and of an object's text; CLIP reads 77. An
            encoder that is named brings its own.
        object_agreement: share of a record's objects that their frame's caption must mention.
        same_words: records this alike (estimated Jaccard similarity of their runs of three words)
            are near-duplicates.
        benchmark_share: share of a benchmark question's runs of three words that make ours a copy.
        letter_excess: share by which one answer letter may pass its fair share.
    """

    fewest_frames: int = 5
    most_frames: int = 15
    fewest_questions: int = 1
    fewest_options: int = 4
    most_options: int = 5
    caption_tokens: int = 77
    object_agreement: float = 0.5
    same_words: float = 0.8
    benchmark_share: float = 0.8
    letter_excess: float = 0.05

    def __post_init__(self) -> None:
        pairs = (("fewest_frames", "most_frames"), ("fewest_options", "most_options"))
        for low, high in pairs:
            if not 0 < getattr(self, low) <= getattr(self, high):
                raise CheckError(
                    f"{low}={getattr(self, low)} must be above 0 and not above "
                    f"{high}={getattr(self, high)}"
                )
        for name in ("object_agreement", "same_words", "benchmark_share", "letter_excess"):
            if not 0 <= getattr(self, name) <= 1:
                raise CheckError(f"{name}={getattr(self, name)} is no share between 0 and 1")
