"""How a command ends: the one line, the JSON object and the exit code of an error.

An exception with an integer `exit_code` is an answer to the user: one line and a way out. Any
other is a bug of ours: it keeps its traceback. Exit codes: 0 ok, 1 runtime, 2 usage or
configuration, 3 too much bad data, 4 budget reached, 5 missing optional dependency or offline
resource, 130 interrupted (Ctrl-C), 143 terminated.
"""

import errno
import json
import signal
import sys
import traceback
from types import FrameType, TracebackType
from typing import Any

import typer

INTERRUPTED = 130
TERMINATED = 143
BUG_HINT = "this is a bug of textreel: please send these lines and the output of `textreel env`"

_MACHINE_FAULTS = {
    errno.ENOSPC: "make room on that disk, or choose another folder",
    errno.EDQUOT: "make room within your quota, or choose another folder",
    errno.EACCES: "choose a place that you may read and write",
    errno.EPERM: "choose a place that you may read and write",
    errno.EROFS: "choose a folder that is not read-only",
    errno.EISDIR: "a folder is there: name a file",
    errno.ENOTDIR: "a file is there, where a folder is needed: choose another place",
    errno.EEXIST: "a file is there, where a folder is needed: choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""What the operating system refuses, whoever asks: not a bug. The values are ways out."""


def printable(text: str) -> str:
    r"""Return `text` with what UTF-8 cannot hold (bytes of odd file names) written as `\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class OptionError(ValueError):
    """Options that do not go together, or a value that no option has."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Boundary:
    """Context in which a command runs; afterwards `exit_code` says how it ended.

    Errors that are answers to the user are written and swallowed; bugs and `SystemExit` pass
    through.
    """

    def __init__(self, *, as_json: bool = False, debug: bool = False) -> None:
        self.as_json = as_json
        self.debug = debug
        self.exit_code = 0

    def __enter__(self) -> "Boundary":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None:
            return True
        code = exit_code_of(error)
        if code is None:
            return False
        self.exit_code = code
        if isinstance(error, typer.Exit):
            return True
        if self.debug:
            traceback.print_exception(error, file=sys.stderr)
        report(error, as_json=self.as_json)
        return True


def exit_code_of(error: BaseException) -> int | None:
    """Return the exit code that `error` stands for, or None where it is a bug."""
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return INTERRUPTED
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        return code
    return 1 if isinstance(error, OSError) and error.errno in _MACHINE_FAULTS else None


def message_of(error: BaseException) -> str:
    """Return what `error` says, on one line."""
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return "interrupted; what was finished is kept"
    if hasattr(error, "format_message"):  # the command line library's usage errors
        text = str(error.format_message())
    elif isinstance(error, KeyError) and len(error.args) == 1:  # str() would add quotes
        text = str(error.args[0])
    else:
        text = str(error)
    lines = [line.strip() for line in text.splitlines()]
    return " ".join(line for line in lines if line) or type(error).__name__


def hint_of(error: BaseException) -> str:
    """Return the way out that `error` names, or an empty text."""
    hint = getattr(error, "hint", "")
    if isinstance(hint, str) and hint:
        return hint
    if isinstance(error, OSError) and error.errno in _MACHINE_FAULTS:
        return _MACHINE_FAULTS[error.errno]
    context = getattr(error, "ctx", None)  # usage errors know the command they belong to
    path = getattr(context, "command_path", None)
    return f"`{path} --help` lists what it takes" if path else ""


def error_object(error: BaseException, *, hint: str | None = None) -> dict[str, Any]:
    """Return the only JSON shape of an error: `{"ok": false, "error": {type, message, hint}}`."""
    detail = {
        "type": type(error).__name__,
        "message": message_of(error),
        "hint": hint_of(error) if hint is None else hint,
    }
    return {"ok": False, "error": detail}


def report(error: BaseException, *, as_json: bool) -> None:
    """Write `error`: JSON to stdout, or one line and its hint to stderr."""
    if as_json:
        print(printable(json.dumps(error_object(error), ensure_ascii=False)))
        return
    print(printable(f"textreel: {message_of(error)}"), file=sys.stderr)
    if hint := hint_of(error):
        print(printable(f"  {hint}"), file=sys.stderr)


def report_bug(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """`sys.excepthook` of the command line: the traceback, and where to send it."""
    traceback.print_exception(kind, error, trace, file=sys.stderr)
    print(f"textreel: {BUG_HINT}", file=sys.stderr)
    if "--json" in sys.argv:
        print(json.dumps(error_object(error, hint=BUG_HINT), ensure_ascii=False), flush=True)


def on_terminate(signum: int, frame: FrameType | None) -> None:
    """SIGTERM's handler: unwind, so that files are closed and locks released, and exit 143."""
    raise SystemExit(TERMINATED)


def install_last_nets() -> None:
    """Set the process's excepthook and SIGTERM handler; for the entry point only."""
    sys.excepthook = report_bug
    signal.signal(signal.SIGTERM, on_terminate)
