"""The data card: `README.md` of the output, with the front matter that hubs read.

It holds nothing that depends on when or how often a run was interrupted, so the same answers give
the same card.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from textreel.synth.check.checker import most_first
from textreel.synth.textvid.figures import Figures
from textreel.synth.textvid.topics import TopicSource

UNKNOWN = "not stated"


@dataclass(frozen=True, kw_only=True, slots=True)
class Licences:
    """What the user says about rights; empty is shown as not stated.

    Attributes:
        data: of the textual videos.
        model: of the model that wrote them, or the terms of its outputs.
    """

    data: str = ""
    model: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What became of the topics.

    Attributes:
        topics: asked for.
        unanswered: not asked about yet; 0 where the job is finished.
        records: textual videos written.
        failed: topics without a usable answer, by reason.
        rejected: records that a check rejected, by reason.
        questions: written.
        questions_rejected: by reason, in all records.
        questions_lost: fine themselves, in a record that was rejected.
    """

    topics: int
    unanswered: int
    records: int
    failed: dict[str, int]
    rejected: dict[str, int]
    questions: int
    questions_rejected: dict[str, int]
    questions_lost: int

    def left_out(self) -> dict[str, int]:
        """Return every reason with its count."""
        every = {f"answer: {code}": n for code, n in self.failed.items()}
        every |= {f"record: {code}": n for code, n in self.rejected.items()}
        every |= {f"question: {code}": n for code, n in self.questions_rejected.items()}
        return most_first(every)


def write_card(
    settings: Mapping[str, object],
    *,
    counts: Counts,
    figures: Figures,
    sources: Sequence[TopicSource],
    licences: Licences,
) -> str:
    """Return the card's text (Markdown)."""
    parts = [
        _front_matter(licences, settings),
        "# Textual videos",
        _opening(settings, counts),
        "![figures](figures.png)",
        "## How they were made",
        _table(("setting", "value"), [(name, _cell(value)) for name, value in settings.items()]),
        "## Topics",
        _sources(sources),
        "## Licences",
        _table(
            ("what", "licence or terms"),
            [
                ("these records", licences.data or UNKNOWN),
                ("outputs of the model", licences.model or UNKNOWN),
                *((f"topics of {one.name}", one.licence or UNKNOWN) for one in sources),
            ],
        ),
        "## What was left out",
        _left_out(counts),
        "## Figures",
        _figures(figures),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(licences: Licences, settings: Mapping[str, object]) -> str:
    return "\n".join(
        [
            "---",
            f"license: {json.dumps(licences.data or 'unknown')}",
            f"language: {json.dumps(str(settings.get('language', '')))}",
            "tags: [textual-video, video-text, synthetic]",
            "---",
        ]
    )


def _opening(settings: Mapping[str, object], counts: Counts) -> str:
    told = (
        f"{counts.records} videos written in words, with {counts.questions} multiple-choice "
        f"questions, by {settings.get('writer')}. Each has a caption and named objects for every "
        "moment, a caption of the whole, and questions with options, the right letter and an open "
        "answer. They were written by a machine and describe nothing that was filmed."
    )
    if counts.unanswered:
        told += f" **Unfinished**: {counts.unanswered} of {counts.topics} topics are open."
    return told


def _sources(sources: Sequence[TopicSource]) -> str:
    if not sources:
        return "Scenes of the built-in world, drawn by number."
    rows = [
        (
            one.name,
            one.kind,
            str(len(one.texts)),
            f"{one.weight:g}",
            ", ".join(f"{count} {reason}" for reason, count in one.skipped) or "none",
        )
        for one in sources
    ]
    return _table(("file", "kind", "topics", "weight", "lines left out"), rows)


def _left_out(counts: Counts) -> str:
    if not (every := counts.left_out()):
        return "Nothing."
    rows = [
        (what, code, str(number))
        for key, number in every.items()
        for what, _, code in [key.partition(": ")]
    ]
    told = (
        "Every one is in `quarantine.jsonl` with its message. `answer`: the topic has no usable "
        "answer; `record`: a check rejected the whole record; `question`: that question alone."
    )
    lost = f"\n\n{counts.questions_lost} questions without fault were in rejected records."
    return f"{told}\n\n{_table(('what', 'reason', 'count'), rows)}{lost}"


def _figures(figures: Figures) -> str:
    shown = {name: value for name, value in asdict(figures).items() if not isinstance(value, dict)}
    rows = [(name.replace("_", " "), str(value)) for name, value in shown.items()]
    for name in ("frames_per_record", "kinds", "options", "sources"):
        rows.append((name.replace("_", " "), _cell(getattr(figures, name))))
    rows += [(f"letters of {k} options", _cell(counts)) for k, counts in figures.letters.items()]
    return _table(("figure", "value"), rows)


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {count}" for name, count in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines)


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
