"""Staged recipes small enough to be killed: the published stages, and those of the world."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import torch

from tests.serve.runs import save_decoder
from textreel.features.store import FeatureStore
from textreel.models.batch import Features
from textreel.models.decoder import locate
from textreel.models.encoders import load_encoder
from textreel.models.qformer_connector import QFormerConnectorConfig
from textreel.recipes.senses_recipe import DataSource, EncoderChoice, SensesRecipe, SensesStage
from textreel.recipes.senses_training import run_senses
from textreel.recipes.video_llama import tiny_data, video_llama_tiny
from textreel.train.config import TrainConfig

TOWERS = "embedded:tiny/towers"
SHAPE = QFormerConnectorConfig(
    feature_dim=256, vectors_per_step=1, queries=3, width=16, heads=2, mlp_hidden=16, max_steps=8
)
CAPTIONS = ("red circle", "blue square", "green circle moves left")


def make_data(home: Path) -> None:
    """Write a decoder, three annotation files and the features of what they are about."""
    save_decoder(home / "decoder", positions=256)
    with (home / "webvid.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["videoid", "name", "page_dir"])
        rows.writerows([number, caption, "p"] for number, caption in enumerate(CAPTIONS))
    pairs = [{"image_id": str(n), "caption": c} for n, c in enumerate(CAPTIONS)]
    (home / "caps.json").write_text(json.dumps({"annotations": pairs}))
    asked = [{"q": "what moves ?", "a": "circle"}, {"q": "which colour ?", "a": "red"}]
    chats = [{"video": f"p/{n}.mp4", "QA": asked[: 1 + n % 2]} for n in range(3)]
    (home / "chats.json").write_text(json.dumps(chats))
    encoder = load_encoder(locate(TOWERS))
    store = FeatureStore.create(
        home / "store",
        encoder=encoder.name,
        revision=encoder.revision,
        sampling="s",
        feature_dim=encoder.dim,
    )
    generator = torch.Generator().manual_seed(0)
    names = [f"p/{n}.mp4" for n in range(3)] + [f"image/{n}.jpg" for n in range(3)]
    with store.writer() as writer:
        for name in names:
            steps = 1 if name.endswith(".jpg") else 4
            writer.add(
                name,
                Features(
                    values=torch.randn(steps, 1, 256, generator=generator).half(),
                    times_s=torch.arange(steps, dtype=torch.float64),
                    modality="image",
                    encoder=encoder.name,
                    revision=encoder.revision,
                ),
            )


def staged_recipe(home: Path, *, steps: int = 3, **changes: object) -> SensesRecipe:
    """Both branches, captions then instructions, on the data of `make_data`."""
    train = TrainConfig(
        steps=steps,
        batch_size=2,
        lr=1e-2,
        log_every=1,
        checkpoint_every=2,
        precision="fp32",
        attention="sdpa",
        threads=1,
        schedule="unshifted",
    )

    def stage(task: str, sense: str, mix: dict[str, float]) -> SensesStage:
        return SensesStage(task=task, trains=(sense,), reads=sense, mix=mix, train=train)  # type: ignore[arg-type]

    first, second = {"webvid": 100.0, "caps": 24.0}, {"caps": 1.0, "chats": 1.0}

    def source(corpus: str, name: str) -> DataSource:
        return DataSource(corpus=corpus, path=str(home / name), features=str(home / "store"))

    values = {
        "name": "test",
        "decoder": str(home / "decoder"),
        "template": "video-llama-vicuna",
        "image": SHAPE,
        "sound": SHAPE,
        "image_encoder": EncoderChoice(name=TOWERS),
        "sound_encoder": EncoderChoice(name=TOWERS),
        "stages": {
            "vl1": stage("captions", "image", first),
            "vl2": stage("instructions", "image", second),
            "al1": stage("captions", "sound", first),
            "al2": stage("instructions", "sound", second),
        },
        "data": {
            "webvid": source("webvid", "webvid.csv"),
            "caps": source("captions", "caps.json"),
            "chats": source("videochat", "chats.json"),
        },
    }
    return SensesRecipe(**(values | changes))  # type: ignore[arg-type]


def run_senses_job(run_dir: Path, steps: int) -> None:
    """Train in a process of its own; the data lie beside the run."""
    torch.set_num_threads(1)
    run_senses(staged_recipe(run_dir.parent, steps=steps), run_dir)


def own_frames_recipe(*, steps: int) -> SensesRecipe:
    """`video_llama_tiny`, every stage of a few steps on a few clips."""

    def short(train: TrainConfig) -> TrainConfig:
        few = {"steps": steps, "warmup": 1, "accumulate": 1, "batch_size": 4}
        return replace(train, log_every=1, checkpoint_every=2, **few)

    recipe = video_llama_tiny()
    assert recipe.frames is not None
    return replace(
        recipe,
        frames=replace(recipe.frames, stills=16, train=short(recipe.frames.train)),
        stages={n: replace(s, train=short(s.train)) for n, s in recipe.stages.items()},
        data=tiny_data("clips", videos=8),
    )


def run_own_frames_job(run_dir: Path, steps: int) -> None:
    """Train in a process of its own."""
    torch.set_num_threads(1)
    run_senses(own_frames_recipe(steps=steps), run_dir)
