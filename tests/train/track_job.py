"""A `TrackLM` around a random decoder of two layers, trained on made-up prompts."""

from pathlib import Path

import torch

from textreel.models.batch import Batch
from textreel.models.track_lm import TrackLM
from textreel.recipes.bench_models import TINY, Prompt, build_track, collate, draw_prompts
from textreel.train.buckets import BucketedData
from textreel.train.config import TrainConfig
from textreel.train.loop import train


def model() -> TrackLM:
    return build_track(TINY, seed=0, adapter="gated")


def data() -> BucketedData[Prompt]:
    prompts = draw_prompts(40, lengths=(14, 30), answers=(1, 4), vocabulary=TINY.vocabulary, seed=1)

    def noisy(samples: list[Prompt], generator: torch.Generator) -> Batch:
        batch = collate(samples)
        assert batch.features is not None
        batch.features.add_(torch.randn(batch.features.shape, generator=generator), alpha=0.04)
        return batch

    lengths = [len(prompt.ids) for prompt in prompts]
    return BucketedData(prompts, lengths, noisy, batch_size=8, seed=2)


def run_track_job(run_dir: Path, steps: int) -> None:
    """Train in a process of its own."""
    config = TrainConfig(
        steps=steps,
        batch_size=8,
        warmup=3,
        log_every=1,
        checkpoint_every=4,
        precision="bf16",
        threads=1,
    )
    train(model(), data(), config, run_dir)
