"""TOPA's recipes: align a frozen decoder on textual videos, then, if wanted, tune it on real ones.

    textreel train topa_tiny --out runs/tiny
    textreel train topa_llama2_7b --set data=textvid.json --out runs/7b
    textreel train topa_llama2_7b_finetune --set start=runs/7b --out runs/7b-nextqa

`topa_tiny` and its kin need nothing but the package: their measured results stand in docs/LOG.md.
`topa_llama2_7b`, `_13b` and `topa_llama3_8b` have the published settings (dhg-wei/TOPA@609c482,
scripts/), `topa_modern` a current decoder. The published ones have been built on the meta device,
the modern one's first steps run on a small random model of its class; neither claims a result.

Published, for 721 thousand textual videos on 4 GPUs; here `batch_size * accumulate` is the whole
effective batch, and on fewer or larger GPUs only their product matters:

    decoder       batch   lr        steps of 20 epochs   warm-up of 1
    Llama-2 7B    288     5.63e-3    50,069               2,503
    Llama-2 13B   128     4.00e-3   112,656               5,633
    Llama-3 8B    448     8.75e-3    32,188               1,609

Not as published: textual frames are encoded by the recipe's own towers, labels come from character
spans, a prompt that is too long is refused, and Llama-3 keeps its own rotary base.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

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
TEXTVID_VIDEOS = 721_000
"""Textual videos in the released TextVid (arXiv:2405.13911, section 3)."""
NEXTQA_QUESTIONS = 34_132
"""Questions in NExT-QA's training split, which the tuning schedules below are counted for."""


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
            batch_size=32,
            accumulate=2,  # half the memory of 64 at once
            lr=3e-3,
            warmup=10,
            weight_decay=0.02,
            checkpoint_every=100,
            threads=1,  # two processors are slower than one on steps as small as these
            precision="auto",
        ),
        knows=KNOWS,
    )


def topa_tiny_finetune() -> AlignRecipe:
    """Picture features of 2,000 drawn clips, no bridge, from the aligned run in the package.

    `--set data_fraction=0.1` takes a tenth of them.
    """
    return tuned(topa_tiny(), kind="finetune", name="topa_tiny_finetune")


def topa_tiny_baseline() -> AlignRecipe:
    """The same training as `topa_tiny_finetune` from the raw decoder."""
    return tuned(topa_tiny(), kind="baseline", name="topa_tiny_baseline")


def tuned(recipe: AlignRecipe, *, kind: str, name: str, start: str = "tiny") -> AlignRecipe:
    """Return the tuning on clips that belongs to a tiny alignment.

    Args:
        recipe: the alignment.
        kind: `finetune` or `baseline`.
        name: of the new recipe.
        start: the aligned run of a finetune.
    """
    steps = 130
    train = replace(recipe.train, steps=steps, warmup=10, restarts=(), lr=3e-3)
    return replace(
        recipe,
        name=name,
        kind=kind,  # type: ignore[arg-type]  # checked by the recipe
        start=start if kind == "finetune" else "",
        data="world:2000",
        mix=TaskMix(choices_share=1.0, summary_share=0.0, noise=0.0, most_questions=3),
        head_start=None,
        train=train,
    )


