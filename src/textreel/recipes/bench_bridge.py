"""`textreel bench bridge`: 80 frames cross a memory of 1M x 768, ours and plainly.

    ours         `models.bridges.Memory`: attention with keys = values = memory, streamed
    plain        softmax(100 v M^T) M, as written in the paper (arXiv:2405.13911, equation 2)
    ours bf16    the same as ours, the memory held and multiplied in bfloat16

Peak memory is the most that this process held until our side had run, less what it held before the
memory was made. Differences are from float64, the whole memory summed.
"""

import sys
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from textreel.models.bridges import Memory
from textreel.recipes.bench import BenchReport, compare, make_case, make_report

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
    frames = draw_frames(memory, size, generator)
    values, mask = frames[None, :, None], torch.ones(1, size.frames, dtype=torch.bool)
    bridge = Memory(memory, temperature=TEMPERATURE)
    ours = bridge(values, mask)[0, :, 0]
    peak = peak_bytes() - before
    half = Memory(memory.bfloat16(), temperature=TEMPERATURE)
    wanted = in_float64(frames, memory)
    differences = {
        "ours from float64": _gap(ours, wanted),
        "plain from float64": _gap(plain(frames, memory), wanted),
        "ours bf16 from float64": _gap(half(values, mask)[0, :, 0], wanted),
    }
    timings = compare(
        {
            "ours": lambda: bridge(values, mask),
            "plain": lambda: plain(frames, memory),
            "ours bf16": lambda: half(values, mask),
        },
        rounds=rounds,
    )
    held = memory.numel() * memory.element_size()
    notes = {"memory in GiB": held / 2**30, "peak memory over the memory's own": peak / held}
    name = f"{size.frames} frames across {size.rows:,} x {size.width}"
    case = make_case(name, timings, settings=asdict(size), differences=differences, notes=notes)
    return make_report("bridge", (case,))


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
