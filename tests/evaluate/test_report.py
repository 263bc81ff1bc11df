"""The page: well formed, self-contained, escaped, and holding what it was given."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from textreel.evaluate.choices import chance, score_system
from textreel.evaluate.errors import EvaluationError
from textreel.evaluate.report import Example, ReportData, pick_examples, render_report, write_report
from textreel.evaluate.rows import ChoiceRow

VOID = {"meta", "img", "br", "line", "rect", "path"}


class Checker(HTMLParser):
    """Balances tags and collects every attribute that could load something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def check(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    return checker


def rows(rate: float, *, seed: int) -> list[ChoiceRow]:
    rng = np.random.default_rng(seed)
    return [
        ChoiceRow(
            question_id=f"q{i}",
            video_id=f"v{i // 4}",
            kind=("colour", "order", "event <b>", "count")[i % 4],
            answer=i % 4,
            chosen=i % 4 if rng.random() < rate else (i + 1) % 4,
            num_options=4,
            probabilities=(0.125, 0.5, 0.125, 0.25),
        )
        for i in range(80)
    ]


def example(row: ChoiceRow, *, question: str = "which colour ?") -> Example:
    rng = np.random.default_rng(0)
    return Example(
        row=row,
        question=question,
        options=("red", "green", "<script>alert(1)</script>", "blue & white"),
        frames=rng.integers(0, 256, (3, 3, 8, 8), dtype=np.uint8),
        times_s=(0.5, 1.5, 2.25),
        sound="unused",
    )


def data() -> ReportData:
    answered = rows(0.8, seed=1)
    right, wrong = pick_examples(answered, right=1, wrong=2, generator=np.random.default_rng(0))
    return ReportData(
        title="Learnt from text & nothing else",
        lead="20 videos.",
        systems=[
            chance(answered),
            score_system("blind", rows(0.3, seed=2)),
            score_system("text_only", answered),
            score_system("captions_as_text", rows(0.95, seed=3)),
        ],
        headline="text_only",
        chart=["text_only", "blind", "captions_as_text"],
        notes={"blind": "trained without video"},
        chance=0.25,
        facts=[("gap", "0.21 <raw>")],
        right=[example(row) for row in right],
        wrong=[example(row) for row in wrong],
    )


def test_the_page_is_well_formed_and_loads_nothing() -> None:
    page = render_report(data())
    seen = check(page)
    assert len(seen.links) == 9, "three examples of three frames"
    assert all(link.startswith("data:image/png;base64,") for link in seen.links)
    assert "script" not in seen.tags
    assert "link" not in seen.tags
    assert not re.search(r"https?://|@import|url\(", page)


def test_the_page_opens_with_one_chart_then_the_table_then_examples() -> None:
    seen = check(render_report(data()))
    assert seen.tags.count("svg") == 1
    assert seen.tags.index("svg") < seen.tags.index("table") < seen.tags.index("article")
    assert seen.tags.count("article") == 3
    assert seen.tags.count("tr") == 5
    assert seen.tags.count("rect") == 3


def test_numbers_and_names_are_on_the_page() -> None:
    given = data()
    page = render_report(given)
    text = " ".join(check(page).text)
    for system in given.systems:
        assert system.system in text
        assert f"{100 * system.macro.value:.1f}" in text
    assert "event <b>" in text, "a type with markup in its name is shown as it is"
    assert "0.21 <raw>" in text
    assert "2.25 s" in text
    assert "50%" in text
    assert "sound unused" in text
    assert "Every answer could be read." in text
    assert "80 questions about 20 videos" in text


def test_unread_answers_are_said() -> None:
    answered = [
        replace(row, chosen=None) if i < 3 else row for i, row in enumerate(rows(1, seed=1))
    ]
    given = replace(
        data(), systems=[*data().systems, score_system("mute", answered)], right=[],
        wrong=[example(answered[0])], facts=[],
    )  # fmt: skip
    text = " ".join(check(render_report(given)).text)
    assert "counted as wrong: mute 3." in text
    assert "No option could be read from the answer." in text
    assert "Answered rightly" not in text
    assert "The run" not in text


def test_a_page_is_written_in_one_piece(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", data())
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == render_report(data())
    assert len(list(tmp_path.iterdir())) == 1


def test_examples_are_drawn_by_seed_from_different_videos_and_types() -> None:
    answered = rows(0.5, seed=4)
    first = pick_examples(answered, right=4, wrong=4, generator=np.random.default_rng(5))
    again = pick_examples(answered, right=4, wrong=4, generator=np.random.default_rng(5))
    other = pick_examples(answered, right=4, wrong=4, generator=np.random.default_rng(6))
    assert first == again != other
    right, wrong = first
    assert all(row.correct for row in right)
    assert not any(row.correct for row in wrong)
    assert len({row.video_id for row in right}) == len({row.kind for row in right}) == 4


def test_fewer_examples_than_asked_where_there_are_fewer() -> None:
    right, wrong = pick_examples(
        rows(1, seed=0)[:2], right=3, wrong=3, generator=np.random.default_rng(0)
    )
    assert (len(right), len(wrong)) == (2, 0)


def test_what_does_not_fit_is_refused() -> None:
    given, row = data(), rows(1, seed=0)[0]
    with pytest.raises(EvaluationError, match="no scores for nobody; there are: chance, blind"):
        replace(given, headline="nobody")
    with pytest.raises(EvaluationError, match="scored on different question types"):
        replace(
            given, systems=[*given.systems, score_system("x", rows(1, seed=0), kinds=["order"])]
        )
    with pytest.raises(EvaluationError, match="example 'q0': 2 options, but its row has 4"):
        replace(example(row), options=("a", "b"))
    with pytest.raises(EvaluationError, match="example 'q0': 3 frames but 1 times"):
        replace(example(row), times_s=(0.0,))
