"""The report page: one chart, one table, and the questions behind them, in a single HTML file.

    chart     text only  /  blind  /  reading the captions, with 95% intervals and chance
    table     every system x every question type
    examples  right and wrong answers, drawn by seed, with the frames that were seen

The page has no scripts, loads nothing, follows the reader's light or dark setting, and prints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textreel.data.files import write_atomic
from textreel.evaluate.choices import SystemScores
from textreel.evaluate.errors import EvaluationError
from textreel.evaluate.page_style import STYLE
from textreel.evaluate.pictures import bar_chart, png_data_uri
from textreel.evaluate.rows import ChoiceRow
from textreel.evaluate.score import Score

_MIN_FRAME_PX = 120


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Example:
    """One question as the reader sees it.

    Attributes:
        row: the question's answer; `row.probabilities` are shown where there are any.
        question: its text.
        options: their texts, in the row's order.
        frames: uint8 (T, 3, H, W), the frames the system saw.
        times_s: their times in seconds.
        sound: what became of the sound, such as `unused`.
    """

    row: ChoiceRow
    question: str
    options: tuple[str, ...]
    frames: NDArray[np.uint8]
    times_s: Sequence[float]
    sound: str = ""

    def __post_init__(self) -> None:
        where = f"example {self.row.question_id!r}"
        if len(self.options) != self.row.num_options:
            raise EvaluationError(
                f"{where}: {len(self.options)} options, but its row has {self.row.num_options}"
            )
        if len(self.frames) != len(self.times_s):
            raise EvaluationError(
                f"{where}: {len(self.frames)} frames but {len(self.times_s)} times"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportData:
    """Everything on the page.

    Attributes:
        title: the page's heading.
        lead: one or two sentences below it.
        systems: all rows of the table, in order; their question types must be the same.
        headline: name of the system that the page is about.
        chart: names of the systems in the opening chart, from top to bottom.
        notes: what each system is, in a few words, by name.
        chance: macro accuracy of guessing, for the chart's line; None: no line.
        facts: (name, value) pairs below the table, such as the gap and the seconds of each phase.
        right: examples answered rightly by the headline system.
        wrong: examples answered wrongly.
    """

    title: str
    lead: str
    systems: Sequence[SystemScores]
    headline: str
    chart: Sequence[str]
    notes: Mapping[str, str] = field(default_factory=dict)
    chance: float | None = None
    facts: Sequence[tuple[str, str]] = ()
    right: Sequence[Example] = ()
    wrong: Sequence[Example] = ()

    def __post_init__(self) -> None:
        names = [system.system for system in self.systems]
        missing = [name for name in (self.headline, *self.chart) if name not in names]
        if missing:
            raise EvaluationError(
                f"report: no scores for {', '.join(dict.fromkeys(missing))}; "
                f"there are: {', '.join(names) or 'none'}"
            )
        if len({tuple(system.by_kind) for system in self.systems}) > 1:
            raise EvaluationError("report: the systems were scored on different question types")


def pick_examples(
    rows: Sequence[ChoiceRow], *, right: int, wrong: int, generator: np.random.Generator
) -> tuple[list[ChoiceRow], list[ChoiceRow]]:
    """Draw rows answered rightly and wrongly, so that nobody chose them by eye.

    Each is from another video and question type while there are enough of those.

    Returns:
        (right, wrong), fewer than asked only where there are not as many.
    """
    order = [rows[i] for i in generator.permutation(len(rows))]
    return (
        _spread([row for row in order if row.correct], right),
        _spread([row for row in order if not row.correct], wrong),
    )


def _spread(rows: Sequence[ChoiceRow], count: int) -> list[ChoiceRow]:
    picked: list[ChoiceRow] = []
    left = list(rows)
    while left and len(picked) < count:
        videos = [row.video_id for row in picked]
        kinds = [row.kind for row in picked]
        best = min(left, key=lambda r: (videos.count(r.video_id), kinds.count(r.kind)))
        picked.append(best)
        left.remove(best)
    return picked


def write_report(path: str | Path, data: ReportData) -> None:
    """Write the page as one self-contained HTML file, atomically."""
    write_atomic(Path(path), render_report(data))


def render_report(data: ReportData) -> str:
    """Return the page as HTML."""
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(data.title)}</title>",
            f"<style>{STYLE}</style>\n</head>\n<body>\n<main>",
            f'<h1>{escape(data.title)}</h1>\n<p class="lead">{escape(data.lead)}</p>',
            _chart(data),
            _table(data),
            _facts(data.facts),
            _examples("Answered rightly", data.right),
            _examples("Answered wrongly", data.wrong),
            "</main>\n</body>\n</html>\n",
        ]
    )


def _chart(data: ReportData) -> str:
    by_name = {system.system: system for system in data.systems}
    bars = [
        (name, data.notes.get(name, ""), by_name[name].macro, _style(name, data.headline))
        for name in data.chart
    ]
    said = ", ".join(f"{name} {score.value:.0%}" for name, _, score, _ in bars)
    return (
        f"<figure>\n{bar_chart(bars, chance=data.chance, title=f'Macro accuracy: {said}')}\n"
        "<figcaption>Macro accuracy: the plain mean over question types. Whiskers: 95% intervals, "
        "clustered by video.</figcaption>\n</figure>"
    )


def _style(name: str, headline: str) -> str:
    return "headline" if name == headline else "other"


def _table(data: ReportData) -> str:
    kinds = list(data.systems[0].by_kind)
    counts = [data.systems[0].by_kind[kind].n for kind in kinds]
    head = "".join(
        f'<th scope="col">{escape(kind)}<small>{n}</small></th>'
        for kind, n in zip(kinds, counts, strict=True)
    )
    rows = "\n".join(_table_row(system, data) for system in data.systems)
    overall = data.systems[0].overall
    return (
        "<h2>All systems</h2>\n"
        '<div class="scroll"><table>\n<thead><tr><th scope="col">system</th>'
        f'<th scope="col">macro<small>&plusmn; s.e.</small></th>{head}'
        f'<th scope="col">overall<small>{overall.n}</small></th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>\n"
        f'<p class="fine">Accuracy in percent; questions per column in the head, {overall.n} '
        f"questions about {overall.clusters} videos in all. Rest the pointer on a cell for its "
        f"95% interval. "
        f"{_unparsed(data.systems)}</p>"
    )


def _table_row(system: SystemScores, data: ReportData) -> str:
    note = data.notes.get(system.system, "")
    macro = system.macro
    error = "" if macro.json_stderr in (None, 0.0) else f" &plusmn; {100 * macro.stderr:.1f}"
    cells = "".join(_cell(score) for score in system.by_kind.values())
    return (
        f'<tr class="{_style(system.system, data.headline)}"><th scope="row">'
        f"{escape(system.system)}<small>{escape(note)}</small></th>"
        f'<td class="macro" title="{_interval(macro)}">{100 * macro.value:.1f}'
        f"<small>{error}</small></td>{cells}{_cell(system.overall)}</tr>"
    )


def _cell(score: Score) -> str:
    shade = round(100 * max(0.0, min(1.0, score.value)))
    return f'<td style="--v:{shade}%" title="{_interval(score)}">{100 * score.value:.1f}</td>'


def _interval(score: Score) -> str:
    low, high = score.interval()
    return f"{100 * low:.1f} to {100 * high:.1f} (n = {score.n})"


def _unparsed(systems: Sequence[SystemScores]) -> str:
    said = [f"{system.system} {system.unparsed}" for system in systems if system.unparsed]
    if not said:
        return "Every answer could be read."
    return f"Answers that could not be read, counted as wrong: {escape(', '.join(said))}."


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    if not facts:
        return ""
    items = "\n".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts
    )
    return f'<h2>The run</h2>\n<dl class="facts">\n{items}\n</dl>'


def _examples(title: str, examples: Sequence[Example]) -> str:
    if not examples:
        return ""
    cards = "\n".join(_card(example) for example in examples)
    return f'<h2>{escape(title)}</h2>\n<p class="fine">Drawn by seed.</p>\n{cards}'


def _card(example: Example) -> str:
    row = example.row
    frames = "".join(
        f'<figure><img src="{png_data_uri(frame, min_side_px=_MIN_FRAME_PX)}" '
        f'alt="frame at {time_s:.2f} s"><figcaption>{time_s:.2f} s</figcaption></figure>'
        for frame, time_s in zip(example.frames, example.times_s, strict=True)
    )
    options = "\n".join(
        _option(text, index, example.row) for index, text in enumerate(example.options)
    )
    about = " &middot; ".join(
        escape(part)
        for part in (row.kind, row.video_id, example.sound and f"sound {example.sound}")
        if part
    )
    unread = '<p class="fine">No option could be read from the answer.</p>' * (row.chosen is None)
    return (
        f'<article><div class="strip">{frames}</div>\n<h3>{escape(example.question)}</h3>\n'
        f'<p class="fine">{about}</p>\n<ol class="options">\n{options}\n</ol>{unread}</article>'
    )


def _option(text: str, index: int, row: ChoiceRow) -> str:
    chosen, right = index == row.chosen, index == row.answer
    styles = " ".join(["chosen"] * chosen + ["right"] * right + ["wrong"] * (chosen and not right))
    tags = ["answered"] * chosen + ["right"] * right
    share = f"{row.probabilities[index]:.0%}" if row.probabilities else ""
    width = f"{100 * row.probabilities[index]:.1f}%" if row.probabilities else "0%"
    return (
        f'<li class="{styles}" style="--p:{width}"><span>{escape(text)}</span>'
        f"<em>{' &middot; '.join(tags)}</em><b>{share}</b></li>"
    )
