"""`textreel env`: what is installed here, and what this machine can do. For bug reports too."""

import os
import platform
import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from textreel.cli.output import JsonOption, emit

PACKAGES = (
    "torch transformers peft tokenizers safetensors numpy av pillow pydantic typer rich filelock"
)
DEMO_MEMORY_BYTES = 2 * 1024**3
"""What the demo may use at most."""
BF16_BYTES, FLOAT32_BYTES = 2, 4
BYTES_PER_TRAINED_PARAMETER = 4 * FLOAT32_BYTES  # itself, its gradient, two moments
MAIN = "main memory"
SHARE_TO_RUN = 0.7  # the rest: pixels, activations, keys and values, the system
SHARE_TO_TRAIN = 0.5  # the other half: activations, trained parts and their optimiser state


@dataclass(frozen=True, kw_only=True, slots=True)
class Accelerator:
    """One device that torch can use beside the processor."""

    name: str
    memory_bytes: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """What `textreel env` reports. Sizes in bytes; None where it cannot be found out.

    Attributes:
        versions: package name to installed version, or None where it is missing.
        cores: how many this process may use.
        extras: optional extra to whether all of its packages can be imported.
        can_run: plain sentences; arithmetic on the memory, not measurements.
        can_train: the same.
    """

    textreel: str
    python: str
    platform: str
    versions: dict[str, str | None]
    cores: int
    memory_bytes: int | None
    torch_threads: int
    accelerators: list[Accelerator]
    ffmpeg: str
    ffmpeg_license: str
    cache: str
    cache_bytes: int
    offline: bool
    extras: dict[str, bool]
    can_run: list[str]
    can_train: list[str]


def show_env(as_json: JsonOption = False) -> None:
    """Show versions, machine, cache, and what this machine can run and train, at what size."""
    found = inspect_environment()
    emit(found, as_json=as_json, text=describe(found))


def inspect_environment() -> Environment:
    """Look at this machine and installation; changes nothing, looks nothing up on the network."""
    import av
    import torch
    from av._core import library_meta

    from textreel.data.cache import cache_dir

    memory = memory_bytes()
    accelerators = find_accelerators()
    cache = cache_dir()
    return Environment(
        textreel=version("textreel"),
        python=sys.version.split()[0],
        platform=platform.platform(),
        versions={name: installed_version(name) for name in PACKAGES.split()},
        cores=usable_cores(),
        memory_bytes=memory,
        torch_threads=torch.get_num_threads(),
        accelerators=accelerators,
        ffmpeg=str(av.ffmpeg_version_info),
        ffmpeg_license=str(library_meta["libavcodec"]["license"]),
        cache=str(cache),
        cache_bytes=folder_bytes(cache),
        offline=os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"},
        extras=find_extras(requires("textreel") or []),
        can_run=running_sizes(memory, accelerators),
        can_train=training_sizes(memory, accelerators),
    )


def installed_version(package: str) -> str | None:
    """Return the installed version of `package`, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # Linux: a container or `taskset` may allow fewer
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int | None:
    """Return the machine's main memory in bytes; None on systems that do not tell (Windows)."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def find_accelerators() -> list[Accelerator]:
    """Return the devices that torch can use beside the processor."""
    import torch

    found = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        found.append(Accelerator(name=properties.name, memory_bytes=properties.total_memory))
    if torch.backends.mps.is_available():
        found.append(Accelerator(name="Apple GPU (mps)", memory_bytes=None))
    return found


