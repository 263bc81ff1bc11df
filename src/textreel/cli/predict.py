"""`textreel predict`: a file of questions in, a file of answers out; safe to kill."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textreel.cli.loading import (
    Device,
    FrameTokens,
    MaxNewTokens,
    Model,
    Precision,
    Tiles,
    open_session,
)
from textreel.cli.output import JsonOption, emit
from textreel.cli.progress import Display
from textreel.cli.sampling import EndS, Fps, MaxFrames, NumFrames, StartS
from textreel.cli.words import count_all

if TYPE_CHECKING:
    from textreel.evaluate.score import Score
    from textreel.recipes.grading import Grade
    from textreel.serve.predict import PredictReport


def predict(
    model: Model,
    questions: Annotated[
        Path,
        typer.Argument(
            metavar="IN.JSONL", help='Lines {"video", "question", "options", "answer", "type"}.'
        ),
    ],
    answers: Annotated[Path, typer.Argument(metavar="OUT.JSONL", help="Takes the answers.")],
    max_bad: Annotated[
        str, typer.Option(metavar="N|N%", help="Lines that may fail; more is exit code 3.")
    ] = "0",
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Only part I of N, from 0; for many machines.")
    ] = "0/1",
    max_new_tokens: MaxNewTokens = 32,
    num_frames: NumFrames = None,
    fps: Fps = None,
    max_frames: MaxFrames = None,
    start_s: StartS = None,
    end_s: EndS = None,
    tiles: Tiles = False,
    frame_tokens: FrameTokens = None,
    device: Device = "cpu",
    precision: Precision = "auto",
    as_json: JsonOption = False,
) -> None:
    """Answer every line of IN.JSONL, and grade choices whose lines carry the right answer.

    The same command goes on after a kill.
    """
    from textreel.data.shards import parse_shard
    from textreel.recipes.grading import grade
    from textreel.serve.predict import PredictSettings
    from textreel.serve.predict import predict as answer_all
    from textreel.serve.question_lines import read_question_lines

    part = parse_shard(shard)
    read_question_lines(questions)  # a missing file is told before a model is loaded
    session = open_session(
        model,
        device=device,
        precision=precision,
        tiles=tiles,
        frame_tokens=frame_tokens,
        num_frames=num_frames,
        fps=fps,
        max_frames=max_frames,
        start_s=start_s,
        end_s=end_s,
    )
    settings = PredictSettings(max_new_tokens=max_new_tokens, max_bad=max_bad, shard=part)
    with Display() as display:
        report = answer_all(session, questions, answers, settings, show=display.update)
    graded = grade(report.output, system=session.name)
    found = {"grade": None if graded is None else graded.to_json()}
    found |= {field.name: getattr(report, field.name) for field in fields(report)}
    emit(found, as_json=as_json, text="\n".join(describe(report) + describe_grade(graded)))


def describe(report: "PredictReport") -> list[str]:
    """Return what came of a file as lines for people."""
    lines = [f"{report.lines} lines -> {report.output} ({report.reused} from an earlier run)"]
    if report.bad:
        lines.append(f"bad: {count_all(report.bad)}; see {report.quarantine}")
    return lines


def describe_grade(graded: "Grade | None") -> list[str]:
    """Return how many answers are right, over all and by type, as lines for people."""
    if graded is None:
        return []
    scores = graded.scores
    head = f"accuracy {describe_score(scores.overall)}, {scores.unparsed} unparsed"
    if graded.ungraded:
        head += f"; {graded.ungraded} lines carry no right answer to a choice"
    width = max(map(len, scores.by_kind))
    by_kind = [f"  {name:<{width}}  {describe_score(s)}" for name, s in scores.by_kind.items()]
    return [head, *(by_kind if len(by_kind) > 1 else [])]


def describe_score(score: "Score") -> str:
    """Write a share with its standard error, and how much it rests on."""
    error = "unknown, one video" if score.json_stderr is None else f"{score.stderr:.3f}"
    return f"{score.value:.3f} (stderr {error}; {score.n} questions, {score.clusters} videos)"
