"""A job small enough to be killed many times: a little model, made-up data."""

import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from textreel.models.batch import IGNORE, Batch
from textreel.train.buckets import BucketedData
from textreel.train.config import TrainConfig
from textreel.train.loop import train

VOCABULARY = 31


class LittleModel(nn.Module):
    """A frozen embedding, a trained layer with dropout, a trained norm and a trained head."""

    def __init__(self, width: int = 16, dropout: float = 0.1) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.embed = nn.Embedding(VOCABULARY, width)
        self.mix = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, VOCABULARY)
        self.dropout = nn.Dropout(dropout)
        for parameter in self.parameters():
            parameter.data.normal_(0.0, 0.2, generator=generator)
        self.embed.requires_grad_(False)

    def loss(self, batch: Batch) -> Tensor:
        hidden = self.norm(self.dropout(self.mix(self.embed(batch.input_ids)).tanh()))
        logits = self.head(hidden).float()
        return functional.cross_entropy(logits.flatten(0, 1), batch.labels.flatten())


def collate(rows: list[Tensor], generator: torch.Generator) -> Batch:
    """Pad rows; a tenth of the targets is hidden at random."""
    length = max(map(len, rows))
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    mask = torch.zeros(len(rows), length, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = True
    hidden = torch.rand(ids.shape, generator=generator) < 0.1
    labels = ((ids + 1) % VOCABULARY).masked_fill(~mask | hidden, IGNORE)
    names = tuple(f"row-{int(row.sum())}" for row in rows)
    return Batch(
        input_ids=ids,
        attention_mask=mask,
        video_slots=torch.zeros_like(mask),
        labels=labels,
        ids=names,
    )


def rows(count: int = 50, seed: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, 9, (count,), generator=generator).tolist()
    return [torch.randint(0, VOCABULARY, (n,), generator=generator) for n in lengths]


def data(batch_size: int = 8, seed: int = 0, count: int = 50) -> BucketedData[Tensor]:
    samples = rows(count)
    return BucketedData(
        samples, [len(r) for r in samples], collate, batch_size=batch_size, seed=seed
    )


def config(**changes: object) -> TrainConfig:
    values = {
        "steps": 12,
        "batch_size": 8,
        "lr": 3e-2,
        "warmup": 2,
        "log_every": 1,
        "checkpoint_every": 3,
        "precision": "fp32",
        "threads": 1,
    }
    return TrainConfig(**(values | changes))  # type: ignore[arg-type]


class SlowModel(LittleModel):
    """Pauses make a run long enough to be hit anywhere."""

    def loss(self, batch: Batch) -> Tensor:
        time.sleep(0.004)
        return super().loss(batch)


def run_job(run_dir: Path, steps: int) -> None:
    """Train in a process of its own."""
    run = config(steps=steps, evaluate_every=5)
    train(SlowModel(), data(), run, run_dir, evaluate=lambda: {"chance": 0.25})
