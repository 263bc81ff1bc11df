import errno
import json
import signal
import sys

import pytest
import typer

from textreel.cli.errors import (
    BUG_HINT,
    Boundary,
    OptionError,
    error_object,
    exit_code_of,
    hint_of,
    install_last_nets,
    message_of,
    report_bug,
)


class QuotaError(RuntimeError):
    exit_code = 4
    hint = "raise it with --max-usd"


def end(error: BaseException, **options: bool) -> Boundary:
    boundary = Boundary(**options)
    with boundary:
        raise error
    return boundary


def test_a_command_that_ends_well_says_nothing(capsys) -> None:
    with Boundary() as boundary:
        pass
    assert boundary.exit_code == 0
    assert capsys.readouterr() == ("", "")


def test_an_answer_is_one_line_and_its_way_out(capsys) -> None:
    assert end(QuotaError("the budget of\n  3 dollars is spent")).exit_code == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == ("textreel: the budget of 3 dollars is spent\n  raise it with --max-usd\n")


def test_an_answer_in_json_goes_to_stdout(capsys) -> None:
    assert end(QuotaError("spent"), as_json=True).exit_code == 4
    said = capsys.readouterr()
    assert said.err == ""
    assert json.loads(said.out) == {
        "ok": False,
        "error": {"type": "QuotaError", "message": "spent", "hint": "raise it with --max-usd"},
    }


def test_debug_adds_the_traceback(capsys) -> None:
    end(QuotaError("spent"), debug=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-2] == "textreel: spent"


def test_a_bug_passes_through() -> None:
    with pytest.raises(ZeroDivisionError, match="by zero"):
        end(ZeroDivisionError("by zero"))


def test_system_exit_passes_through() -> None:
    with pytest.raises(SystemExit, match="143"):
        end(SystemExit(143))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_an_interruption_exits_130(error: BaseException, capsys) -> None:
    assert end(error).exit_code == 130
    assert capsys.readouterr().err == "textreel: interrupted; what was finished is kept\n"


def test_an_exit_is_silent(capsys) -> None:
    assert end(typer.Exit(3)).exit_code == 3
    assert capsys.readouterr() == ("", "")


def test_what_the_machine_refuses_is_no_bug(capsys) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "runs/a")
    assert end(full).exit_code == 1
    assert capsys.readouterr().err == (
        "textreel: [Errno 28] No space left on device: 'runs/a'\n"
        "  make room on that disk, or choose another folder\n"
    )
    folder = IsADirectoryError(errno.EISDIR, "Is a directory", "runs/a")
    assert (exit_code_of(folder), hint_of(folder)) == (1, "a folder is there: name a file")


def test_other_operating_system_errors_are_bugs() -> None:
    assert exit_code_of(OSError(errno.EBADF, "Bad file descriptor")) is None
    assert exit_code_of(FileNotFoundError("no such thing")) is None


def test_a_key_error_loses_its_quotes() -> None:
    class NoRowError(KeyError):
        exit_code = 1

    assert message_of(NoRowError("no row 'blind'")) == "no row 'blind'"


def test_an_error_without_words_says_its_name() -> None:
    assert message_of(QuotaError()) == "QuotaError"


def test_a_hint_that_is_no_text_is_no_hint() -> None:
    error = QuotaError("spent")
    error.hint = None  # type: ignore[assignment]
    assert hint_of(error) == ""


def test_an_option_error_is_a_usage_error() -> None:
    error = OptionError("--a and --b exclude each other", hint="drop one")
    assert (exit_code_of(error), hint_of(error)) == (2, "drop one")


def test_the_last_net_shows_the_traceback_and_asks_for_env(capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["textreel", "demo", "--json"])
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError as error:
        report_bug(type(error), error, error.__traceback__)
        wanted = error_object(error, hint=BUG_HINT)
    said = capsys.readouterr()
    assert said.err.startswith("Traceback (most recent call last):")
    assert said.err.endswith("ZeroDivisionError: by zero\ntextreel: " + BUG_HINT + "\n")
    assert json.loads(said.out) == wanted


def test_sigterm_unwinds_and_exits_143(monkeypatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    before = signal.getsignal(signal.SIGTERM)
    unwound = []
    try:
        install_last_nets()
        assert sys.excepthook is report_bug
        with pytest.raises(SystemExit) as ended:
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                unwound.append(True)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 143
    assert unwound == [True]
