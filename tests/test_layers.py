"""The house's rules: who may import whom, and what belongs into which room."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator

import pytest

from tests.source import PACKAGE, ROOT, Source, dotted, package_sources

LAYERS = (
    {"media", "models"},
    {"data"},
    {"synth", "features"},
    {"train", "evaluate", "serve"},
    {"recipes"},
    {"cli", "__main__", "__init__"},
)
RANK = {room: rank for rank, layer in enumerate(LAYERS) for room in layer}
TOP = len(LAYERS) - 1

ONLY_IN = {
    "transformers": {"models"},
    "peft": {"models"},
    "huggingface_hub": {"models"},
    "typer": {"cli"},
    "click": {"cli"},
    "rich": {"cli"},
}
"""Package to the rooms that may import it."""

PLAIN_SIDE = "recipes/bench_"
"""A bench compares with what a user would write with transformers alone: that side may."""

MAY_SEED_TORCH = {"train", "recipes"}
GENERATORS = {"Generator", "default_rng", "SeedSequence", "BitGenerator", "PCG64", "Philox"}
DRAWS = {"rand", "randn", "randint", "randperm", "normal", "multinomial", "bernoulli"}
DRAWS |= {"rand_like", "randn_like", "randint_like"}


def imports(source: Source) -> Iterator[tuple[ast.AST, str]]:
    """Every imported dotted name, relative ones made absolute."""
    package = ["textreel", *source.name.split("/")[:-1]]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and dotted(node.func).endswith("import_module"):
            yield from ((node, a.value) for a in node.args if isinstance(a, ast.Constant))


def upward(source: Source) -> list[str]:
    wrong = []
    for node, name in imports(source):
        top, there, *_ = [*name.split("."), "__init__"]
        if top != "textreel" or there == source.room:
            continue
        if there not in RANK:  # `from textreel import load`: the package itself
            there = "__init__"
        if source.room not in {"cli", "__main__", "__init__"} and RANK[there] >= RANK[source.room]:
            wrong.append(f"{source.at(node)}: {source.room} may not import {name}")
    return wrong


def misplaced(source: Source) -> list[str]:
    return [
        f"{source.at(node)}: {name} belongs into {sorted(ONLY_IN[name.split('.')[0]])}"
        for node, name in imports(source)
        if source.room not in ONLY_IN.get(name.split(".")[0], {source.room})
        and not (source.name.startswith(PLAIN_SIDE) and name.startswith("transformers"))
    ]


def torch_in_media(source: Source) -> list[str]:
    if source.room != "media":
        return []
    names = ((node, name) for node, name in imports(source) if name.split(".")[0] == "torch")
    return [f"{source.at(node)}: media never imports {name}" for node, name in names]


def modules_outside_models(source: Source) -> list[str]:
    if source.room == "models":
        return []
    return [
        f"{source.at(node)}: class {node.name} is a network; networks live in models/"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
        and any(re.search(r"(^|\.)(Module|PreTrainedModel)$", dotted(b)) for b in node.bases)
    ]


def global_random(source: Source) -> list[str]:
    wrong = []
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        module, _, function = dotted(node.func).rpartition(".")
        with_generator = any(k.arg == "generator" for k in node.keywords)
        if (
            (module == "random" and function != "Random")
            or (module in {"np.random", "numpy.random"} and function not in GENERATORS)
            or (module == "torch" and function in DRAWS and not with_generator)
            or (
                re.search(r"^torch(\.\w+)?$", module)
                and function in {"manual_seed", "seed", "manual_seed_all"}
                and source.room not in MAY_SEED_TORCH
            )
        ):
            wrong.append(f"{source.at(node)}: {dotted(node.func)} uses the global generator")
    return wrong


def cuda_or_print(source: Source) -> list[str]:
    wrong = []
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr == "cuda":
            wrong.append(f"{source.at(node)}: .cuda(); take a device instead")
        if dotted(node.func) in {"print", "sys.exit", "exit"} and source.room not in {
            "cli",
            "__main__",
        }:
            wrong.append(f"{source.at(node)}: {dotted(node.func)} belongs into cli/")
    return wrong


RULES = [upward, misplaced, torch_in_media, modules_outside_models, global_random, cuda_or_print]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_file_keeps_the_rule(rule) -> None:
    wrong = [line for source in package_sources() for line in rule(source)]
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_house_has_these_rooms_and_no_other() -> None:
    rooms = {source.room for source in package_sources()}
    assert rooms == RANK.keys(), f"missing or unknown rooms: {rooms ^ RANK.keys()}"


BROKEN = {
    "media/a.py": ("from textreel.data.journal import Journal", upward),
    "models/a.py": ("from ..media import clip", upward),
    "models/b.py": ("from textreel import load", upward),
    "train/a.py": ("import textreel.serve.session", upward),
    "data/a.py": ("import_module('textreel.features.store')", upward),
    "features/a.py": ("from transformers import AutoModel", misplaced),
    "serve/a.py": ("import rich.table", misplaced),
    "media/b.py": ("def f():\n    import torch.nn as nn", torch_in_media),
    "train/b.py": ("class A(nn.Module): ...", modules_outside_models),
    "train/c.py": ("class A(PreTrainedModel): ...", modules_outside_models),
    "data/b.py": ("random.shuffle(x)", global_random),
    "data/c.py": ("np.random.rand(3)", global_random),
    "models/c.py": ("torch.randn(3)", global_random),
    "models/d.py": ("torch.manual_seed(0)", global_random),
    "models/e.py": ("torch.cuda.manual_seed_all(0)", global_random),
    "models/f.py": ("model.cuda()", cuda_or_print),
    "data/d.py": ("print(1)", cuda_or_print),
    "data/e.py": ("sys.exit(1)", cuda_or_print),
}


def as_source(name: str, text: str) -> Source:
    return Source(PACKAGE / name, name, text, ast.parse(text))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_seen(name: str) -> None:
    text, rule = BROKEN[name]
    assert len(rule(as_source(name, text))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data/a.py", "from textreel.media.clip import Clip"),
        ("data/b.py", "from .journal import Journal\nrandom.Random(3)"),
        ("synth/world/a.py", "from ...data import textual_video"),
        ("cli/a.py", "from textreel.recipes import demo\nprint(1)"),
        ("train/a.py", "torch.manual_seed(3)\ntorch.rand(3, generator=g)"),
        ("features/a.py", "np.random.default_rng(3)\nimport tokenizers"),
    ],
)
def test_what_is_allowed_stays_allowed(name: str, text: str) -> None:
    assert [line for rule in RULES for line in rule(as_source(name, text))] == []


DISTRIBUTIONS = {"fontTools": "fonttools", "PIL": "pillow", "huggingface_hub": "huggingface-hub"}
"""Import name to distribution name, where they differ."""


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [r for rs in project.get("optional-dependencies", {}).values() for r in rs]
    declared = {re.split(r"[<>=~!\[; ]", r)[0] for r in project["dependencies"] + extras}
    tops = {name.split(".")[0] for source in package_sources() for _, name in imports(source)}
    foreign = tops - set(sys.stdlib_module_names) - {"textreel"}
    assert {"numpy", "torch", "av"} <= foreign
    missing = {DISTRIBUTIONS.get(name, name) for name in foreign} - declared
    assert not missing, f"imported, but not in pyproject.toml: {sorted(missing)}"