PUBLISHED_MIX = TaskMix(choices_share=0.5, summary_share=0.5, noise=0.0, visits=5, balanced=True)
"""Half choices; the others summaries, or open questions half of the time where there are any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedRun:
    """What the published recipes differ in; see the table in the header.

    Attributes:
        decoder: Hugging Face id.
        template: its prompts.
        batch_size: samples in one backward pass (per GPU there).
        accumulate: passes in one update, over all GPUs together.
        lr: highest learning rate, 5e-3 or 8e-3 times the effective batch over 256.
        tune_batch, tune_accumulate: the same for tuning.
        tune_lr: of a finetune.
        baseline_accumulate: of a baseline.
        baseline_lr: of a baseline.
    """

    decoder: str
    template: str
    batch_size: int
    accumulate: int
    lr: float
    tune_batch: int
    tune_accumulate: int
    tune_lr: float
    baseline_accumulate: int
    baseline_lr: float


LLAMA2_7B = PublishedRun(
    decoder="meta-llama/Llama-2-7b-hf",
    template="topa",
    batch_size=18,
    accumulate=16,
    lr=5.625e-3,
    tune_batch=20,
    tune_accumulate=16,
    tune_lr=1.25e-2,
    baseline_accumulate=16,
    baseline_lr=1.25e-2,
)
LLAMA2_13B = PublishedRun(
    decoder="meta-llama/Llama-2-13b-hf",
    template="topa",
    batch_size=4,
    accumulate=32,
    lr=4e-3,
    tune_batch=6,
    tune_accumulate=64,
    tune_lr=7.5e-3,
    baseline_accumulate=32,
    baseline_lr=7.5e-3,
)
LLAMA3_8B = PublishedRun(
    decoder="meta-llama/Meta-Llama-3-8B",
    template="topa-llama3",
    batch_size=14,
    accumulate=32,
    lr=8.75e-3,
    tune_batch=20,
    tune_accumulate=16,
    tune_lr=1.25e-2,
    baseline_accumulate=16,
    baseline_lr=2.5e-2,
)
PUBLISHED_RUNS = {
    "topa_llama2_7b": LLAMA2_7B,
    "topa_llama2_13b": LLAMA2_13B,
    "topa_llama3_8b": LLAMA3_8B,
}


def published(name: str) -> AlignRecipe:
    """Return a published alignment: CLIP ViT-L/14, 10 frames, 50 prompts in every layer."""
    run = PUBLISHED_RUNS[name]
    per_epoch = TEXTVID_VIDEOS / (run.batch_size * run.accumulate)
    return AlignRecipe(
        name=name,
        decoder=run.decoder,
        encoder="openai/clip-vit-large-patch14",
        data="textvid.json",
        template=run.template,
        num_frames=10,
        adapter="gated",
        gated=GatedConfig(),
        mix=PUBLISHED_MIX,
        train=TrainConfig(
            steps=round(20 * per_epoch),
            batch_size=run.batch_size,
            accumulate=run.accumulate,
            lr=run.lr,
            warmup=round(per_epoch),
            weight_decay=0.1,
            clip_norm=None,
            checkpoint_every=500,
            precision="bf16",
        ),
    )


def published_tuning(name: str, *, kind: str) -> AlignRecipe:
    """Return a published tuning on NExT-QA: 5 epochs from an aligned run, 10 from the raw decoder.

    Args:
        name: of the alignment.
        kind: `finetune` or `baseline`.
    """
    run, recipe = PUBLISHED_RUNS[name], published(name)
    finetune = kind == "finetune"
    accumulate = run.tune_accumulate if finetune else run.baseline_accumulate
    epochs, warm = (5, 1) if finetune else (10, 4 if name.endswith("13b") else 2)
    per_epoch = NEXTQA_QUESTIONS / (run.tune_batch * accumulate)
    train = replace(
        recipe.train,
        steps=round(epochs * per_epoch),
        warmup=round(warm * per_epoch),
        batch_size=run.tune_batch,
        accumulate=accumulate,
        lr=run.tune_lr if finetune else run.baseline_lr,
        checkpoint_every=50,
    )
    return on_nextqa(recipe, kind=kind, train=train)


def on_nextqa(recipe: AlignRecipe, *, kind: str, train: TrainConfig) -> AlignRecipe:
    """Return the tuning on NExT-QA's questions that belongs to an alignment."""
    return replace(
        recipe,
        name=f"{recipe.name}_{kind}",
        kind=kind,  # type: ignore[arg-type]  # checked by the recipe
        start=f"runs/{recipe.name}" if kind == "finetune" else "",
        data="nextqa.jsonl",
        features="nextqa-features",
        mix=TaskMix(choices_share=1.0, summary_share=0.0, noise=0.0, most_questions=1),
        train=train,
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
        mix=TaskMix(
            choices_share=0.7, summary_share=0.3, noise=0.0, most_questions=1, balanced=True
        ),
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


def modern_tuning(*, kind: str) -> AlignRecipe:
    """Return the tuning on NExT-QA of `topa_modern`, at the published rates for its batch.

    Args:
        kind: `finetune` or `baseline`.
    """
    recipe = topa_modern()
    epochs, warm = (5, 1) if kind == "finetune" else (10, 2)
    per_epoch = NEXTQA_QUESTIONS / recipe.train.batch_size
    train = replace(
        recipe.train,
        steps=round(epochs * per_epoch),
        warmup=round(warm * per_epoch),
        lr=2.5e-3,  # 1e-2 times the batch over 256
        checkpoint_every=100,
    )
    return on_nextqa(recipe, kind=kind, train=train)


def _named(name: str) -> Callable[[], AlignRecipe]:
    return lambda: published(name)


def _tuning(name: str, kind: str) -> Callable[[], AlignRecipe]:
    return lambda: published_tuning(name, kind=kind)


def _modern(kind: str) -> Callable[[], AlignRecipe]:
    return lambda: modern_tuning(kind=kind)


RECIPES: dict[str, Callable[[], AlignRecipe]] = {
    "topa_tiny": topa_tiny,
    "topa_tiny_finetune": topa_tiny_finetune,
    "topa_tiny_baseline": topa_tiny_baseline,
    "topa_modern": topa_modern,
    **{name: _named(name) for name in PUBLISHED_RUNS},
    **{
        f"{name}_{kind}": _tuning(name, kind)
        for name in PUBLISHED_RUNS
        for kind in ("finetune", "baseline")
    },
    **{f"topa_modern_{kind}": _modern(kind) for kind in ("finetune", "baseline")},
}
