"""`textreel ask`: one question about a video file, a story, or both."""

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
from textreel.cli.sampling import EndS, Fps, MaxFrames, NumFrames, StartS
from textreel.cli.words import at

if TYPE_CHECKING:
    from textreel.models.answer import Answer
    from textreel.serve.session import Comparison

BAR_COLUMNS = 30


def ask(
    run: Model,
    video: Annotated[
        Path, typer.Argument(metavar="VIDEO", help="A video, or a story.txt, one frame a line.")
    ],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What to ask.")],
    option: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Choose among these; give it again.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="VIDEO", help="Ask this too; the other is a story.")
    ] = None,
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
    """Answer QUESTION about VIDEO; with --option as a choice with probabilities.

    An image-LLM is shown 8 frames unless told otherwise; a run looks at what it was trained on.
    """
    session = open_session(
        run,
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
    if compare is None:
        answer = session.ask(video, question, options=option, max_new_tokens=max_new_tokens)
        emit(answer, as_json=as_json, text=describe(answer))
        return
    both = session.compare(video, compare, question, options=option, max_new_tokens=max_new_tokens)
    emit(both, as_json=as_json, text=describe_both(both))


def describe(answer: "Answer") -> str:
    """Return an answer as lines for people: the answer, its odds, and what it rests on."""
    lines = [answer.text or "(no words)"]
    width = max(map(len, answer.options), default=0)
    for option, probability in zip(answer.options, answer.probabilities, strict=True):
        bar = "#" * round(BAR_COLUMNS * probability)
        lines.append(f"  {option:<{width}}  {probability:6.1%}  {bar}".rstrip())
    lines.append(f"saw     {at(answer.frame_times_s, 'frames')}")
    if answer.heard_times_s:
        lines.append(f"heard   {at(answer.heard_times_s, 'pieces')}")
    lines.append(f"sound   {answer.sound_status}")
    lines.append(f"through {answer.encoder}, bridge {answer.bridge}")
    return "\n".join(lines + ([f"note    {answer.note}"] if answer.note else []))


def describe_both(both: "Comparison") -> str:
    """Return the answers about a story and a video, one below the other."""
    verdict = "the same answer" if both.agree else "different answers"
    told, shown = describe(both.story), describe(both.video)
    return f"told, in words: {told}\n\nshown, as video: {shown}\n\n{verdict}"
