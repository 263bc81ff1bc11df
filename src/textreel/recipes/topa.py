"""TOPA's recipes: align a frozen decoder on textual videos.

    textreel train topa_tiny --out runs/tiny
    textreel train topa_modern --set data=textvid.json --out runs/modern

`topa_tiny` needs nothing but the package: its measured results stand in docs/LOG.md. `topa_modern`
names a current decoder and CLIP; it has been built and its first steps run on small random models
of the same classes only, so it claims no result.
"""

from collections.abc import Callable

from textreel.models.adapters import GatedConfig, LoraSettings
from textreel.recipes.alignment import TaskMix
from textreel.recipes.head_start import HeadStart
from textreel.recipes.recipe import AlignRecipe, ConnectorShape
from textreel.train.config import TrainConfig

KNOWS = "textreel's own world of coloured shapes"
EVERY_LINEAR = (
    *("q_proj", "k_proj", "v_proj", "o_proj"),
    *("gate_proj", "up_proj", "down_proj"),
)


def topa_tiny() -> AlignRecipe:
    """The embedded decoder and towers, on the world's grammar; what the demo runs."""
    return AlignRecipe(
        name="topa_tiny",
        decoder="embedded:tiny/decoder",
        encoder="embedded:tiny/towers",
        data="world:2600",
        template="tiny",
        num_frames=8,
        fuse="caption",
        connector=ConnectorShape(tokens_per_vector=4, max_frames=8, temporal_std=0.02),
        adapter="lora",
        lora=LoraSettings(rank=16, alpha=32.0, targets=EVERY_LINEAR),
        mix=TaskMix(noise=0.005, most_questions=3),
        head_start=HeadStart(),
        train=TrainConfig(
            steps=120,
            batch_size=64,
            lr=3e-3,
            warmup=10,
            weight_decay=0.02,
            checkpoint_every=100,
            threads=1,  # two processors are slower than one on steps as small as these
            precision="auto",
        ),
        knows=KNOWS,
    )


def topa_modern() -> AlignRecipe:
    """A current decoder and CLIP ViT-L/14 with the published connector and adapter."""
    return AlignRecipe(
        name="topa_modern",
        decoder="Qwen/Qwen3-4B-Instruct-2507",
        encoder="openai/clip-vit-large-patch14",
        data="textvid.json",
        template="topa",
        num_frames=10,
        adapter="gated",
        gated=GatedConfig(),
        mix=TaskMix(choices_share=0.7, summary_share=0.3, noise=0.0, most_questions=1),
        train=TrainConfig(
            steps=50_000,
            batch_size=64,
            lr=1.25e-3,
            warmup=2_500,
            weight_decay=0.1,
            clip_norm=1.0,
            checkpoint_every=500,
            precision="bf16",
        ),
    )


RECIPES: dict[str, Callable[[], AlignRecipe]] = {
    "topa_tiny": topa_tiny,
    "topa_modern": topa_modern,
}
