"""Video-LLaMA's recipes: two branches trained in stages, published or in the world.

    textreel train video_llama_tiny_textonly --out runs/senses
    textreel train video_llama_2_7b --out runs/7b --stage vl1 --set data.webvid.path=webvid.csv ...

What trains in each stage (everything else is frozen, the decoder and the encoders always):

    recipe                     stage       trains                  reads
    video_llama_2_7b           vl1, vl2    image                   frames (EVA and BLIP-2)
                               al1, al2    sound                   PICTURES through ImageBind
    video_llama_tiny_textonly  eyes        image                   texts of frames, for pictures
                               ears        sound                   texts of sounds, for sounds
                               adapter     adapter                 both
                               joint       adapter                 both, what is rare more often
    video_llama_tiny           the same, on drawn frames through a frame encoder that it builds
                               first, and on pictures of what sounds

Published settings (Video-LLaMA@64888c0, train_configs/*.yaml; batch: all of 8 GPUs, `batch_size`
times `accumulate`):

    stage            vl1             al1             vl2             al2
    lr (min)         1e-4 (8e-5)     1e-4 (8e-5)     3e-5 (1e-5)     3e-5 (1e-5)
    warm-up          2,500           5,000           1,000           400      from 1e-6
    steps            12,500          25,000          3,000           3,000
    batch            256             256             32              32
    caption tokens   32              32              -               -
    data             webvid : cc595k = 100 : 24      minigpt4, llava, videochat, equal odds

AdamW (.9, .999), decay .05, no clipping, mixed precision (`amp`; here bfloat16), the cosine not
shifted by the warm-up; random crops whose pixels wrap around where bicubic overshoots 0 to 255
(`textreel encode run --pixels wrapped`). Deviations are settings, each for a reason:

    stages.NAME.train.clip_norm=1      stage 2 is known to diverge
    stages.NAME.train.schedule=cosine  the rate does not drop where warm-up ends
    data.NAME.pixels=cropped           no specks at edges, which no video has when the run answers
    data.NAME.pixels=squashed          whole frames, as the run looks at them when it answers
    video_llama_2_7b_joint             a last stage of both branches; the paper has none, and its
                                       decoder meets both together when it answers

Not as published, and no setting: frames are encoded once, by frozen encoders, so a video has one
crop for all visits; the linear maps start untrained, as the paper says, not from MiniGPT-4's.
"""

from collections.abc import Callable
from dataclasses import replace

from textreel.media.sampling import SamplingSpec
from textreel.media.sound_clips import SoundClipSpec
from textreel.models.adapters import LoraSettings
from textreel.models.qformer_connector import PUBLISHED_SOUND, QFormerConnectorConfig
from textreel.recipes.senses_recipe import (
    FRAMES_FOLDER,
    DataSource,
    EncoderChoice,
    FramesRecipe,
    SensesRecipe,
    SensesStage,
)
from textreel.recipes.topa import EVERY_LINEAR, KNOWS
from textreel.serve.run_files import BridgeSettings
from textreel.train.config import TrainConfig

STAGE_1 = {"webvid": 100.0, "cc595k": 24.0}
STAGE_2 = {"minigpt4": 1.0, "llava": 1.0, "videochat": 1.0}
TINY_TOWERS = "embedded:tiny/towers"
ADAPTER_MIX = {
    "seen": 0.2,
    "heard": 0.1,
    "both": 0.35,
    "both-heard": 0.1,
    "both-needed": 0.1,
    "both-order": 0.15,
}
JOINT_MIX = {
    "heard": 0.05,
    "both": 0.45,
    "both-heard": 0.1,
    "both-needed": 0.1,
    "both-count": 0.1,
    "both-order": 0.2,
}
"""Of the last stage: a sound beside the pictures costs most where it is seldom asked for with one:
counting and order, which few scenes have questions of. Pictures alone need no more lessons."""
CLIPS = 400
"""Videos of the largest sources of clips; drawing frames costs more than writing captions."""


def published_schedule(
    *, lr: float, min_lr: float, warmup: int, steps: int, batch: tuple[int, int]
) -> TrainConfig:
    """Return a published stage's schedule.

    Args:
        lr: highest learning rate.
        min_lr: where the cosine ends.
        warmup: steps.
        steps: in all.
        batch: samples of one pass, and passes of one update.
    """
    return TrainConfig(
        steps=steps,
        batch_size=batch[0],
        accumulate=batch[1],
        lr=lr,
        min_lr=min_lr,
        warmup_lr=1e-6,
        warmup=warmup,
        schedule="unshifted",
        weight_decay=0.05,
        betas=(0.9, 0.999),
        clip_norm=None,
        seed=42,
        checkpoint_every=500,
        precision="bf16",
    )


