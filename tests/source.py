"""The package's and the tests' source files, parsed once, for the tests that read code."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "textreel"


@dataclass(frozen=True)
class Source:
    path: Path
    name: str  # relative to src/textreel or to the repository, with slashes
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.name.split("/")[0].removesuffix(".py")

    def at(self, node: ast.AST) -> str:
        return f"{self.name}:{getattr(node, 'lineno', 1)}"


def _read(path: Path, base: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    return Source(path, path.relative_to(base).as_posix(), text, ast.parse(text, str(path)))


@cache
def package_sources() -> tuple[Source, ...]:
    found = tuple(_read(path, PACKAGE) for path in sorted(PACKAGE.rglob("*.py")))
    assert len(found) >= 20, f"only {len(found)} files under {PACKAGE}"
    return found


@cache
def sources_of_tests() -> tuple[Source, ...]:
    found = tuple(_read(path, ROOT) for path in sorted((ROOT / "tests").rglob("*.py")))
    assert len(found) >= 5, f"only {len(found)} files under {ROOT / 'tests'}"
    return found


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute chain that starts at a name; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (head := dotted(node.value)):
        return f"{head}.{node.attr}"
    return ""
