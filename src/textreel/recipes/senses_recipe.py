"""`SensesRecipe`: the training of a `VideoLlama` in stages, as JSON values.

A stage names what it trains, on which data and how long; the branches begin each stage where the
stage before it left them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from textreel.data.corpora import CORPORA
from textreel.data.senses_templates import SENSES_TEMPLATES
from textreel.features.pixels import Pixels
from textreel.media.sampling import SamplingSpec
from textreel.media.sound_clips import SoundClipSpec
from textreel.models.adapters import LoraSettings
from textreel.models.qformer_connector import QFormerConnectorConfig
from textreel.recipes.recipe import RecipeError
from textreel.serve.run_files import BridgeSettings
from textreel.train.config import TrainConfig

Task = Literal["captions", "instructions", "words"]
Sense = Literal["image", "sound", "both"]
WORLD, TEXTUAL = "world", "textual"
FRAMES_FOLDER = "frames"
"""Where in a run's folder, and as which encoder, the frame encoder is that a recipe builds."""
STAGE_PARTS = ("image", "sound", "adapter")


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSource:
    """Where samples come from.

    Attributes:
        corpus: key of `data.corpora.CORPORA`; `textual`, textual videos that stand for videos; or
            `world`.
        path: its file; for the world how many videos it writes.
        sounds: for `textual`: captions of what is heard, as textual videos of the same ids.
        features: the store with features of the pictures or videos (`textreel encode run`), of the
            encoder of the branch that reads them.
        sound_features: where a stage reads both: the store for the sound branch.
        media: folder that relative paths in the file start at.
        shows: for the world: `text`, captions of frames and of sounds stand for both senses;
            `clips`, drawn frames, and for the sound branch pictures of what sounds.
        sense: for the world and for `textual`: what a prompt shows, and so what it asks about.
        only: for the world: question types; empty: all that suit the sense.
        pixels: what its features show, by `textreel encode run --pixels`; others are refused.
        sampling: the rule by which its features were made, where it is another one than that of the
            run on purpose: features of another rule are refused.
    """

    corpus: str
    path: str
    features: str = ""
    sound_features: str = ""
    media: str = ""
    sounds: str = ""
    shows: Literal["text", "clips"] = "text"
    sense: Sense = "both"
    only: tuple[str, ...] = ()
    pixels: Pixels = "squashed"
    sampling: SamplingSpec | None = None

    def __post_init__(self) -> None:
        if self.corpus not in (WORLD, TEXTUAL, *CORPORA):
            raise RecipeError(
                f"there is no corpus {self.corpus!r} to train on",
                hint=f"one of {', '.join((WORLD, TEXTUAL, *CORPORA))}",
            )
        if self.corpus == TEXTUAL and (self.sense == "image") != (not self.sounds):
            raise RecipeError(
                f"a textual source with sense={self.sense!r} and sounds={self.sounds!r}: captions "
                f"of sounds belong to the senses sound and both, and they need them"
            )
        if self.pixels != "squashed" and self.corpus in (WORLD, TEXTUAL):
            raise RecipeError(
                f"pixels={self.pixels!r} has no effect on a source of {self.corpus}: it is for "
                f"stored features",
                hint="leave it out",
            )
        if self.sampling is not None and self.corpus in (WORLD, TEXTUAL):
            raise RecipeError(
                f"sampling has no effect on a source of {self.corpus}: it is for stored features",
                hint="leave it out",
            )
        if self.corpus == WORLD and not (self.path.isdecimal() and int(self.path)):
            raise RecipeError(f"path={self.path!r}: of the world it is how many videos to write")


