import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from textreel.cli.output import emit, keep_stderr_plain, logging_to_stderr, to_json


@dataclass(frozen=True)
class Row:
    name: str
    accuracy: float
    where: Path


def test_dataclasses_paths_and_tuples_become_plain_json() -> None:
    value = {"rows": (Row("blind", 0.25, Path("runs/a")),), 3: None}
    assert to_json(value) == {
        "rows": [{"name": "blind", "accuracy": 0.25, "where": str(Path("runs/a"))}],
        "3": None,
    }


def test_what_has_no_json_form_is_refused() -> None:
    with pytest.raises(TypeError, match="no JSON form for a set"):
        to_json({"a": {1}})


def test_results_go_to_stdout_in_one_form(capsys) -> None:
    emit({"é": 1}, as_json=True, text="unused")
    emit({"é": 1}, as_json=False, text="one line")
    assert capsys.readouterr() == ('{"é": 1}\none line\n', "")


@pytest.mark.parametrize(
    ("verbose", "quiet", "said"),
    [(0, False, "we"), (1, False, "iwe"), (2, False, "diwe"), (0, True, "e")],
)
def test_verbosity(verbose: int, quiet: bool, said: str, capsys) -> None:
    package = logging.getLogger("textreel")
    before = (package.level, list(package.handlers))
    room = logging.getLogger("textreel.train")
    with logging_to_stderr(verbose=verbose, quiet=quiet):
        room.debug("d")
        room.info("i")
        room.warning("w")
        room.error("e")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"textreel: {letter}" for letter in said]
    assert (package.level, list(package.handlers)) == before


@pytest.mark.parametrize(("terminal", "wanted"), [(False, "1"), (True, None)])
def test_other_peoples_bars_need_a_terminal(terminal: bool, wanted, monkeypatch) -> None:
    monkeypatch.delenv("HF_HUB_DISABLE_PROGRESS_BARS", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    keep_stderr_plain()
    found = os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS")
    monkeypatch.delenv("HF_HUB_DISABLE_PROGRESS_BARS", raising=False)
    assert found == wanted
