"""Forks encoding jobs into one store and kills each at a random moment; prints how many it killed.

Run by test_pipeline_kill.py in an interpreter of its own, so that torch is loaded once for all.
"""

import functools
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

from tests.models.encoder_fakes import save_clip
from textreel.data.media_files import find_media
from textreel.features import pipeline
from textreel.features.file_index import read_file_index
from textreel.features.store import FeatureStore
from textreel.media.sampling import SamplingSpec
from textreel.models.encoders import load_encoder


def encode(folder: Path, out: Path) -> None:
    """Two files a window, a shard each; the real workers."""
    pipeline.MAX_WINDOW_FILES = 2
    pipeline.Write = functools.partial(pipeline.Write, tracks_per_shard=1)
    settings = pipeline.EncodeSettings(spec=SamplingSpec(num_frames=2), workers=1)
    files = find_media([folder / "videos"]).files
    pipeline.encode_files(files, out, load_encoder(folder / "towers"), settings)


def start(folder: Path, out: Path) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            encode(folder, out)
            status = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(status)
    return pid


def num_shards(store: Path) -> int:
    return len(list(store.glob("shards/[0-9]*")))


def kill_one(folder: Path, out: Path, *, after_s: float) -> bool:
    """Kill a job some time after it stored one more window; return whether it ended by itself."""
    wanted = num_shards(out) + 1
    pid = start(folder, out)
    while num_shards(out) < wanted:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            assert status == 0, "a job ended with an error; it stands above"
            return True
        time.sleep(0.001)
    time.sleep(after_s)
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    assert status in (0, signal.SIGKILL), "a job ended with an error; it stands above"
    return status == 0


def main(folder: Path, seed: int) -> None:
    torch.set_num_threads(1)
    save_clip(folder / "towers")
    straight, killed = folder / "straight", folder / "killed"
    assert os.waitpid(start(folder, straight), 0)[1] == 0
    draw, kills = random.Random(seed), 0
    while not kill_one(folder, killed, after_s=draw.uniform(0, 0.02)):
        kills += 1
        assert FeatureStore.open(killed).check() == [], "a part of a shard is visible"
    first, second = FeatureStore.open(straight), FeatureStore.open(killed)
    assert set(first.ids()) == set(second.ids())
    for id in first.ids():
        assert torch.equal(first[id].values, second[id].values)
        assert torch.equal(first[id].times_s, second[id].times_s)
    assert read_file_index(straight) == read_file_index(killed)
    sys.stdout.write(f"{kills} {len(second)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
