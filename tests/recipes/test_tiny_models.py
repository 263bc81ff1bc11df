import sys
from pathlib import Path
from types import ModuleType

import pytest

from textreel.recipes import tiny_models
from textreel.recipes.tiny_models import build_tiny


def test_what_is_built_already_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, int]] = []
    runs = ModuleType("textreel.recipes.tiny_run")
    runs.build_run = lambda out, *, seed: made.append(("run", seed))
    monkeypatch.setitem(sys.modules, "textreel.recipes.tiny_run", runs)
    monkeypatch.setattr(tiny_models, "_towers", lambda out, seed: made.append(("towers", seed)))
    monkeypatch.setattr(tiny_models, "_decoder", lambda out, seed: made.append(("decoder", seed)))
    said: list[str] = []
    (tmp_path / "towers").mkdir()
    (tmp_path / "towers" / "config.json").write_text("{}")
    build_tiny(tmp_path, seed=4, show=said.append)
    assert made == [("decoder", 4), ("run", 4)]
    assert said[0] == "towers: there already"
    assert [line.split(":")[0] for line in said] == ["towers", "decoder", "run"]
