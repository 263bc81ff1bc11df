"""`FrameRecipe`: the fine-tuning of an image-LLM on videos, pages and texts, whole, as JSON values.

What `textreel train` repeats: `recipe.json` in the run's folder holds it resolved.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from textreel.data.templates import FRAME_TEMPLATES
from textreel.models.image_mllm.tuning import Tuning
from textreel.recipes.recipe import RecipeError
from textreel.synth.pages.jitter import Jitter
from textreel.synth.pages.settings import PageSettings
from textreel.train.config import TrainConfig
from textreel.train.frame_records import Loss

WORLD_DATA = "world"
"""What `data` says where the records are the world's, drawn when a batch wants them."""
NEW_TINY = "new:tiny"
"""A tiny image-LLM around the package's decoder, its eyes untrained."""
MAX_LONG = "1%"
Instructions = Literal["all", "one"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldSamples:
    """How many samples of each kind the world gives; `recipes/frame_world` says what they are.

    Attributes:
        stills: pictures of one moment, described and asked about.
        pages: single pages of at most 12 words, to be read out.
        clips: eight-second videos that there are.
        fraction: share of the clips that is used; a smaller one is part of a larger one.
        documents: long texts as pages, asked about.
        texts: the same long texts as plain text.
        instructions: whether clips are asked about in all ways, or by one template only.
        held_out: question types that clips are never asked.
        checked_pages: pages that reading is measured on before, between and after; 0: none.
    """

    stills: int = 0
    pages: int = 0
    clips: int = 0
    fraction: float = 1.0
    documents: int = 0
    texts: int = 0
    instructions: Instructions = "all"
    held_out: tuple[str, ...] = ()
    checked_pages: int = 0

    def __post_init__(self) -> None:
        counts = (self.stills, self.pages, self.clips, self.documents, self.texts)
        if min(*counts, self.checked_pages) < 0 or not sum(counts):
            raise RecipeError(f"world: {counts} samples of the five kinds: none below 0, one above")
        if not 0 < self.fraction <= 1:
            raise RecipeError(f"world.fraction={self.fraction} must lie in (0, 1]")
        if self.instructions not in get_args(Instructions):
            raise RecipeError(
                f"world.instructions={self.instructions!r} is none of "
                f"{', '.join(get_args(Instructions))}"
            )
        of_clips = (self.fraction, self.held_out, self.instructions)
        if not self.clips and of_clips != (1.0, (), "all"):
            raise RecipeError("world: fraction, held_out and instructions have no effect: 0 clips")


@dataclass(frozen=True, kw_only=True, slots=True)
class EyesLessons:
    """What eyes learn alone, from stills and pages of the world: `recipes/eyes_lessons`.

    Attributes:
        stills: share of stills; the others are pages.
        rise: share of the steps in which pages grow from 1 word to 12.
        train: how long and how fast.
        settling: the same of the second part, in which vectors become sums of words
            (`models/image_mllm/eyes`).
        settling_stills: share of stills in it.
    """

    stills: float
    rise: float
    train: TrainConfig
    settling: TrainConfig
    settling_stills: float

    def __post_init__(self) -> None:
        shares = (self.stills, self.rise, self.settling_stills)
        if min(shares) < 0 or max(shares) > 1:
            raise RecipeError(
                f"eyes: stills, rise and settling_stills are {shares}: each must lie in [0, 1]"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameRecipe:
    """A fine-tuning of an image-LLM.

    Attributes:
        name: of the recipe.
        model: folder or Hugging Face id of an image-LLM, the folder of such a run, or `new:tiny`.
        data: records: JSON lines or the folder of a mix (`textreel data mix`); or `world`.
        world: the samples of `data="world"`.
        media: folder that relative paths in the records start from.
        template: key of `data.templates.FRAME_TEMPLATES`: how the run is asked afterwards.
        num_frames: frames of a video.
        tiles: also cut pictures into tiles; off, as published (`do_image_splitting=False`).
        frame_tokens: most tokens of a picture, for families that keep its size; None: the default.
        pages: how long texts become pages.
        page_font: file name of a font that Matplotlib ships; empty: the default font, and others of
            the machine for what it lacks.
        page_jitter: what of size, density and contrast differs from text to text; None: nothing.
        eyes: lessons for untrained eyes and their connector, which stay as these leave them while
            the rest learns; None: none.
        max_tokens: longest record, exact to the token; None: what the model reads.
        max_bad: records that may be left out for faults (a video that is missing or broken, a text
            that cannot be drawn), a number or a share of them; None: any.
        max_long: those that may be left out for their length; None: any.
        loss: of `answers`, or of `all text`.
        tuning: what learns.
        seed: of order, LoRA's start and the world's samples.
        train: how long and how fast.
        knows: all that the model has ever met, in words; empty where no such limit is known.
    """

    name: str
    model: str
    data: str
    train: TrainConfig
    world: WorldSamples | None = None
    media: str = "."
    template: str = "image-chat"
    num_frames: int = 24
    tiles: bool = False
    frame_tokens: int | None = None
    pages: PageSettings = field(default_factory=PageSettings)
    page_font: str = ""
    page_jitter: Jitter | None = None
    eyes: EyesLessons | None = None
    max_tokens: int | None = None
    max_bad: int | str | None = "1%"
    max_long: int | str | None = MAX_LONG
    loss: Loss = "answers"
    tuning: Tuning = field(default_factory=Tuning)
    seed: int = 0
    knows: str = ""

    def __post_init__(self) -> None:
        if self.template not in FRAME_TEMPLATES:
            raise RecipeError(
                f"unknown template {self.template!r} of an image-LLM",
                hint=f"one of {', '.join(FRAME_TEMPLATES)}",
            )
        if self.num_frames < 1:
            raise RecipeError(f"num_frames={self.num_frames} must be at least 1")
        if (self.data == WORLD_DATA) != (self.world is not None):
            raise RecipeError(
                f"data={self.data!r} and world={'none' if self.world is None else 'given'}: the "
                "world's samples go with data=world, and with nothing else",
                hint="name a file of records in data and set world=null, or leave both",
            )
        if self.loss not in get_args(Loss):
            raise RecipeError(f"loss={self.loss!r} is none of {', '.join(get_args(Loss))}")
        if self.eyes is not None and self.tuning.vision and self.tuning.lora is None:
            raise RecipeError(
                "eyes: what the lessons have taught stays as it is, so tuning.vision=true has no "
                "effect",
                hint="set tuning.vision=false, or eyes=null",
            )
        if self.eyes is not None and self.model != NEW_TINY:
            raise RecipeError(
                f"eyes: lessons are for the untrained eyes of model={NEW_TINY!r}, not for those of "
                f"{self.model!r}",
                hint="set eyes=null",
            )
        if self.tuning.lora is not None and not self.tuning.vision:
            raise RecipeError(
                "tuning.vision=false has no effect with tuning.lora: LoRA leaves the eyes as they "
                "are",
                hint="leave tuning.vision at true, or set tuning.lora=null",
            )

    @property
    def schedule(self) -> TrainConfig:
        """The training as it is run."""
        return replace(self.train, seed=self.train.seed or self.seed)

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values; fields of later versions go unsaid by default."""
        values = asdict(self)
        if self.max_long == MAX_LONG:
            del values["max_long"]
        if self.page_jitter is None:
            del values["page_jitter"]
        return values


def is_frame_recipe(values: Mapping[str, Any]) -> bool:
    """Return whether JSON values are those of a `FrameRecipe`, by the field no other has."""
    return "tuning" in values