def video_llama_2_7b() -> SensesRecipe:
    """The four published stages around Llama-2-7b-chat; paths of data and weights are yours."""
    first = {"lr": 1e-4, "min_lr": 8e-5, "batch": (32, 8)}
    second = {"lr": 3e-5, "min_lr": 1e-5, "batch": (4, 8)}
    return SensesRecipe(
        name="video_llama_2_7b",
        decoder="meta-llama/Llama-2-7b-chat-hf",
        template="video-llama-llama-2",
        image=QFormerConnectorConfig(),
        sound=PUBLISHED_SOUND,
        image_encoder=EncoderChoice(
            name="eva-blip2", weights=("eva_vit_g.pth", "blip2_pretrained_flant5xxl.pth")
        ),
        sound_encoder=EncoderChoice(name="imagebind#x20", weights=("imagebind_huge.pth",)),
        sampling=SamplingSpec(num_frames=8, policy="video_llama_floor"),
        stages={
            "vl1": SensesStage(
                task="captions",
                trains=("image",),
                reads="image",
                mix=STAGE_1,
                train=published_schedule(warmup=2500, steps=12_500, **first),  # type: ignore[arg-type]
            ),
            "vl2": SensesStage(
                task="instructions",
                trains=("image",),
                reads="image",
                mix=STAGE_2,
                train=published_schedule(warmup=1000, steps=3000, **second),  # type: ignore[arg-type]
            ),
            "al1": SensesStage(
                task="captions",
                trains=("sound",),
                reads="sound",
                mix={f"{name}-bound": ratio for name, ratio in STAGE_1.items()},
                train=published_schedule(warmup=5000, steps=25_000, **first),  # type: ignore[arg-type]
            ),
            "al2": SensesStage(
                task="instructions",
                trains=("sound",),
                reads="sound",
                mix={f"{name}-bound": ratio for name, ratio in STAGE_2.items()},
                train=published_schedule(warmup=400, steps=3000, **second),  # type: ignore[arg-type]
            ),
        },
        data={**_published_data("", "eva-blip2"), **_published_data("-bound", "imagebind-image")},
    )


def _published_data(suffix: str, encoder: str) -> dict[str, DataSource]:
    """Return the published data sets, with features of one encoder."""
    files = {
        "webvid": ("webvid", "webvid.csv"),
        "cc595k": ("captions", "cc595k/filter_cap.json"),
        "minigpt4": ("captions", "minigpt4/filter_cap.json"),
        "llava": ("llava-instruct", "llava_instruct_150k.json"),
        "videochat": ("videochat", "videochat_instruct_11k.json"),
    }
    return {
        name + suffix: DataSource(
            corpus=corpus,
            path=path,
            features=f"features/{name}-{encoder}",
            media=name,
            pixels="wrapped",
        )
        for name, (corpus, path) in files.items()
    }


def video_llama_2_7b_joint() -> SensesRecipe:
    """The four stages and, beyond the paper, both branches together on their stage-2 data."""
    recipe = video_llama_2_7b()
    joint = replace(
        recipe.stages["al2"],
        trains=("image", "sound"),
        train=replace(recipe.stages["al2"].train, clip_norm=1.0),
    )
    return replace(recipe, name="video_llama_2_7b_joint", stages={**recipe.stages, "joint": joint})


def tiny_branch(*, queries: int, max_steps: int = 8) -> QFormerConnectorConfig:
    """Return a branch over joint vectors of the tiny towers.

    Its positions start at the size of the vectors, which have length 1: published ones are 16 times
    as large, and hide for thousands of steps what was seen. They are interpolated in longer videos.
    """
    return QFormerConnectorConfig(
        feature_dim=256,
        vectors_per_step=1,
        queries=queries,
        width=128,
        layers=2,
        heads=4,
        mlp_hidden=512,
        positions="interpolated",
        max_steps=max_steps,
        position_std=0.0625,
        dropout=0.0,
    )


