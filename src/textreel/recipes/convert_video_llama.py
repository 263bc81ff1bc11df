"""`textreel convert video-llama`: released checkpoints of Video-LLaMA become a model folder.

    VL file [+ AL file] + encoders' files + Hugging Face decoder  ->  a run that `ask` takes

The folder holds the two branches, the template that suits the decoder and the published sampling
(8 frames, 8 clips of sound), and is read by `textreel.load` and by `VideoLlama.from_pretrained`.
The decoder and the encoders are named with what their files hash to, and those files are looked
through here, so that a wrong one is told now and not when the model is used. Of the decoder only
the config and the last norm are read.
"""

from dataclasses import dataclass
from pathlib import Path

from textreel.data.files import write_atomic
from textreel.data.senses_prompt import SensesTemplate, check_template
from textreel.data.senses_templates import SENSES_TEMPLATES, default_template
from textreel.media.sampling import SamplingSpec
from textreel.models import checkpoint as checkpoints
from textreel.models.blip2_repository import (
    find_repository,
    is_repository,
    load_repository,
    repository_files,
)
from textreel.models.decoder import locate, weight_fingerprint
from textreel.models.decoder_checks import config_width, refuse_delta
from textreel.models.encoder_files import published_files
from textreel.models.errors import DecoderNotFoundError, DecoderUnsupportedError
from textreel.models.eva_vit import EvaConfig
from textreel.models.frame_encoder import NAME as FRAMES
from textreel.models.frame_qformer import check_frame_files
from textreel.models.imagebind import ImageBindConfig
from textreel.models.imagebind_encoder import NAME as IMAGEBIND
from textreel.models.imagebind_encoder import SCALED_SUFFIX
from textreel.models.imagebind_files import load_imagebind
from textreel.models.qformer import QFormerShape
from textreel.models.tokenizer import chat_template_of, load_tokenizer
from textreel.models.video_llama import KIND, EncoderSource, VideoLlamaConfig, check_width
from textreel.models.video_llama_checkpoint import HEADS, Branch, BranchWeights, read_branch
from textreel.recipes.recipe import RecipeError
from textreel.serve.senses_files import SensesSettings, save_senses_settings

PUBLISHED_FRAMES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoLlamaSource:
    """What to convert.

    Attributes:
        llm: the decoder: a Hugging Face directory or id.
        vl: the picture branch's file.
        al: the sound branch's file.
        eva: `eva_vit_g.pth`, for the picture branch; None where `blip2` is a Hugging Face model.
        blip2: `blip2_pretrained_flant5xxl.pth`, or a Hugging Face BLIP-2.
        imagebind: `imagebind_huge.pth`, for the sound branch.
        template: key of `data.senses_templates.SENSES_TEMPLATES`; empty: the one that suits the
            decoder's tokenizer.
    """

    llm: str
    vl: Path | None = None
    al: Path | None = None
    eva: Path | None = None
    blip2: str | None = None
    imagebind: Path | None = None
    template: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoLlamaShapes:
    """Shapes that stand in no file; None for the published ones."""

    eva: EvaConfig | None = None
    qformer: QFormerShape | None = None
    imagebind: ImageBindConfig | None = None
    heads: int = HEADS


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoLlamaConversion:
    """What was converted; JSON values only.

    Attributes:
        run: the folder.
        branches: which branches it has.
        trained_parameters: numbers in them.
        max_frames: frames that the picture branch has positions for; 0 without one.
        max_clips: clips of sound that the sound branch has positions for; 0 without one.
        image_encoder: whose features the picture branch reads.
        sound_encoder: whose features the sound branch reads.
        template: of its prompts.
    """

    run: str
    branches: tuple[str, ...]
    trained_parameters: int
    max_frames: int
    max_clips: int
    image_encoder: str
    sound_encoder: str
    template: str


def convert_video_llama(
    source: VideoLlamaSource, out: Path, *, shapes: VideoLlamaShapes | None = None
) -> VideoLlamaConversion:
    """Write a model that computes what the published code computes with these checkpoints.

    Args:
        source: the files.
        out: the folder; made if needed.
        shapes: of other sizes than the released ones.

    Raises:
        RecipeError: a file that is needed was not given, or one that is not.
        PublishedFileError: a file is missing, damaged, or not the one wanted.
        CheckpointError: a branch of another decoder, or a decoder that is a difference.
        DecoderNotFoundError: no such decoder.
        PromptError: a template that the decoder was not taught with.
    """
    shapes = shapes or VideoLlamaShapes()
    _check_given(source)
    refuse_delta(locate(source.llm))
    template = _template(source)
    branches = _read_branches(source, shapes)
    width = config_width(source.llm)
    for name, weights in branches.items():
        check_width(weights, width=width, path=str(_file(source, name)))
    image = branches["image"].config if "image" in branches else None
    sound = branches["sound"].config if "sound" in branches else None
    config = VideoLlamaConfig(
        decoder=source.llm,
        decoder_weights=weight_fingerprint(source.llm),
        image=image,
        sound=sound,
        image_encoder=_frames(source, shapes) if image else EncoderSource(),
        sound_encoder=_imagebind(source, shapes) if sound else EncoderSource(),
    )
    tensors = {f"{n}.{key}": t for n, found in branches.items() for key, t in found.tensors.items()}
    checkpoints.save(out, config=config, tensors=tensors, kind=KIND)
    result = VideoLlamaConversion(
        run=str(out),
        branches=tuple(branches),
        trained_parameters=sum(tensor.numel() for tensor in tensors.values()),
        max_frames=image.max_steps if image else 0,
        max_clips=sound.max_steps if sound else 0,
        image_encoder=config.image_encoder.name,
        sound_encoder=config.sound_encoder.name,
        template=template.name,
    )
    write_atomic(out / "README.md", _card(result, source))
    sampling = SamplingSpec(num_frames=PUBLISHED_FRAMES, policy="video_llama_floor")
    settings = SensesSettings(template=template, sampling=sampling, remembers=True)
    save_senses_settings(out, settings)
    return result


