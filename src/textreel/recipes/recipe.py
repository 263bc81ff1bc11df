"""`AlignRecipe`: an alignment on textual videos, whole, as JSON values.

A recipe is what `textreel train` repeats: `recipe.json` in every run folder holds it resolved.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from textreel.data.templates import TEMPLATES
from textreel.features.fuse import FuseMode
from textreel.models.adapters import AdapterKind, GatedConfig, LoraSettings
from textreel.recipes.alignment import FrameCaptions, TaskMix
from textreel.recipes.head_start import HeadStart
from textreel.train.config import TrainConfig

WORLD = "world:"
"""Prefix of data that the world's grammar writes: `world:3000`."""
WORLD_SECONDS = 8.0


class RecipeError(ValueError):
    """A recipe that cannot be run as it is.

    Attributes:
        exit_code: what the command line exits with.
        hint: the way out.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectorShape:
    """The connector, but for the encoder's width; see `models.connectors.ConnectorConfig`.

    The defaults are TOPA's.
    """

    tokens_per_vector: int = 1
    temporal: Literal["table", "time", "none"] = "table"
    max_frames: int = 10
    temporal_std: float = 1.0
    norm: Literal["none", "layer", "rms"] = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """Questions asked before the first step, every `train.evaluate_every` steps and at the end.

    Pictures and sounds pass the bridge by which the run answers; text frames pass none.

    Attributes:
        data: `world:N` for N questions of each type about drawn scenes of the validation part, or a
            file of textual videos or of clips' questions. Empty: nothing is asked.
        features: for clips of a file: the store with the features of their pictures or sounds.
            Empty: the file's text frames are read.
    """

    data: str = ""
    features: str = ""

    def __post_init__(self) -> None:
        if self.features and (not self.data or is_world(self.data)):
            raise RecipeError(
                f"validation.features={self.features!r} has no effect on "
                f"validation.data={self.data!r}",
                hint="set validation.data to the file with the questions about these clips",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignRecipe:
    """An alignment of a frozen decoder on textual videos.

    Attributes:
        name: of the recipe.
        decoder: directory, Hugging Face id, or `embedded:tiny/decoder`.
        encoder: directory, Hugging Face id, `embedded:tiny/towers`, or a published encoder's name.
            One of sounds (CLAP, `imagebind-audio`) makes a run that answers about what is heard.
        encoder_weights: files of a published encoder, such as `imagebind_huge.pth`.
        encoder_tokenizer: CLIP's, with which ImageBind reads texts: directory or Hugging Face id.
        kind: `align`, on text only; `finetune`, on picture features of real clips, without a
            bridge, from an aligned run; `baseline`, the same from the raw decoder.
        start: for `finetune`, the aligned run: a folder, or `tiny` for the one in the package.
        data: `world:N` for N videos of the world's grammar (textual ones, or drawn ones for
            `finetune` and `baseline`), or the path of a TextVid JSON, of textual videos as JSON
            lines (of clips, their questions), or of the folder that `synth textvid` left.
        features: for clips of a file: the store with their picture features.
        data_fraction: share of the videos that are used, a random subset drawn with `seed`.
        equal: what stays equal under a `data_fraction`: the `steps`, or the `epochs`.
        seconds: length of the world's videos.
        text_frames: frames of the world's textual videos.
        template: key of `data.templates.TEMPLATES`.
        num_frames: frames of a video that are read; of textual videos with more, so many are kept.
        seed: of data, weights and order.
        fuse: which texts of a frame are fused.
        connector: its shape.
        adapter: what the decoder learns with.
        lora: for `adapter="lora"`.
        gated: for `adapter="gated"`.
        mix: the tasks.
        head_start: fit the connector to words before the first step; None by default, as published.
        memory: file of `textreel memory build`, over which pictures and sounds cross to text: in
            validation, and when the run, which keeps it, answers. Empty: none.
        memory_temperature: of its softmax (published: 0.01).
        memory_top_k: only its nearest rows; None: all.
        memory_centred: cross about the means of both modalities, the encoder's stored one and the
            memory's own (`models.bridges.Memory`); not published, with a temperature of about .1.
        validation: what is asked while training; nothing by default.
        centred: subtract the towers' stored mean of its modality from every feature, in training
            and when the run answers; the run crosses by the bridge `centre`.
        wide_gap: move texts and pictures apart before anything else (`features.wide_gap`); for
            studies of bridges only, and no run of its own answers about files.
        captions: a first stage on captions of single frames; none by default, as published.
        train: how long and how fast.
        knows: all that the model has ever met, in words; said with every answer.
    """

    name: str
    decoder: str
    encoder: str
    data: str
    train: TrainConfig
    encoder_weights: tuple[str, ...] = ()
    encoder_tokenizer: str = ""
    kind: Literal["align", "finetune", "baseline"] = "align"
    start: str = ""
    features: str = ""
    data_fraction: float = 1.0
    equal: Literal["steps", "epochs"] = "steps"
    seconds: float = WORLD_SECONDS
    text_frames: int = 8
    template: str = "topa"
    num_frames: int = 10
    seed: int = 0
    fuse: FuseMode = "caption+objects"
    connector: ConnectorShape = field(default_factory=ConnectorShape)
    adapter: AdapterKind = "gated"
    lora: LoraSettings = field(default_factory=LoraSettings)
    gated: GatedConfig = field(default_factory=GatedConfig)
    mix: TaskMix = field(default_factory=TaskMix)
    head_start: HeadStart | None = None
    memory: str = ""
    memory_temperature: float = 0.01
    memory_top_k: int | None = None
    memory_centred: bool = False
    validation: Validation = field(default_factory=Validation)
    centred: bool = False
    wide_gap: bool = False
    captions: FrameCaptions = field(default_factory=FrameCaptions)
    knows: str = ""

    def __post_init__(self) -> None:
        if self.template not in TEMPLATES:
            raise RecipeError(
                f"unknown template {self.template!r}", hint=f"one of {', '.join(TEMPLATES)}"
            )
        if self.num_frames < 1:
            raise RecipeError(f"num_frames={self.num_frames} must be at least 1")
        self._check_data()
        self._check_memory()
        slots = self.connector.max_frames
        if self.connector.temporal == "table" and self.num_frames > slots:
            raise RecipeError(
                f"num_frames={self.num_frames}, but the connector has {slots} temporal slots",
                hint="raise connector.max_frames, or set connector.temporal=time",
            )

    def _check_data(self) -> None:
        """Refuse settings of the data that have no effect, or are missing."""
        if not 0 < self.data_fraction <= 1:
            raise RecipeError(f"data_fraction={self.data_fraction} must lie in (0, 1]")
        if (self.kind == "finetune") != bool(self.start):
            raise RecipeError(
                f"kind={self.kind!r} and start={self.start!r}: a finetune begins with an aligned "
                "run, the others with none",
                hint="set start to the folder of an aligned run, or kind to baseline",
            )
        if bool(self.features) != (self.kind != "align" and not is_world(self.data)):
            raise RecipeError(
                f"features={self.features!r}: a store of picture features is for the clips of a "
                "file, and they need one",
                hint="fill one by `textreel encode run` or `textreel encode import`",
            )
        if not is_world(self.data) and (self.seconds, self.text_frames) != (WORLD_SECONDS, 8):
            raise RecipeError("seconds and text_frames have an effect on the world's videos only")
        if self.centred and self.wide_gap:
            raise RecipeError("centred and wide_gap: the stored means are of the gap as it is")
        if self.kind != "align" and self.head_start:
            raise RecipeError("head_start: real clips come without lines about their objects")
        if self.kind != "align" and self.captions.share:
            raise RecipeError("captions.share: real clips come without captions of their frames")

    def _check_memory(self) -> None:
        """Refuse a memory where another bridge is crossed or none is, and settings of none."""
        given = (self.memory_temperature, self.memory_top_k, self.memory_centred)
        if not self.memory and given != (0.01, None, False):
            raise RecipeError(
                "memory_temperature, memory_top_k and memory_centred have no effect without a "
                "memory"
            )
        if self.memory and self.kind != "align":
            raise RecipeError(
                f"memory={self.memory!r}: a {self.kind} learns from features as they are, without "
                "a bridge"
            )
        if self.memory and self.centred:
            raise RecipeError("memory and centred: a run crosses by one bridge")
        if self.wide_gap and (self.memory or self.validation.data):
            raise RecipeError("wide_gap is for studies, whose looks say what is asked and crossed")

    def halves_frozen(self, device: str) -> bool:
        """Return whether frozen weights are held in bfloat16 on a device of that type.

        They are on an accelerator, where the recipe's arithmetic is bfloat16 anyway: half of the
        memory, and nothing to cast in every step. On a processor they stay as they were.
        """
        return device != "cpu" and self.train.precision == "bf16"

    @property
    def schedule(self) -> TrainConfig:
        """The training as it is run: shorter where a fraction of the data keeps its epochs."""
        train = replace(self.train, seed=self.train.seed or self.seed)
        if self.equal == "steps" or self.data_fraction == 1:
            return train
        steps = max(1, round(train.steps * self.data_fraction))
        warmup = min(round(train.warmup * self.data_fraction), steps - 1)
        return replace(train, steps=steps, warmup=warmup)

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values."""
        return asdict(self)


def is_world(data: str) -> bool:
    """Return whether `data` names the world's grammar."""
    return data.startswith(WORLD)


def world_count(data: str) -> int:
    """Return N of `world:N`.

    Raises:
        RecipeError: N is no number above 0.
    """
    number = data.removeprefix(WORLD)
    if not number.isdecimal() or int(number) < 1:
        raise RecipeError(f"data={data!r}: after `{WORLD}` stands how many videos, such as 3000")
    return int(number)


def data_path(data: str, *, field: str = "data") -> Path:
    """Return the file of textual videos, or a folder of such files.

    Args:
        data: its path.
        field: of the recipe, for messages.

    Raises:
        RecipeError: it is not there.
    """
    path = Path(data)
    if not path.exists():
        raise RecipeError(
            f"{field}={data!r}: no such file or folder",
            hint=f"give a TextVid JSON, textual videos as JSON lines, what "
            f"`textreel synth textvid` left, or {WORLD}3000",
        )
    return path