def video_llama_tiny_textonly() -> SensesRecipe:
    """Both branches over the tiny towers' joint vectors, aligned on texts alone.

    Captions of frames stand for pictures, captions of what is heard for sounds; no clip, no picture
    and no sound is used. The picture branch has five queries a frame: a column for each shape, and
    the full stop that the tiny decoder expects. Results are in docs/LOG.md.

    `image.vectors_per_step=4 image.fewer=true`: a caption beside up to three objects, not fused.
    """
    return SensesRecipe(
        name="video_llama_tiny_textonly",
        decoder="embedded:tiny/decoder",
        template="senses-tiny",
        image=tiny_branch(queries=40),
        sound=tiny_branch(queries=8),
        image_encoder=EncoderChoice(name=TINY_TOWERS),
        sound_encoder=EncoderChoice(name=TINY_TOWERS),
        sampling=SamplingSpec(num_frames=8),
        clips=SoundClipSpec(num_clips=8, rule="imagebind"),
        lora=LoraSettings(rank=16, alpha=32.0, targets=EVERY_LINEAR),
        bridges={"sound": BridgeSettings(name="mean_shift")},
        noise=0.005,
        remembers=False,
        knows=KNOWS,
        stages=tiny_stages(),
        data=tiny_data("text"),
    )


def video_llama_tiny() -> SensesRecipe:
    """The published way in the world: clips, and a frame encoder of several vectors a frame.

    The frame encoder is built first, from stills and captions, and frozen. The sound branch learns
    from pictures of what sounds, through the tiny towers' shared space, and never hears a sound.
    """
    return with_own_frames(video_llama_tiny_textonly())


def with_own_frames(recipe: SensesRecipe) -> SensesRecipe:
    """Return a variant of `video_llama_tiny_textonly` on clips, through a frame encoder of its own.

    Its vectors are no unit vectors, so it takes no noise; nor a bridge, for sounds and pictures of
    what sounds share a space.
    """
    shape = recipe.image
    assert shape is not None
    frames = FramesRecipe(train=replace(recipe.stages["eyes"].train, steps=400, batch_size=64))
    return replace(
        recipe,
        name="video_llama_tiny",
        image=replace(shape, feature_dim=frames.width, vectors_per_step=5),
        image_encoder=EncoderChoice(name=FRAMES_FOLDER),
        frames=frames,
        bridges={},
        noise=0.0,
        data=tiny_data("clips", videos=CLIPS),
    )


def tiny_stages() -> dict[str, SensesStage]:
    """Return the head starts of the branches, and the stages in which the decoder reads them.

    The branches stand still from there on: where they learned on, at a tenth or a thirtieth of the
    rate, pictures were read worse, or nothing better (docs/LOG.md).
    """
    eyes = TrainConfig(
        steps=300,
        batch_size=32,
        lr=2e-3,
        warmup=30,
        weight_decay=0.01,
        checkpoint_every=100,
        threads=1,
        precision="fp32",
    )
    adapter = TrainConfig(
        steps=200,
        batch_size=32,
        accumulate=2,
        lr=3e-3,
        warmup=10,
        weight_decay=0.02,
        checkpoint_every=10,
        threads=1,
        precision="bf16",
        attention="eager",
    )
    words = SensesStage(
        task="words", trains=("image",), reads="image", mix={"both": 1.0}, train=eyes, eyes=True
    )
    lessons = SensesStage(
        task="instructions",
        trains=("adapter",),
        reads="both",
        mix=ADAPTER_MIX,
        train=adapter,
    )
    joint = replace(adapter, steps=140, lr=1e-3, warmup=5)
    return {
        "eyes": replace(words, mixed=True),
        "ears": replace(words, trains=("sound",), reads="sound"),
        "adapter": lessons,
        "joint": replace(lessons, mix=JOINT_MIX, train=joint),
    }


def tiny_data(shows: str, *, videos: int = 2000) -> dict[str, DataSource]:
    """Return the world's sources: seen, heard, both, and both with questions of one type.

    Args:
        shows: `text` or `clips`.
        videos: of the largest sources.
    """

    def source(sense: str, count: int, only: tuple[str, ...] = ()) -> DataSource:
        return DataSource(
            corpus="world",
            path=str(count),
            shows=shows,  # type: ignore[arg-type]  # checked by pydantic where a user gives it
            sense=sense,  # type: ignore[arg-type]
            only=only,
        )

    return {
        "seen": source("image", videos),
        "heard": source("sound", videos // 2),
        "both": source("both", videos),
        "both-heard": source("both", videos // 4, ("heard",)),
        "both-needed": source("both", videos // 4, ("seen_and_heard",)),
        "both-count": source("both", videos // 2, ("count",)),
        "both-order": source("both", videos // 2, ("order",)),
    }


SENSES_RECIPES: dict[str, Callable[[], SensesRecipe]] = {
    recipe.__name__: recipe
    for recipe in (
        video_llama_2_7b,
        video_llama_2_7b_joint,
        video_llama_tiny,
        video_llama_tiny_textonly,
    )
}