def folder_bytes(folder: Path) -> int:
    """Return the size of all files under `folder`; 0 where there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def find_extras(requirements: list[str]) -> dict[str, bool]:
    """Return each optional extra and whether all of its packages are installed.

    Args:
        requirements: the installed package's own metadata, such as
            `"ray>=2.40; extra == 'ray'"`.
    """
    found: dict[str, bool] = {}
    for requirement in requirements:
        if match := re.match(r"([\w.-]+).*extra == ['\"]([\w-]+)['\"]", requirement):
            name, extra = match.groups()
            found[extra] = found.get(extra, True) and installed_version(name) is not None
    return found


def running_sizes(memory: int | None, accelerators: list[Accelerator]) -> list[str]:
    """Say in plain sentences what answers questions in this machine's memories."""
    lines = []
    if memory is not None:
        fits = "fits" if memory >= DEMO_MEMORY_BYTES else "does not fit"
        lines.append(f"the demo {fits} (it needs {show_bytes(DEMO_MEMORY_BYTES)} at most)")
    for place, size in _places(memory, accelerators):
        if size is None:
            lines.append(f"{place}: size unknown, so nothing is promised")
            continue
        halved = _billions(size, SHARE_TO_RUN, BF16_BYTES)
        whole = _billions(size, SHARE_TO_RUN, FLOAT32_BYTES)
        share = f"({SHARE_TO_RUN:.0%} of {show_bytes(size)})"
        if place == MAIN:
            lines.append(
                f"{place}: an image-LLM of up to {halved} billion parameters in bf16, or a run "
                f"around a decoder of up to {whole} billion in float32 {share}"
            )
        else:
            lines.append(
                f"{place}: an image-LLM, or a run around a decoder, of up to {halved} billion "
                f"parameters stored in 16 bits or held in bf16, {whole} billion in float32 {share}"
            )
    return lines


def training_sizes(memory: int | None, accelerators: list[Accelerator]) -> list[str]:
    """Say in plain sentences what can be trained in this machine's memories."""
    lines = []
    for place, size in _places(memory, accelerators):
        if size is None:
            lines.append(f"{place}: size unknown, so nothing is promised")
            continue
        kind, size_bytes = ("float32", FLOAT32_BYTES) if place == MAIN else ("bf16", BF16_BYTES)
        frozen = _billions(size, SHARE_TO_TRAIN, size_bytes)
        whole = _billions(size, SHARE_TO_TRAIN, BYTES_PER_TRAINED_PARAMETER)
        lines.append(
            f"{place}: around a frozen decoder of up to {frozen} billion parameters in {kind}, "
            f"or all of a model of up to {whole} billion (half of {show_bytes(size)}; arithmetic, "
            f"which says nothing about time)"
        )
    return lines


def _places(memory: int | None, accelerators: list[Accelerator]) -> list[tuple[str, int | None]]:
    return [(MAIN, memory)] + [(a.name, a.memory_bytes) for a in accelerators]


def _billions(size_bytes: int, share: float, bytes_per_parameter: int) -> str:
    return f"{size_bytes * share / bytes_per_parameter / 1e9:.1f}"


def show_bytes(size: int) -> str:
    """Write a size for people.

    >>> show_bytes(1536)
    '1.5 KiB'
    """
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def describe(found: Environment) -> str:
    """Return `found` as lines for people."""
    memory = "unknown" if found.memory_bytes is None else show_bytes(found.memory_bytes)
    devices = ", ".join(
        f"{a.name} ({'size unknown' if a.memory_bytes is None else show_bytes(a.memory_bytes)})"
        for a in found.accelerators
    )
    extras = ", ".join(f"{name} {'yes' if ok else 'no'}" for name, ok in found.extras.items())
    rows = {
        "textreel": found.textreel,
        "python": f"{found.python} on {found.platform}",
        "packages": ", ".join(f"{name} {v or 'missing'}" for name, v in found.versions.items()),
        "cores": f"{found.cores} ({found.torch_threads} torch threads)",
        "memory": memory,
        "accelerators": devices or "none",
        "ffmpeg": f"{found.ffmpeg} ({found.ffmpeg_license})",
        "cache": f"{found.cache} ({show_bytes(found.cache_bytes)})",
        "network": "off (HF_HUB_OFFLINE)" if found.offline else "for models you name only",
        "extras": extras or "none",
    }
    lines = [f"{name:<13}{value}" for name, value in rows.items()]
    lines += [f"{'can run':<13}{line}" for line in found.can_run]
    return "\n".join(lines + [f"{'can train':<13}{line}" for line in found.can_train])