@dataclass(frozen=True, kw_only=True, slots=True)
class SensesStage:
    """One stage.

    Attributes:
        task: `captions`, without a prompt, as in the published first stages; `instructions`,
            conversations in the recipe's template; `words`, a head start (`senses_words`).
        trains: what learns: `image`, `sound`, `adapter`; everything else is frozen.
        reads: which branch reads the features; `both` for data of the world.
        mix: name of a data source to its sampling ratio; one source is drawn for every batch.
        train: how long and how fast.
        max_caption_tokens: longest caption, its end included.
        mixed: for `words`: deal the frames of all videos out anew (`senses_words.mixed_frames`).
        eyes: for `words`: begin with eyes that are open (`models.qformer_start`).
    """

    task: Task
    trains: tuple[str, ...]
    reads: Sense
    mix: Mapping[str, float]
    train: TrainConfig
    max_caption_tokens: int = 32
    mixed: bool = False
    eyes: bool = False

    def __post_init__(self) -> None:
        if not self.trains or (unknown := [p for p in self.trains if p not in STAGE_PARTS]):
            named = ", ".join(unknown) if self.trains else "nothing"
            raise RecipeError(
                f"a stage cannot train {named}", hint=f"name some of {', '.join(STAGE_PARTS)}"
            )
        for name in ("mixed", "eyes"):
            if getattr(self, name) and self.task != "words":
                raise RecipeError(f"{name} has no effect on a stage of {self.task}")
        if self.mixed and "image" not in self.trains:
            raise RecipeError("mixed has no effect on a stage that does not train the image branch")
        if not self.mix or min(self.mix.values()) <= 0:
            raise RecipeError(
                f"mix={dict(self.mix)}: a stage needs data, each with a sampling ratio above 0"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderChoice:
    """A frozen encoder.

    Attributes:
        name: `eva-blip2`, `imagebind`, or a dual encoder's folder, id or `embedded:` name.
        weights: the files of a published one.
    """

    name: str
    weights: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FramesRecipe:
    """A frame encoder of the world that a recipe builds and freezes before its first stage.

    The recipe's `image_encoder` is then `frames`, the folder in its run.

    Attributes:
        train: how long and how fast.
        towers: the tiny dual encoder whose picture tower it is built around.
        width: of its vectors.
        stills: pictures it learns from.
    """

    train: TrainConfig
    towers: str = "embedded:tiny/towers"
    width: int = 64
    stills: int = 3200


@dataclass(frozen=True, kw_only=True, slots=True)
class SensesRecipe:
    """A training in stages; JSON values only.

    Attributes:
        name: of the recipe.
        decoder: directory, Hugging Face id, or `embedded:tiny/decoder`.
        image: shape of the picture branch, or None.
        sound: shape of the sound branch, or None.
        image_encoder: what the picture branch reads.
        sound_encoder: what the sound branch reads.
        template: key of `data.senses_templates.SENSES_TEMPLATES`.
        stages: by name, in order.
        data: by name.
        sampling: which frames of a video are looked at.
        clips: how a sound is cut.
        lora: what the decoder learns with; None, as published, for nothing.
        bridges: what features pass when the run answers, by `image` and `sound`.
        noise: of features in training, per dimension; see `alignment.TaskMix`.
        seed: of data, weights and order.
        remembers: whether a conversation shows the model earlier turns.
        knows: all that the model has ever met, in words.
        frames: a frame encoder to be built first, or None.
    """

    name: str
    decoder: str
    stages: Mapping[str, SensesStage]
    data: Mapping[str, DataSource]
    image: QFormerConnectorConfig | None = None
    sound: QFormerConnectorConfig | None = None
    image_encoder: EncoderChoice | None = None
    sound_encoder: EncoderChoice | None = None
    template: str = "senses-chat"
    sampling: SamplingSpec = field(default_factory=SamplingSpec)
    clips: SoundClipSpec = field(default_factory=SoundClipSpec)
    lora: LoraSettings | None = None
    bridges: Mapping[str, BridgeSettings] = field(default_factory=dict)
    noise: float = 0.0
    seed: int = 0
    remembers: bool = True
    knows: str = ""
    frames: FramesRecipe | None = None

    def __post_init__(self) -> None:
        if self.template not in SENSES_TEMPLATES:
            raise RecipeError(
                f"there is no template {self.template!r} for two senses",
                hint=f"one of {', '.join(SENSES_TEMPLATES)}",
            )
        self._check_encoders()
        for sense, bridge in self.bridges.items():
            if sense not in ("image", "sound") or getattr(self, sense) is None:
                raise RecipeError(f"bridges: the recipe has no sense {sense!r}")
            if bridge.name not in ("none", "mean_shift"):
                raise RecipeError(
                    f"bridges.{sense}: a run of two senses crosses no {bridge.name}",
                    hint="one of none, mean_shift",
                )
        for name, stage in self.stages.items():
            if missing := [source for source in stage.mix if source not in self.data]:
                raise RecipeError(
                    f"stage {name} draws from {missing[0]!r}, which is not in the recipe's data",
                    hint=f"there are: {', '.join(self.data)}",
                )
            senses = ("image", "sound") if stage.reads == "both" else (stage.reads,)
            if absent := [s for s in senses if getattr(self, s) is None]:
                raise RecipeError(f"stage {name} reads {absent[0]}, which the recipe does not have")

    def _check_encoders(self) -> None:
        for sense in ("image", "sound"):
            shape, encoder = getattr(self, sense), getattr(self, f"{sense}_encoder")
            if (shape is None) != (encoder is None):
                raise RecipeError(f"the {sense} branch and its encoder go together")
        if self.sampling.resampler != "sinc" and self.sound is None:
            raise RecipeError(
                f"sampling.resampler={self.sampling.resampler!r} has no effect on a recipe without "
                f"a sound branch"
            )
        seeing = "" if self.image_encoder is None else self.image_encoder.name
        if (self.frames is None) != (seeing != FRAMES_FOLDER):
            raise RecipeError(
                f"a recipe builds its own frame encoder where image_encoder.name is "
                f"{FRAMES_FOLDER!r} and frames is given; this one has {seeing!r}"
            )
        if self.noise and seeing in (FRAMES_FOLDER, "eva-blip2"):
            raise RecipeError(
                f"noise={self.noise} is for unit vectors, and the encoder {seeing!r} makes others",
                hint="set noise=0",
            )

    def halves_frozen(self, device: str) -> bool:
        """Return whether the decoder is held in bfloat16 on a device of that type.

        As in an alignment (`AlignRecipe.halves_frozen`), where every stage that runs it computes in
        bfloat16. A head start reads its embeddings only, and may compute in float32 all the same.
        """
        run_by = [s.train.precision for s in self.stages.values() if s.task != "words"]
        return device != "cpu" and bool(run_by) and set(run_by) == {"bf16"}

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values.

        Our resampler goes unsaid, as in a spec, and so does that a source has no rule of its own
        and that its pixels are those of whole frames: runs begun before these fields go on.
        """
        values = asdict(self)
        if self.sampling.resampler == "sinc":
            del values["sampling"]["resampler"]
        for name, source in self.data.items():
            if source.sampling is None:
                del values["data"][name]["sampling"]
            if source.pixels == "squashed":
                del values["data"][name]["pixels"]
        return values
