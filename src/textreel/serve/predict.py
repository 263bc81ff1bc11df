"""`predict`: a file of questions in, a file of answers out, line by line; safe to kill.

    in.jsonl   {"id": "a", "video": "clip.mp4", "question": "Which?", "options": ["x", "y"]}
    out.jsonl  the same line, and "prediction": {"text", "chosen", "probabilities", ...}
               or "error": {"type", "message", "hint"}

A finished line is in the journal beside the output before the next one begins. The output is
written whole at the end, in the order of the questions, whatever was killed in between. A line is
answered again when its text or the content of its video changed.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from textreel.data.files import fingerprint, write_atomic
from textreel.data.journal import Journal
from textreel.data.prompt import PromptError
from textreel.data.quarantine import Quarantine
from textreel.data.shards import in_shard, run_shard
from textreel.media.errors import MediaError
from textreel.media.sampling import SamplingError
from textreel.models.answer import Answer
from textreel.models.errors import ModelError
from textreel.serve.errors import SameFileError, ServeError
from textreel.serve.question_lines import QuestionLine, read_question_lines
from textreel.serve.session import Session

BAD_QUESTIONS = (MediaError, ServeError, PromptError, ModelError, SamplingError)
"""What can be wrong with one question or its video; anything else ends the job."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictSettings:
    """How a file of questions is answered.

    Attributes:
        max_new_tokens: longest answer in free words.
        max_bad: lines that may fail, a number or a share such as `1%`; None: any.
        shard: (i, n): only part i of n.
    """

    max_new_tokens: int = 32
    max_bad: int | str | None = 0
    shard: tuple[int, int] = (0, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictReport:
    """What came of a file of questions.

    Attributes:
        output: the file of answers.
        lines: lines in it.
        answered: answered in this run.
        reused: found in the journal.
        bad: lines with an error instead of an answer, by kind.
        quarantine: the file that lists them; empty where there are none.
    """

    output: Path
    lines: int
    answered: int
    reused: int
    bad: dict[str, int]
    quarantine: str


def predict(
    session: Session,
    source: Path,
    target: Path,
    settings: PredictSettings,
    *,
    show: Callable[[str, int, int, str], None] = lambda *_: None,
) -> PredictReport:
    """Answer every line of a file; the same call goes on after a kill.

    Args:
        session: the model.
        source: the questions; see `question_lines`.
        target: the answers; a part i of n goes to a file of its own beside it.
        settings: how.
        show: told how far it is: phase, done, total, note.

    Raises:
        LineError: no questions.
        SameFileError: the output would overwrite the input.
        TooManyBadError: more bad lines than allowed; lines that cannot be read count before the
            first video is opened, and the output is written all the same where videos failed.
        FingerprintError: the journal beside the output is of another model or other settings.
        LockedError: another process is writing the same output.
    """
    if source.resolve() == target.resolve():
        raise SameFileError(
            f"the answers would overwrite the questions in {source}", hint="Name another output."
        )
    lines = read_question_lines(source)
    target = part_of(target, settings.shard)
    quarantine = Quarantine(
        target.with_name(target.name + ".quarantine.jsonl"), max_bad=settings.max_bad
    )
    quarantine.start_again({line.id for line in lines})
    for line in lines:
        if line.fault is not None:
            _set_aside(quarantine, line, source, _error(line.fault))
    quarantine.check(len(lines))
    job = fingerprint([session.fingerprint, settings.max_new_tokens])
    path = target.with_name(target.name + ".journal")
    with Journal.open(path, kind="predict", fingerprint=job) as journal:
        before, new, rows = _answer_all(session, lines, journal, settings, show)
    for line, row in rows:
        if "error" in row:
            _set_aside(quarantine, line, source, row["error"])
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for _, row in rows)
    write_atomic(target, text)
    quarantine.check(len(lines))
    return PredictReport(
        output=target,
        lines=len(rows),
        answered=new,
        reused=before,
        bad=quarantine.summary(),
        quarantine=str(quarantine.path) if len(quarantine) else "",
    )


def part_of(target: Path, shard: tuple[int, int]) -> Path:
    """Return the output of one part: `out.jsonl`, or `out-00001-of-00004.jsonl`."""
    index, count = shard
    if count == 1:
        return target
    return target.with_name(f"{target.stem}-{index:05d}-of-{count:05d}{target.suffix}")


def _answer_all(
    session: Session,
    lines: list[QuestionLine],
    journal: Journal,
    settings: PredictSettings,
    show: Callable[[str, int, int, str], None],
) -> tuple[int, int, list[tuple[QuestionLine, dict[str, Any]]]]:
    """Return how many results were there before, how many are new, and every line's row."""
    keyed = {line.key(): line for line in lines}
    mine = {key: line for key, line in keyed.items() if in_shard(key, shard=settings.shard)}
    before = sum(key in journal for key, line in mine.items() if line.fault is None)
    sound = [(key, line) for key, line in mine.items() if line.fault is None]

    def answer(line: QuestionLine) -> dict[str, Any]:
        return _result(session, line, settings.max_new_tokens)

    results: dict[str, dict[str, Any]] = {}
    done = run_shard(answer, sound, journal, shard=settings.shard)
    for count, (key, value) in enumerate(done, start=1):
        results[key] = value
        show("predict", count, len(sound), "")
    rows = [(line, line.fields | results.get(key, _fault(line))) for key, line in mine.items()]
    return before, len(sound) - before, rows


def _result(session: Session, line: QuestionLine, max_new_tokens: int) -> dict[str, Any]:
    try:
        answer = session.ask(
            line.video,
            line.fields["question"],
            options=line.options,
            max_new_tokens=max_new_tokens,
        )
    except BAD_QUESTIONS as error:
        return {"error": _error(error)}
    return {"prediction": dict(_json_fields(answer))}


def _json_fields(answer: Answer) -> Iterator[tuple[str, Any]]:
    for field in fields(answer):
        if field.metadata.get("json", True) and field.name not in ("question", "options"):
            value = getattr(answer, field.name)
            yield field.name, list(value) if isinstance(value, tuple) else value


def _fault(line: QuestionLine) -> dict[str, Any]:
    fault = {"error": _error(line.fault)} if line.fault is not None else {}
    return ({} if line.fields else {"id": line.id}) | fault


def _error(error: Exception) -> dict[str, str]:
    hint = str(getattr(error, "hint", ""))
    return {"type": type(error).__name__, "message": str(error), "hint": hint}


def _set_aside(
    quarantine: Quarantine, line: QuestionLine, source: Path, error: dict[str, str]
) -> None:
    quarantine.add(
        line.id,
        source=str(source),
        line=line.number,
        code=error["type"],
        message=error["message"],
    )
