"""Checks of the questions of one textual video."""

import re
from collections.abc import Iterator

from textreel.data.textual_video import TextualQuestion, TextualVideo
from textreel.synth.check.findings import CheckLimits, Finding
from textreel.synth.check.overlap import BenchmarkQuestions
from textreel.synth.check.record_rules import placeholders
from textreel.synth.check.words import plain

_ORDINALS = (
    "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth"
    r"|fourteenth|fifteenth|last|final|next|previous|preceding|penultimate|\d+(?:st|nd|rd|th)"
)
_FRAME = "frames?|frame's|image|picture|caption|shot"
_FRAME_NUMBER = re.compile(
    rf"\b(?:{_ORDINALS})\s+(?:\w+\s+)?(?:{_FRAME})\b"  # the third frame, the last two frames
    rf"|\b(?:{_FRAME})\s*(?:number|no\.?|num\.?|#|nr\.?)?\s*#?\d+\b"  # frame 3, frame no. 3
    r"|\bframes?\s+(?:one|two|three|four|five|six|seven|eight|nine|ten)\b"
    r"|\b(?:ersten|zweiten|dritten|vierten|fünften|letzten|\d+\.)\s+(?:bild|frame)\w*\b"
    r"|\b(?:bild|frame|cuadro|fotograma|image|кадр\w*)\s+\d+\b"
    r"|第\s*[一二三四五六七八九十\d]+\s*(?:帧|幀|フレーム|コマ|画面)"
    r"|\b(?:primer|segundo|tercer|último|première?|deuxième|troisième|dernière?)\s+"
    r"(?:fotograma|cuadro|image|trame)\b",
    re.I,
)
_FRAME_HINTS = tuple("frame image picture caption shot bild cuadro fotograma кадр trame 第".split())
"""Every name of a frame holds one of these; looking for them first spares the expression."""
_LETTER = re.compile(r"\s*\(?([A-Ea-e])[).:]\s")
_META = re.compile(
    r"^(?:all|both|none|neither|any|either)\s+(?:of\s+)?(?:the\s+)?(?:above|these|them|options?)\b",
    re.I,
)


def check_questions(
    video: TextualVideo, *, limits: CheckLimits, benchmarks: BenchmarkQuestions
) -> Iterator[Finding]:
    """Yield what is wrong with each question."""
    asked: dict[str, int] = {}
    for index, question in enumerate(video.questions):
        for code, message in _faults(question, limits=limits, benchmarks=benchmarks):
            yield Finding(code=code, where=f"questions.{index}", message=message, question=index)
        first = asked.setdefault(plain(question.question), index)
        if first != index:
            yield Finding(
                code="repeated-question",
                where=f"questions.{index}",
                message=f"asks the same as question {first}",
                question=index,
            )


def is_meta(option: str) -> bool:
    """Return whether an option speaks of the others, such as `all of the above`."""
    return _META.match(option.strip()) is not None


def _faults(
    question: TextualQuestion, *, limits: CheckLimits, benchmarks: BenchmarkQuestions
) -> Iterator[tuple[str, str]]:
    options = question.options
    if not limits.fewest_options <= len(options) <= limits.most_options:
        wanted = f"{limits.fewest_options} to {limits.most_options}"
        yield "option-count", f"{len(options)} options; {wanted} are wanted"
    if not 0 <= question.answer < len(options):
        yield "answer-range", f"the answer is option {question.answer} of {len(options)}, from 0"
    alike = [plain(option) for option in options]
    if len(set(alike)) < len(alike):
        again = next(text for i, text in enumerate(alike) if text in alike[:i])
        yield "same-options", f"two options say the same: {again[:60]!r}"
    if len(options) > 1 and all(map(_LETTER.match, options)):
        yield "lettered-options", f"options carry letters, such as {options[0][:40]!r}"
    texts = (question.question, *options, question.open_answer)
    if not all(text.strip() for text in texts[:-1]):
        yield "empty-question", "the question or an option is empty"
    elif found := placeholders([text for text in texts if text]):
        text = [text for text in texts if text][found[0]]
        yield "question-placeholder", f"stands for a text that was not written: {text[:60]!r}"
    lowered = "\n".join(texts).casefold()
    for text in texts if any(hint in lowered for hint in _FRAME_HINTS) else ():
        if numbered := _FRAME_NUMBER.search(text):
            yield "frame-number", f"names a frame: {numbered[0]!r}"
            break
    if 0 <= question.answer < len(options) and _gives_away(question, alike):
        yield "answer-leak", f"the question holds its answer {alike[question.answer][:60]!r}"
    if copied := benchmarks.copied(question.question):
        yield "benchmark", f"is a question of {copied}"


def _gives_away(question: TextualQuestion, alike: list[str]) -> bool:
    """Return whether the right option's words stand in the question, and no other option's."""
    asked = f" {plain(question.question)} "
    inside = [f" {option} " in asked for option in alike]
    return inside[question.answer] and sum(inside) == 1
