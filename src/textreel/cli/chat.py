"""`textreel chat`: a conversation about a video, on a terminal or through a pipe.

Answers go to stdout as they are written; what was looked at, and mistakes, go to stderr. On a
terminal a mistake is told and the conversation goes on; through a pipe the first one ends it.
"""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textreel.cli.errors import OptionError, exit_code_of, printable, report
from textreel.cli.loading import (
    Device,
    FrameTokens,
    MaxNewTokens,
    Model,
    Precision,
    Tiles,
    open_session,
)
from textreel.cli.output import JsonOption, emit, say
from textreel.cli.pictures import show_frames
from textreel.cli.sampling import EndS, Fps, MaxFrames, NumFrames, StartS
from textreel.cli.words import at

if TYPE_CHECKING:
    from textreel.models.answer import Answer
    from textreel.serve.conversation import Conversation
    from textreel.serve.session import Session

HELP = """\
/video FILE        talk about another video
/frames [PNG]      show what was looked at, and write it as one picture (frames.png)
/options A | B     the next question is a choice among these
/reset             forget what was said; the video stays
/save [JSON]       write the conversation to a file (chat.json)
/help, /quit       anything else is a question"""


def chat(
    model: Model,
    video: Annotated[
        Path | None, typer.Argument(metavar="[VIDEO]", help="What to talk about; or use /video.")
    ] = None,
    remember: Annotated[
        bool | None,
        typer.Option(
            "--remember/--forget",
            help="Show the model earlier turns; unless said, as it was trained.",
        ),
    ] = None,
    max_new_tokens: MaxNewTokens = 128,
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
    """Talk about VIDEO: one question a line; /help lists what else can be said."""
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
    talk = Talk(session, remember=remember, max_new_tokens=max_new_tokens, as_json=as_json)
    if video is not None:
        talk.begin(video)
    terminal = sys.stdin.isatty()
    if terminal:
        say("ask anything; /help lists what else can be said, Ctrl-D ends")
    for line in _lines(terminal):
        if not talk.hear(line, forgiving=terminal):
            return


def _lines(terminal: bool) -> Iterator[str]:
    """Yield lines of input without white space around them; empty ones are left out."""
    if not terminal:
        yield from (line.strip() for line in sys.stdin if line.strip())
        return
    with contextlib.suppress(ImportError):  # there is none on Windows
        import readline  # noqa: F401 - gives `input` a history and arrow keys

    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            print(file=sys.stderr)
            return
        if line:
            yield line


class Talk:
    """What a chat does with each line.

    Args:
        session: the model.
        remember: see `Session.chat`.
        max_new_tokens: longest answer.
        as_json: answers as JSON, one a line.
    """

    def __init__(
        self, session: "Session", *, remember: bool | None, max_new_tokens: int, as_json: bool
    ) -> None:
        self.session = session
        self.remember = remember
        self.max_new_tokens = max_new_tokens
        self.as_json = as_json
        self.talk: Conversation | None = None
        self.options: list[str] | None = None
        self._told: set[str] = set()
        self.commands: dict[str, Callable[[str], None]] = {
            "video": lambda rest: self.begin(Path(_needed(rest, "/video FILE"))),
            "frames": self._frames,
            "options": self._options,
            "reset": lambda _: self._about().reset(),
            "save": self._save,
            "help": lambda _: print(HELP, file=sys.stderr),
        }

    def hear(self, line: str, *, forgiving: bool) -> bool:
        """Act on one line; return whether the conversation goes on.

        Args:
            line: a question, or a command with a slash.
            forgiving: tell a mistake instead of raising it; Ctrl-C breaks off an answer.
        """
        if line in ("/quit", "/exit"):
            return False
        try:
            self._act(line)
        except KeyboardInterrupt:
            if not forgiving:
                raise
            print("\n(broken off)", file=sys.stderr)
        except (ValueError, LookupError, OSError) as error:
            if not forgiving or exit_code_of(error) is None:
                raise
            report(error, as_json=False)
        return True

    def begin(self, video: Path) -> None:
        """Look at a video and begin to talk about it."""
        self.talk = self.session.chat(video, remember=self.remember)
        seen, reader = self.talk.seen, self.session.reader
        of_all = "" if reader.limit is None else f" of {reader.limit:,}"
        say(f"{seen.source}: {at(seen.frame_times_s, 'frames')}")
        heard = f", heard {at(seen.heard_times_s, 'pieces')}" if seen.heard_times_s else ""
        say(f"sound {seen.sound_status}{heard}; {reader.num_tokens(seen):,}{of_all} tokens")
        self._tell(seen.notes)

    def _tell(self, notes: Iterable[str]) -> None:
        """Say what was not said before."""
        for note in notes:
            if note and note not in self._told:
                self._told.add(note)
                say(note)

    def _act(self, line: str) -> None:
        if not line.startswith("/"):
            self._ask(line)
            return
        name, _, rest = line[1:].partition(" ")
        if name not in self.commands:
            raise OptionError(f"/{name} is not known here", hint="/help lists what can be said")
        self.commands[name](rest.strip())

    def _about(self) -> "Conversation":
        if self.talk is None:
            raise OptionError("there is no video to talk about", hint="name one: /video FILE")
        return self.talk

    def _ask(self, question: str) -> None:
        talk, options, self.options = self._about(), self.options, None
        if self.as_json or options is not None:
            answer = talk.ask(question, options=options, max_new_tokens=self.max_new_tokens)
            emit(answer, as_json=self.as_json, text=_odds(answer))
            sys.stdout.flush()
            return
        stream = talk.stream(question, max_new_tokens=self.max_new_tokens)
        for piece in stream:
            print(printable(piece), end="", flush=True)
        print("" if stream.answer.text else "(no words)", flush=True)
        self._tell(stream.answer.note.split("; "))

    def _frames(self, rest: str) -> None:
        from textreel.serve.blocks import contact_sheet

        seen = self._about().seen
        if seen.clip is None:
            raise OptionError(f"{seen.source} has no frames to show: it is a story, or was heard")
        path = Path(rest or "frames.png")
        contact_sheet(seen.clip.frames, seen.frame_times_s, path)
        if not self.as_json:
            show_frames(seen.clip.frames)
        say(f"{len(seen.frame_times_s)} frames -> {path}")

    def _options(self, rest: str) -> None:
        self.options = [option.strip() for option in _needed(rest, "/options A | B").split("|")]

    def _save(self, rest: str) -> None:
        path = Path(rest or "chat.json")
        self._about().save(path)
        say(f"{len(self._about().answers)} answers -> {path}")


def _needed(rest: str, usage: str) -> str:
    if not rest:
        raise OptionError(f"something is missing: {usage}", hint="/help lists what can be said")
    return rest


def _odds(answer: "Answer") -> str:
    pairs = zip(answer.options, answer.probabilities, strict=True)
    return f"{answer.text}  ({', '.join(f'{option} {p:.1%}' for option, p in pairs)})"
