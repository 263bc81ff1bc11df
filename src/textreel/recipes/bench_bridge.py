"""`textreel bench bridge`: 80 frames cross a memory of 1M x 768, ours and plainly.

    ours            `models.bridges.Memory`: softmax and both matrix products, streamed
    plain           softmax(100 v M^T) M, as written in the paper (arXiv:2405.13911, equation 2)
    ours bf16       the same as ours, the memory held in bfloat16
    products alone  v M^T and its product with M, a chunk at a time: what no exact way can save

Two cases: frames at the same distance from all rows, so that every row weighs something, and frames
that have a near row, where few do. Peak memory is the most that this process held until our side
had run, less what it held before the memory was made. Differences are from float64, the whole
memory summed.
"""

import sys
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from textreel.models.bridges import CPU_ROWS, Memory
from textreel.recipes.bench import BenchCase, BenchReport, compare, make_case, make_report

ROUNDS = 3
CHUNK_ROWS = 16384
TEMPERATURE = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class BridgeSize:
    """How much crosses.

    Attributes:
        rows: of the memory.
        width: of a vector.
        frames: that cross together; 8 videos of 10.
    """

    rows: int = 1_000_000
    width: int = 768
    frames: int = 80


def run_bench_bridge(size: BridgeSize | None = None, *, rounds: int = ROUNDS) -> BenchReport:
    """Time ours, the plain formula and ours in bfloat16; see the module's header."""
    size = size or BridgeSize()
    generator = torch.Generator().manual_seed(0)
    before = peak_bytes()
    memory = draw_memory(size, generator)
    many, few = draw_frames(memory, size, generator), draw_near(memory, size, generator)
    _cross(Memory(memory, temperature=TEMPERATURE), many)
    held = memory.numel() * memory.element_size()
    notes = {
        "memory in GiB": held / 2**30,
        "peak memory over the memory's own": (peak_bytes() - before) / held,
    }
    name = f"{size.frames} frames across {size.rows:,} x {size.width}"
    return make_report(
        "bridge",
        (
            _case(f"{name}, every row weighs", many, memory, rounds=rounds, notes=notes),
            _case(f"{name}, few rows weigh", few, memory, rounds=rounds, notes={}),
        ),
    )


def _case(
    name: str, frames: Tensor, memory: Tensor, *, rounds: int, notes: dict[str, float]
) -> BenchCase:
    bridge = Memory(memory, temperature=TEMPERATURE)
    half = Memory(memory.bfloat16(), temperature=TEMPERATURE)
    wanted = in_float64(frames, memory)
    differences = {
        "ours from float64": _gap(_cross(bridge, frames), wanted),
        "plain from float64": _gap(plain(frames, memory), wanted),
        "ours bf16 from float64": _gap(_cross(half, frames), wanted),
    }
    products(frames, memory)
    timings = compare(
        {
            "ours": lambda: _cross(bridge, frames),
            "plain": lambda: plain(frames, memory),
            "ours bf16": lambda: _cross(half, frames),
            "products alone": lambda: products(frames, memory),
        },
        rounds=rounds,
    )
    size = BridgeSize(rows=len(memory), width=memory.shape[1], frames=len(frames))
    return make_case(name, timings, settings=asdict(size), differences=differences, notes=notes)


def _cross(bridge: Memory, frames: Tensor) -> Tensor:
    mask = torch.ones(1, len(frames), dtype=torch.bool)
    return bridge(frames[None, :, None], mask)[0, :, 0]


def draw_memory(size: BridgeSize, generator: torch.Generator) -> Tensor:
    """Draw unit rows without a second copy; they share a direction, as real text features do."""
    memory = torch.empty(size.rows, size.width)
    shared = normalize(torch.randn(size.width, generator=generator), dim=-1)
    for rows in torch.split(memory, CHUNK_ROWS):
        rows.normal_(generator=generator).mul_(size.width**-0.5).add_(shared)
        rows.div_(rows.norm(dim=-1, keepdim=True))
    return memory


def draw_frames(memory: Tensor, size: BridgeSize, generator: torch.Generator) -> Tensor:
    """Draw unit vectors at cosines of about .3 to all rows, so that many rows have a weight."""
    shared = normalize(memory[:CHUNK_ROWS].mean(0), dim=-1)
    noise = normalize(torch.randn(size.frames, size.width, generator=generator), dim=-1)
    return normalize(0.5 * shared + noise, dim=-1)


def draw_near(memory: Tensor, size: BridgeSize, generator: torch.Generator) -> Tensor:
    """Draw unit vectors at a cosine of about .7 to one row each, as pictures that a text fits."""
    rows = memory[torch.randint(size.rows, (size.frames,), generator=generator)]
    noise = normalize(torch.randn(size.frames, size.width, generator=generator), dim=-1)
    return normalize(rows + noise, dim=-1)


def products(frames: Tensor, memory: Tensor) -> None:
    """Multiply the frames by every chunk of the memory, and what comes out by it again."""
    for rows in torch.split(memory, CPU_ROWS):
        (frames @ rows.T) @ rows


def plain(frames: Tensor, memory: Tensor) -> Tensor:
    """Return softmax(v M^T / temperature) M, normalised, as it is written; (n, F)."""
    weights = torch.softmax(frames @ memory.T / TEMPERATURE, dim=-1)
    return normalize(weights @ memory, dim=-1)


def in_float64(frames: Tensor, memory: Tensor) -> Tensor:
    """Return the same in float64, a chunk of the memory at a time; float64 (n, F)."""
    queries = frames.double()
    logits = torch.cat(
        [queries @ rows.double().T / TEMPERATURE for rows in torch.split(memory, CHUNK_ROWS)], dim=1
    )
    weights = torch.softmax(logits, dim=-1)
    mean = torch.zeros_like(queries)
    for start in range(0, len(memory), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        mean += weights[:, part] @ memory[part].double()
    return normalize(mean, dim=-1)


def _gap(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted).abs().max())


def peak_bytes() -> float:
    """Return the most memory this process has held; nan where the system does not say."""
    if sys.platform == "win32":
        return float("nan")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) if sys.platform == "darwin" else peak * 1024.0
