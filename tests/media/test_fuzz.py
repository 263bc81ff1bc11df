"""Damaged files, thousands of ways: each is read or refused by a name, and costs little memory.

python -m pytest -m slow tests/media/test_fuzz.py --log-cli-level INFO

Every file that we make and, where there are any, every real one, is damaged in ways that follow
from a seed. `TEXTREEL_FUZZ` is how many damaged files there are (400), `TEXTREEL_FUZZ_SEED` the
first seed (0). A failure names the file, the damage and the seed, and leaves the damaged file in
the test's folder.
"""

import logging
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.media import traps
from textreel.media.clip import Clip
from textreel.media.errors import DecoderCrashError, DecodeTimeoutError, MediaError
from textreel.media.sampling import SamplingSpec
from textreel.media.worker import DecodeLimits, GuardedReader

if sys.platform != "win32":
    import resource

pytestmark = pytest.mark.slow
log = logging.getLogger("tests.media")
COUNT = int(os.environ.get("TEXTREEL_FUZZ", "400"))
SEED = int(os.environ.get("TEXTREEL_FUZZ_SEED", "0"))
MAX_FILE_BYTES = 1 << 20
MAX_WORKER_BYTES = 3 << 30
HEAD_BYTES = 4096
SPECS = [
    SamplingSpec(num_frames=5),
    SamplingSpec(num_frames=40),
    SamplingSpec(num_frames=3, policy="key_frames"),
    SamplingSpec(fps=2.0, max_frames=20, start_s=0.5),
    SamplingSpec(policy="every_frame"),
]
Bytes = np.ndarray
Damage = Callable[[Bytes, np.random.Generator], Bytes]


def some_bytes(data: Bytes, rng: np.random.Generator) -> Bytes:
    places = rng.integers(0, data.size, rng.integers(1, 31))
    data[places] = rng.integers(0, 256, places.size)
    return data


def head_or_tail(data: Bytes, rng: np.random.Generator) -> Bytes:
    """Where containers keep their indexes."""
    span = min(HEAD_BYTES, data.size)
    places = rng.integers(0, span, rng.integers(1, 9))
    data[places if rng.random() < 0.5 else data.size - 1 - places] = rng.integers(0, 256)
    return data


def single_bits(data: Bytes, rng: np.random.Generator) -> Bytes:
    places = rng.integers(0, data.size, rng.integers(1, 9))
    data[places] ^= 1 << rng.integers(0, 8, places.size).astype(np.uint8)
    return data


def large_numbers(data: Bytes, rng: np.random.Generator) -> Bytes:
    """Four bytes at a time become numbers that headers should not hold."""
    for place in rng.integers(0, max(1, min(HEAD_BYTES, data.size) - 4), rng.integers(1, 4)):
        extreme = rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
        data[place : place + 4] = np.frombuffer(int(extreme).to_bytes(4), np.uint8)
    return data


def cut(data: Bytes, rng: np.random.Generator) -> Bytes:
    return data[: rng.integers(1, data.size)]


def hole(data: Bytes, rng: np.random.Generator) -> Bytes:
    """A piece that never arrived, of zeros, or missing altogether."""
    start = int(rng.integers(0, data.size))
    end = min(data.size, start + int(rng.integers(1, max(2, data.size // 4))))
    if rng.random() < 0.5:
        data[start:end] = 0
        return data
    return np.delete(data, slice(start, end))


def swapped(data: Bytes, rng: np.random.Generator) -> Bytes:
    """Two pieces change places."""
    if data.size < 64:
        return data[::-1].copy()
    size = int(rng.integers(1, data.size // 8))
    a, b = (int(p) for p in rng.integers(0, data.size - size, 2))
    first = data[a : a + size].copy()
    data[a : a + size] = data[b : b + size]
    data[b : b + size] = first
    return data


DAMAGES: tuple[Damage, ...] = (
    some_bytes,
    head_or_tail,
    single_bits,
    large_numbers,
    cut,
    hole,
    swapped,
)


def sources(folder: Path) -> list[Path]:
    """Whole files: ours, and the real ones that are there."""
    made = [make(folder) for make in traps.TRAPS.values()] + [traps.rotated(folder, 90)]
    root = Path(os.environ.get("TEXTREEL_SHARED", Path(__file__).parents[2] / ".." / "shared"))
    real = sorted((root / "media").rglob("*"))
    found = [p for p in made + real if p.is_file() and p.suffix != ".json"]
    return [p for p in found if 16 <= p.stat().st_size <= MAX_FILE_BYTES]


def check(clip: Clip) -> None:
    """What holds for every clip, whatever it was read from."""
    assert np.all(np.diff(clip.frame_times_s) > 0), clip.frame_times_s
    assert np.all(np.isfinite(clip.frame_times_s)) and np.isfinite(clip.duration_s)
    assert clip.duration_s >= 0 and (clip.frame_times_s >= 0).all()
    assert len(clip.frames) or clip.sound is not None or clip.sound_status == "unused"
    if clip.sound is not None:
        assert np.isfinite(clip.sound).all() and clip.sound_rate_hz > 0


@pytest.mark.skipif(sys.platform != "linux", reason="nothing limits a process's memory there")
def test_damaged_files_are_read_or_refused_by_name(tmp_path) -> None:
    whole = sources(tmp_path)
    assert len(whole) > 15
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    limited: int | None = None
    with GuardedReader(DecodeLimits(cpu_s=20.0, wall_s=300.0)) as reader:
        for seed in range(SEED, SEED + COUNT):
            source = whole[seed % len(whole)]
            rng = np.random.default_rng(seed)
            damage = DAMAGES[int(rng.integers(len(DAMAGES)))]
            data = damage(np.frombuffer(source.read_bytes(), np.uint8).copy(), rng)
            path = tmp_path / f"damaged-{seed}{source.suffix}"
            path.write_bytes(data.tobytes())
            what = f"seed {seed}, {source.name}, {damage.__name__}"
            try:
                spec = SPECS[int(rng.integers(len(SPECS)))]
                check(reader.read(path, spec, sound=("mono", "all")[seed % 2]).clip)
                outcomes["read"] += 1
            except (DecoderCrashError, DecodeTimeoutError) as error:
                wrong.append(f"{what}: {error}")
                continue
            except MediaError as error:
                outcomes[type(error).__name__] += 1
                assert error.cause and error.hint, what
            except (AssertionError, MemoryError, ValueError) as error:
                wrong.append(f"{what}: {type(error).__name__}: {error}")
                continue
            path.unlink()
            if reader.pid != limited:  # once it runs: a worker needs a file to be started
                limited = reader.pid
                resource.prlimit(limited, resource.RLIMIT_AS, (MAX_WORKER_BYTES,) * 2)
    log.info("%d damaged files of %d: %s", COUNT, len(whole), dict(outcomes))
    assert not wrong, "\n" + "\n".join(wrong)
    assert outcomes["read"] > COUNT / 4 and len(outcomes) > 3
