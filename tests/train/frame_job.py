"""A fine-tuning small enough to be killed many times: the world's tiny image-LLM, two a batch."""

from dataclasses import replace
from pathlib import Path


def run_frame_job(run_dir: Path, steps: int) -> None:
    """Fine-tune in a process of its own, which imports what it needs."""
    import torch

    from textreel.recipes.frame_recipe import WorldSamples
    from textreel.recipes.frame_training import run_frame_recipe
    from textreel.recipes.t2vid_tiny import t2vid_tiny_base

    torch.set_num_threads(1)
    base = t2vid_tiny_base()
    train = replace(
        base.train,
        steps=steps,
        warmup=1,
        batch_size=2,
        log_every=1,
        checkpoint_every=3,
        precision="fp32",
    )
    samples = WorldSamples(stills=4, pages=8, clips=4, documents=2, texts=2)
    run_frame_recipe(replace(base, world=samples, train=train, eyes=None), run_dir)
