"""The changelog's top entry is the version, and the constraints fit the declared ranges."""

import re
import tomllib
from importlib.metadata import version

from tests.source import ROOT


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_top_entry_is_the_version() -> None:
    entries = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert entries and entries[0] == project()["version"]


def test_the_installed_package_is_this_version() -> None:
    assert version("textreel") == project()["version"]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name.lower().replace("_", "-"): pinned for name, pinned in pairs}


def test_every_declared_dependency_is_pinned() -> None:
    declared = [*project()["dependencies"], *project()["optional-dependencies"]["dev"]]
    names = {re.split(r"[<>=~!\[; ]", requirement)[0] for requirement in declared}
    assert len(names) > 12
    assert names <= pins().keys(), f"not in constraints.txt: {sorted(names - pins().keys())}"


def test_the_pins_are_plain_versions() -> None:
    assert all(re.fullmatch(r"\d+(\.\d+)*", pinned) for pinned in pins().values()), pins()


def test_what_runs_here_is_what_is_pinned() -> None:
    names = ("torch", "transformers", "tokenizers", "av", "pillow", "numpy", "peft", "typer")
    running = {name: version(name).split("+")[0] for name in names}
    assert running == {name: pins()[name] for name in names}
