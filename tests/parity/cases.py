"""Golden cases: what published code computed on tiny random weights, found by pattern.

    case = find_cases("eva-vit-*")[0]
    case.json["config"], case.tensors["in.image"], case.file("checkpoint.pth"), case.tolerance()

The folder is `$TEXTREEL_GOLDENS`, else `goldens` in `$TEXTREEL_SHARED`, else `../shared/goldens`
beside the repository. Without it there is one case that skips with a message; with it there must be
at least one case of the kind that is asked for.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

SHARED = Path(os.environ.get("TEXTREEL_SHARED", Path(__file__).parents[2] / ".." / "shared"))
GOLDENS = Path(os.environ.get("TEXTREEL_GOLDENS", SHARED / "goldens"))
_NUMBER = r"([0-9.]+(?:e[-+]?[0-9]+)?)"


@dataclass(frozen=True)
class Tolerance:
    """What `Case.close` allows: |found - wanted| <= atol + rtol * |wanted|."""

    atol: float
    rtol: float = 0.0


@dataclass(frozen=True)
class Case:
    """One golden file and what lies beside it."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def json(self) -> dict[str, Any]:
        return json.loads(self.path.read_text(encoding="utf-8"))

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        return load_file(self.file("io.safetensors"))

    def file(self, ending: str) -> Path:
        """The file of this case with that ending, such as `checkpoint.pth`."""
        return self.path.with_name(f"{self.name}.{ending}")

    def tolerance(
        self, key: str | None = None, *, after: str = "", atol: str = "atol"
    ) -> Tolerance:
        """What the case's own file allows.

        Args:
            key: entry of `tolerance`, where that is a table.
            after: read from behind this word on, where the text names several.
            atol: the word in front of the number.
        """
        text = self.json["tolerance"] if key is None else self.json["tolerance"][key]
        text = text[text.index(after) :]
        absolute = re.search(rf"{atol}\s*(?:<=)?\s*{_NUMBER}", text)
        relative = re.search(rf"rtol\s*(?:<=)?\s*{_NUMBER}", text)
        assert absolute, f"{self.name}: no {atol} in {text!r}"
        return Tolerance(float(absolute[1]), float(relative[1]) if relative else 0.0)

    def close(self, found: Tensor, wanted: str | Tensor, tolerance: Tolerance) -> None:
        """Assert that a tensor is a stored one (or that one), and say by how much it is not."""
        name = wanted if isinstance(wanted, str) else "given"
        target = self.tensors[wanted] if isinstance(wanted, str) else wanted
        assert found.shape == target.shape, f"{self.name} {name}: {found.shape} != {target.shape}"
        off = (found - target).abs() - tolerance.atol - tolerance.rtol * target.abs()
        worst = float((found - target).abs().max())
        assert bool((off <= 0).all()), f"{self.name} {name}: off by up to {worst:.3g}, {tolerance}"
        assert torch.isfinite(found).all(), f"{self.name} {name}: not finite"


def find_cases(pattern: str) -> list[Any]:
    """Parameters for `pytest.mark.parametrize`: one per `<pattern>.json`, its file name the id."""
    if not GOLDENS.is_dir():
        reason = f"no golden files at {GOLDENS} (set TEXTREEL_GOLDENS)"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="absent")]
    cases = [Case(path) for path in sorted(GOLDENS.glob(f"{pattern}.json"))]
    assert cases, f"{GOLDENS} is there, but holds no {pattern}.json"
    return [pytest.param(case, id=case.path.name) for case in cases]


@contextmanager
def outputs_of(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Any]]:
    """Collect what modules return while the block runs, under the names given."""
    seen: dict[str, Any] = {}
    hooks = [
        module.register_forward_hook(lambda _, __, out, name=name: seen.__setitem__(name, out))
        for name, module in modules.items()
    ]
    yield seen
    for hook in hooks:
        hook.remove()
