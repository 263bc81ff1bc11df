"""The commands of the documents run, as they stand there.

Lines of fenced `console` and `bash` blocks. A `textreel` line runs in this process, in the order of
its document and in one empty folder. A comment `# slow` moves it to the slow tier; `# needs ...`
(a model to download, the reader's own file) leaves it at a check that its options exist. `make`
lines must name a target. Anything else must be in OTHER, so that no command escapes.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from tests.source import ROOT
from textreel.cli.app import app, run

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    if path.name != "LOG.md"  # history: its commands ran once
    and path.parent.name != "guides"  # they run whole: test_guides.py
)
OTHER = {"python3", ".venv/bin/pip", "git", "cd"}


@dataclass(frozen=True)
class Line:
    words: tuple[str, ...]
    comment: str

    @property
    def tier(self) -> str:
        if self.words[0] != "textreel" or self.comment.startswith("needs"):
            return "never"
        return "slow" if self.comment.startswith("slow") else "default"


def lines_of(text: str) -> list[Line]:
    found = []
    for kind, block in re.findall(r"^```(console|bash)\n(.*?)^```", text, re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            if kind == "console" and not line.startswith("$ "):
                continue  # output
            command, _, comment = line.removeprefix("$ ").partition("  # ")
            if words := shlex.split(command, comments=True):
                found.append(Line(tuple(words), comment.strip()))
    return found


def lines_in(document: str) -> list[Line]:
    return lines_of((ROOT / document).read_text(encoding="utf-8"))


def leaves(command) -> list:
    children = getattr(command, "commands", {})
    return [leaf for c in children.values() for leaf in leaves(c)] if children else [command]


def parse_only(arguments: list[str]) -> None:
    """Read a command line as far as its command's own function, which is not called."""
    command = typer.main.get_command(app)
    for leaf in leaves(command):
        leaf.callback = None
    with command.make_context("textreel", arguments) as context:
        command.invoke(context)


def execute(document: str, tiers: set[str], folder: Path, monkeypatch) -> int:
    monkeypatch.chdir(folder)
    done = 0
    for line in lines_in(document):
        if line.tier in tiers:
            assert run(line.words[1:]) == 0, f"{document}: {shlex.join(line.words)}"
            done += 1
    return done


@pytest.mark.parametrize("document", DOCUMENTS)
def test_quick_commands_run(document: str, tmp_path: Path, monkeypatch, capsys) -> None:
    done = execute(document, {"default"}, tmp_path, monkeypatch)
    if document == "README.md":
        assert done >= 2


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS)
def test_all_commands_run(document: str, tmp_path: Path, monkeypatch, capsys) -> None:
    done = execute(document, {"default", "slow"}, tmp_path, monkeypatch)
    tiers = [line.tier for line in lines_in(document)]
    assert done == tiers.count("default") + tiers.count("slow")
    if document == "README.md":
        assert tiers.count("slow") >= 2


def test_commands_that_do_not_run_here_still_parse() -> None:
    every = [line for document in DOCUMENTS for line in lines_in(document)]
    ours = [line for line in every if line.words[0].endswith("textreel")]
    assert len(ours) >= 3
    for line in ours:
        if "--help" not in line.words:
            parse_only(list(line.words[1:]))


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    used = {
        word
        for document in DOCUMENTS
        for line in lines_in(document)
        if line.words[0] == "make"
        for word in line.words[1:]
        if "=" not in word
    }
    assert {"demo", "test"} <= used
    assert used <= targets


def test_no_command_escapes() -> None:
    known = OTHER | {"textreel", ".venv/bin/textreel", "make"}
    firsts = {line.words[0] for document in DOCUMENTS for line in lines_in(document)}
    assert firsts <= known, f"neither run nor checked: {sorted(firsts - known)}"


def test_links_lead_somewhere() -> None:
    checked = 0
    guides = [f"docs/guides/{path.name}" for path in (ROOT / "docs" / "guides").glob("*.md")]
    for document in [*DOCUMENTS, *guides, "docs/LOG.md", "CHANGELOG.md"]:
        path = ROOT / document
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{document} links to {target}"
            checked += 1
    assert checked >= 5


def test_the_map_shows_the_rooms() -> None:
    drawn = re.findall(r"^  (\w+)/ ", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    there = {p.name for p in (ROOT / "src" / "textreel").iterdir() if p.is_dir()} - {"__pycache__"}
    assert set(drawn) == there


TEXT = """
```console
$ textreel env --json \\
    --x  # slow: why
output
```
```bash
make demo    # all of it
textreel a "b c"  # needs a model
```
```python
textreel
```
"""


def test_lines_are_read_with_their_marks() -> None:
    lines = lines_of(TEXT)
    assert [line.words for line in lines] == [
        ("textreel", "env", "--json", "--x"),
        ("make", "demo"),
        ("textreel", "a", "b c"),
    ]
    assert [line.tier for line in lines] == ["slow", "never", "never"]


def test_an_option_that_does_not_exist_is_seen() -> None:
    with pytest.raises(Exception, match="No such option: --nope"):
        parse_only(["env", "--nope"])
