import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version

import pytest

from tests.source import PACKAGE
from textreel.__main__ import main
from textreel.cli.app import run


def test_alone_it_shows_its_help(capsys) -> None:
    assert run([]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith("Usage: textreel [OPTIONS] COMMAND")


def test_help_lists_every_command(capsys) -> None:
    assert run(["--help"]) == 0
    listed = capsys.readouterr().out.split("Commands:")[1]
    commands = [line.split()[0] for line in listed.splitlines() if line.startswith("  ")]
    assert {"ask", "bench", "env"} <= set(commands)


def test_version(capsys) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"textreel {version('textreel')}\n"


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["nope"], "No such command 'nope'.", "`textreel --help` lists what it takes"),
        (["env", "--x"], "No such option: --x", "`textreel env --help` lists what it takes"),
    ],
)
def test_a_usage_error_exits_2_and_names_the_way_out(arguments, message, hint, capsys) -> None:
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"textreel: {message}\n  {hint}\n"


def test_a_usage_error_in_json(capsys) -> None:
    assert run(["env", "--x", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["message"] == "No such option: --x"


def test_main_returns_the_exit_code(monkeypatch, capsys) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "argv", ["textreel", "nope"])
    try:
        assert main() == 2
        assert main(["--version"]) == 0
    finally:
        signal.signal(signal.SIGTERM, before)


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.slow
def test_importing_the_package_loads_nothing() -> None:
    loaded = modules_after("import textreel")
    assert "textreel" in loaded
    assert loaded.isdisjoint({"torch", "numpy", "av", "transformers", "typer", "pydantic"})


@pytest.mark.slow
def test_help_loads_no_room() -> None:
    loaded = modules_after("from textreel.cli.app import run; run(['--help'])")
    assert loaded.isdisjoint({"torch", "numpy", "av", "transformers", "PIL", "pydantic"})
    rooms = {name.split(".")[1] for name in loaded if name.startswith("textreel.")}
    assert rooms == {"cli"}


@pytest.mark.slow
def test_media_loads_no_torch() -> None:
    files = [path.stem for path in (PACKAGE / "media").glob("*.py") if path.stem != "__init__"]
    assert len(files) > 3
    loaded = modules_after("import " + ", ".join(f"textreel.media.{name}" for name in files))
    assert "av" in loaded
    assert loaded.isdisjoint({"torch", "transformers"})


WAITING = """
import sys, time
from textreel.cli import env
from textreel.__main__ import main

def wait():
    print("ready", flush=True)
    time.sleep(60)

env.inspect_environment = wait
sys.exit(main(["env"]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_signals_end_with_their_code(number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_bug_keeps_its_traceback_and_exits_1() -> None:
    script = WAITING.replace("time.sleep(60)", "1 / 0")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("please send these lines and the output of `textreel env`\n")
    assert "ZeroDivisionError" in done.stderr
