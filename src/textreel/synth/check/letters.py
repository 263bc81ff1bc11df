"""Answer letters: balanced when data is built, and watched in data from elsewhere.

For every number of options the right answers go through all places in blocks: each place once, in
a shuffled order, then the next block. So at any length the letters differ by one at most. Options
that speak of the others (`all of the above`) must stay last: such questions are left as they are.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from random import Random
from string import ascii_uppercase

from textreel.data.textual_video import TextualQuestion, TextualVideo
from textreel.synth.check.question_rules import is_meta


class LetterBalance:
    """Decides where the right option of each question stands.

    Args:
        seed: of the order.
    """

    def __init__(self, *, seed: int) -> None:
        self._rng = Random(f"letters-{seed}")
        self._places: dict[int, list[int]] = {}

    def place(self, video: TextualVideo) -> TextualVideo:
        """Return a video with its options in their final order."""
        return replace(video, questions=tuple(map(self._place, video.questions)))

    def _place(self, question: TextualQuestion) -> TextualQuestion:
        if any(map(is_meta, question.options)):
            return question
        count = len(question.options)
        if not (places := self._places.get(count)):
            places = self._places[count] = self._rng.sample(range(count), count)
        answer = places.pop()
        right = question.options[question.answer]
        others = [text for i, text in enumerate(question.options) if i != question.answer]
        self._rng.shuffle(others)
        options = (*others[:answer], right, *others[answer:])
        return replace(question, options=options, answer=answer)


def count_letters(questions: Iterable[TextualQuestion]) -> dict[int, Counter[str]]:
    """Return how often each letter is right, by number of options."""
    found: dict[int, Counter[str]] = {}
    for question in questions:
        letters = found.setdefault(len(question.options), Counter())
        letters[ascii_uppercase[question.answer]] += 1
    return found


def letter_excess(letters: Mapping[int, Mapping[str, int]]) -> float:
    """Return by how much the most frequent letter passes its fair share, over all questions.

    What chance alone would give is taken off: three standard errors of a share of 1/k among n.

    >>> letter_excess({4: {"A": 4000, "B": 2000, "C": 2000, "D": 2000}})
    0.137
    """
    worst = 0.0
    for options, counts in letters.items():
        total, fair = sum(counts.values()), 1 / options
        noise = 3 * (fair * (1 - fair) / total) ** 0.5 if total else 0.0
        largest = max(counts.values(), default=0) / total if total else 0.0
        worst = max(worst, largest - fair - noise)
    return round(worst, 4)
