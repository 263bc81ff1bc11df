"""T2Vid's recipes: fine-tune an image-LLM on some video and on long text as page videos.

    textreel data mix ... --out mix                          (20K videos, 10K texts as pages)
    textreel train t2vid_idefics3 --set data=mix --set media=videos --out runs/t2vid
    textreel ask runs/t2vid clip.mp4 "What happened first?"

`t2vid_idefics3` has the published settings (xjtupanda/T2Vid@e4d5ea2, `finetune_ds.sh`; arXiv
2411.19951): everything learns, the loss is taken of all text, 24 frames, no image splitting, one
epoch of 30 thousand samples in batches of 64 (8 GPUs x 2 x 4), 5e-6 after 3% of warm-up, then a
cosine down to a tenth of it (`cos_min_ratio`), records of at most 10,240 tokens. `t2vid_qwen3_vl`
is a current model with frozen eyes and the loss on answers only; `t2vid_qwen3_vl_lora` the same
with LoRA, for one GPU. The batch is what `batch_size * accumulate` says: on another machine only
their product matters. None of the three was run here with its real weights: they claim no result,
their parts are tested on small models of the same classes.

Not as published: labels come from character spans, a record's length counts marks and chat
template, a record that is too long is counted and named, and long questions are not left out (the
published filter drops those of 500 words in LongAlpaca, of 30 in LongQLoRA).
"""

from collections.abc import Callable
from dataclasses import replace

from textreel.models.adapters import LoraSettings
from textreel.models.image_mllm.tuning import Tuning
from textreel.recipes.frame_recipe import FrameRecipe
from textreel.recipes.t2vid_tiny import TINY_RECIPES
from textreel.synth.pages.settings import PageSettings, published
from textreel.train.config import TrainConfig

SAMPLES = 30_000
"""Of the published mix, two parts of video and one of pages: 15% of the baseline's 200 thousand."""
BATCH = 64
STEPS = round(SAMPLES / BATCH)
PUBLISHED_TRAINING = TrainConfig(
    steps=STEPS,
    batch_size=2,
    accumulate=BATCH // 2,
    lr=5e-6,
    min_lr=5e-7,
    warmup=round(0.03 * STEPS),
    weight_decay=0.01,
    betas=(0.9, 0.999),
    clip_norm=1.0,
    checkpoint_every=50,
    precision="bf16",
)


def t2vid_idefics3() -> FrameRecipe:
    """Idefics3-8B as published, but for what the header says."""
    return FrameRecipe(
        name="t2vid_idefics3",
        model="HuggingFaceM4/Idefics3-8B-Llama3",
        data="mix",
        num_frames=24,
        pages=published(),
        max_tokens=10_240,
        max_long=None,
        loss="all text",
        tuning=Tuning(checkpoint_activations=True),
        train=PUBLISHED_TRAINING,
    )


def t2vid_qwen3_vl() -> FrameRecipe:
    """A current model: frozen eyes, as the paper's InternVL; pages that clip nothing."""
    return FrameRecipe(
        name="t2vid_qwen3_vl",
        model="Qwen/Qwen3-VL-4B-Instruct",
        data="mix",
        num_frames=24,
        frame_tokens=256,
        pages=PageSettings(words=115),
        max_tokens=16_384,
        tuning=Tuning(vision=False, checkpoint_activations=True),
        train=replace(PUBLISHED_TRAINING, lr=1e-5, min_lr=1e-6),
    )


def t2vid_qwen3_vl_lora() -> FrameRecipe:
    """The same model with LoRA on every linear map of its decoder."""
    return replace(
        t2vid_qwen3_vl(),
        name="t2vid_qwen3_vl_lora",
        tuning=Tuning(
            lora=LoraSettings(rank=64, alpha=128.0, targets=("all-linear",)),
            checkpoint_activations=True,
        ),
        train=replace(PUBLISHED_TRAINING, lr=1e-4, min_lr=1e-5),
    )


FRAME_RECIPES: dict[str, Callable[[], FrameRecipe]] = {
    **TINY_RECIPES,
    "t2vid_idefics3": t2vid_idefics3,
    "t2vid_qwen3_vl": t2vid_qwen3_vl,
    "t2vid_qwen3_vl_lora": t2vid_qwen3_vl_lora,
}
