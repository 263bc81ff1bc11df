"""Forks writers of one feature store and kills each at a random moment; prints the final hash.

Run by test_store.py in an interpreter of its own, so that torch is loaded once for all writers.
"""

import hashlib
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

from textreel.features.store import FeatureStore
from textreel.models.batch import Features

NUM_TRACKS = 300


def track(number: int) -> Features:
    generator = torch.Generator().manual_seed(number)
    num_frames = 1 + number % 5
    return Features(
        values=torch.randn(num_frames, 2, 16, generator=generator).half(),
        times_s=torch.arange(num_frames).double() + number,
        modality="text",
        encoder="e",
        revision="r",
    )


def write_all(path: str) -> None:
    store = FeatureStore.open_or_create(
        path, encoder="e", revision="r", sampling="s", feature_dim=16
    )
    with store.writer(tracks_per_shard=20) as writer:
        for number in range(NUM_TRACKS):
            if f"c{number}" not in writer:
                time.sleep(0.0002)
                writer.add(f"c{number}", track(number))


def kill_one(path: str, *, after_s: float) -> bool:
    """Return whether the writer ended by itself; on a busy machine that needs a later kill."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            write_all(path)
            status = 0
        finally:
            traceback.print_exc()  # `NoneType: None` where all went well
            os._exit(status)
    time.sleep(after_s)
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    assert status in (0, signal.SIGKILL), "a writer ended with an error; it stands above"
    return status == 0


def main(path: str, seed: int) -> None:
    torch.set_num_threads(1)
    draw, kills, stored = random.Random(seed), 0, 0
    while not kill_one(path, after_s=draw.uniform(0.0, 0.02 * (kills + 2))):
        kills += 1
        if (Path(path) / "store.json").exists():
            store = FeatureStore.open(path)
            assert store.check() == [], "a part of a shard is visible"
            assert len(store) >= stored, "a committed shard is gone"
            stored = len(store)
    store, digest = FeatureStore.open(path), hashlib.sha256()
    assert store.ids() == tuple(f"c{number}" for number in range(NUM_TRACKS))
    for number, found in enumerate(store.read_many(store.ids())):
        assert torch.equal(found.values, track(number).values)
        assert torch.equal(found.times_s, track(number).times_s)
        digest.update(found.values.numpy().tobytes())
    sys.stdout.write(f"{kills} {digest.hexdigest()}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