def _template(source: VideoLlamaSource) -> SensesTemplate:
    if not source.template:
        return default_template(chat_template_of(source.llm))
    if source.template not in SENSES_TEMPLATES:
        raise RecipeError(
            f"there is no template {source.template!r} for pictures and sound",
            hint=f"one of {', '.join(SENSES_TEMPLATES)}",
        )
    template = SENSES_TEMPLATES[source.template]
    try:
        tokenizer = load_tokenizer(source.llm)
    except (DecoderNotFoundError, DecoderUnsupportedError):
        return template  # who asks the run needs one, and is told
    check_template(template, tokenizer)
    return template


def _check_given(source: VideoLlamaSource) -> None:
    if source.vl is None and source.al is None:
        raise RecipeError("no checkpoint to convert: give the VL file, the AL file, or both")
    whole_blip2 = source.blip2 is not None and is_repository(source.blip2)
    needed = [
        ("blip2", source.vl, source.blip2 is None),
        ("eva", source.vl, source.eva is None and not whole_blip2),
        ("imagebind", source.al, source.imagebind is None),
    ]
    for option, branch, absent in needed:
        if branch is not None and absent:
            raise RecipeError(f"the branch in {branch} needs its encoder's file: give {option} too")
    useless = [
        ("blip2", source.vl, source.blip2 is not None),
        ("eva", source.vl, source.eva is not None),
        ("imagebind", source.al, source.imagebind is not None),
    ]
    for option, branch, given in useless:
        if branch is None and given:
            raise RecipeError(f"the file given as {option} has no branch that reads its features")
    if source.eva is not None and whole_blip2:
        raise RecipeError("a Hugging Face BLIP-2 brings its own EVA: leave eva out")


def _file(source: VideoLlamaSource, branch: Branch) -> Path | None:
    return source.vl if branch == "image" else source.al


def _read_branches(
    source: VideoLlamaSource, shapes: VideoLlamaShapes
) -> dict[Branch, BranchWeights]:
    queries = (shapes.qformer or QFormerShape()).queries
    per_step: dict[Branch, int] = {"image": queries, "sound": 1}
    return {
        branch: read_branch(
            path, branch=branch, vectors_per_step=per_step[branch], heads=shapes.heads
        )
        for branch in per_step
        if (path := _file(source, branch)) is not None
    }


def _frames(source: VideoLlamaSource, shapes: VideoLlamaShapes) -> EncoderSource:
    assert source.blip2 is not None
    if source.eva is None:
        folder = find_repository(source.blip2)
        load_repository(folder)
        files = published_files(repository_files(folder), name=FRAMES)
        return _source(files.name, files.revision, [source.blip2])
    check_frame_files(source.eva, blip2=source.blip2, eva_config=shapes.eva, qformer=shapes.qformer)
    files = published_files([source.eva, source.blip2], name=FRAMES)
    return _source(files.name, files.revision, [source.eva, source.blip2])


def _imagebind(source: VideoLlamaSource, shapes: VideoLlamaShapes) -> EncoderSource:
    assert source.imagebind is not None
    load_imagebind(source.imagebind, config=shapes.imagebind, senses=["sound"])
    files = published_files([source.imagebind], name=IMAGEBIND + SCALED_SUFFIX)
    return _source(files.name, files.revision, [source.imagebind])


def _source(name: str, revision: str, weights: list[str | Path]) -> EncoderSource:
    return EncoderSource(name=name, revision=revision, weights=tuple(map(str, weights)))


def _card(result: VideoLlamaConversion, source: VideoLlamaSource) -> str:
    lines = [
        f"- pictures: `{source.vl}`, up to {result.max_frames} frames through "
        f"`{result.image_encoder}`"
        if result.max_frames
        else "- pictures: none",
        f"- sound: `{source.al}`, up to {result.max_clips} clips of two seconds through "
        f"`{result.sound_encoder}`, whose vectors have their published length of 20"
        if result.max_clips
        else "- sound: none",
    ]
    return (
        f"# Video-LLaMA, converted\n\nReleased checkpoints ({result.trained_parameters:,} trained "
        f"parameters) on the decoder `{source.llm}`:\n\n" + "\n".join(lines) + "\n"
    )
