"""The files of a run that answering needs beside the model's own.

    config.json, model.safetensors   written by `TrackLM.save_pretrained`
    run.json                         encoder, prompt template, bridge, what the model knows
    sampling.json                    which frames of a video are looked at
    memory.safetensors               text vectors, where the bridge is a memory

An image-LLM needs none of them. What was fine-tuned here has `sampling.json`, and `template.json`
where its questions are written in other words than those of image-LLMs as they are.

Frames must be read at test time as they were in training and evaluation: that is why all of this is
stored in the run, and nothing of it is an option of a question.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from textreel.data.files import check_header, make_header, write_atomic
from textreel.data.prompt import PromptTemplate
from textreel.features.memory import Memory, load_memory, save_memory
from textreel.media.sampling import SamplingSpec
from textreel.models.decoder import EMBEDDED, locate
from textreel.models.track_lm import TrackLM
from textreel.serve.errors import RunError

BridgeName = Literal["none", "memory", "mean_shift", "centre"]
MemoryType = Literal["float32", "bfloat16"]
BRIDGES: tuple[str, ...] = get_args(BridgeName)

SHIPPED = "tiny"
"""The name of the run that comes with the package; a folder of that name is `./tiny`."""
MEMORY_FILE = "memory.safetensors"
_KIND = "run"
_RUN_FILE, _SAMPLING_FILE = "run.json", "sampling.json"
_TEMPLATE_FILE = "template.json"
_TEMPLATE_KIND = "prompt template"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
SETTINGS_FILES = ("config.json", _RUN_FILE, _SAMPLING_FILE)
"""What a run's answers follow from, beside its weights and the models that it names."""
_LATER = {"BridgeSettings": {"dtype", "centred"}}
"""Fields that run.json did not have at first; their defaults are what it meant."""
_NEEDED = ("config.json", "model.safetensors", _RUN_FILE, _SAMPLING_FILE)


@dataclass(frozen=True, kw_only=True, slots=True)
class BridgeSettings:
    """How features of pictures cross to where the text features lie.

    Attributes:
        name: `none`, `memory`, `mean_shift`; or `centre`, for a model trained on centred features,
            which then centres stories as well.
        temperature: of a memory's softmax (published: 0.01).
        top_k: only the k nearest rows of a memory; None: all.
        dtype: what a memory is held and multiplied in.
        centred: cross over a memory about the means of both modalities; see `bridges.Memory`.
    """

    name: BridgeName = "none"
    temperature: float = 0.01
    top_k: int | None = None
    dtype: MemoryType = "float32"
    centred: bool = False

    def __post_init__(self) -> None:
        if self.name not in BRIDGES:
            raise RunError(f"unknown bridge {self.name!r}", hint=f"one of {', '.join(BRIDGES)}")
        if self.dtype not in get_args(MemoryType):
            raise RunError(f"unknown dtype {self.dtype!r} of a memory", hint="float32 or bfloat16")
        given = (self.temperature, self.top_k, self.dtype, self.centred)
        if self.name != "memory" and given != (0.01, None, "float32", False):
            raise RunError(
                f"temperature, top_k, dtype and centred have no effect on the bridge {self.name!r}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSettings:
    """What turns a trained model into one that answers about files.

    Attributes:
        encoder: where the encoder is: `embedded:` and a path below the package's assets, a folder
            (a relative one is looked for in the run's folder first), a Hugging Face id, or the name
            of a published encoder.
        weights: the files of a published encoder; relative ones as above.
        tokenizer: with which a published encoder reads texts; likewise, or a Hugging Face id.
        template: the words around video and question in training.
        sampling: which frames were looked at in evaluation.
        bridge: applied to frames of videos, never to stories.
        knows: all that the model has ever met, in words; said with every answer. Empty where no
            such limit is known.
    """

    encoder: str
    template: PromptTemplate
    sampling: SamplingSpec
    weights: tuple[str, ...] = ()
    tokenizer: str = ""
    bridge: BridgeSettings = BridgeSettings()
    knows: str = ""


def save_run(
    run: str | Path, model: TrackLM, settings: RunSettings, *, memory: Memory | None = None
) -> None:
    """Write everything that `load` needs into a run's folder; other files in it stay.

    Each file is written atomically, `run.json` last: before that the folder is no run.

    Args:
        run: the folder; made if needed.
        model: trained on features of `settings.encoder`; its config says which revision.
        settings: the rest.
        memory: of the bridge `memory`, and of no other.

    Raises:
        RunError: a memory that is missing, of no use, or of another encoder than the model's.
    """
    if (settings.bridge.name == "memory") != (memory is not None):
        has = "no memory" if memory is None else "a memory"
        raise RunError(f"{run}: {has} was given for the bridge {settings.bridge.name!r}")
    wanted = model.config.encoder_revision
    if memory is not None and memory.revision != wanted:
        raise RunError(
            f"{run}: the memory is of {memory.encoder} (revision {memory.revision}), but the "
            f"model was trained on features of revision {wanted}",
            hint="Build the memory with the model's own encoder.",
        )
    model.save_pretrained(run)
    if memory is not None and not _holds(Path(run) / MEMORY_FILE, memory):
        save_memory(
            Path(run) / MEMORY_FILE,
            memory.vectors,
            encoder=memory.encoder,
            revision=memory.revision,
            make_up=memory.make_up,
        )
    save_settings(run, settings)


def _holds(path: Path, memory: Memory) -> bool:
    """Return whether a file is this memory already; its bytes then stay as they are."""
    if not path.is_file():
        return False
    found = load_memory(path)
    said = (found.encoder, found.revision, found.make_up)
    return said == (memory.encoder, memory.revision, memory.make_up) and torch.equal(
        found.vectors, memory.vectors
    )


def save_settings(run: str | Path, settings: RunSettings) -> None:
    """Write `run.json` and `sampling.json` into a run's folder, each atomically.

    An encoder that is a folder or a file is written relative to the run's folder, so that both can
    move together.
    """
    folder = Path(run)
    values = {
        "encoder": _portable(settings.encoder, folder),
        "bridge": asdict(settings.bridge),
        "template": asdict(settings.template),
        "knows": settings.knows,
    }
    if settings.weights:
        values["weights"] = [_portable(file, folder) for file in settings.weights]
    if settings.tokenizer:
        values["tokenizer"] = _portable(settings.tokenizer, folder)
    text = json.dumps(make_header(_KIND, **values), indent=2, ensure_ascii=False)
    write_atomic(folder / _SAMPLING_FILE, settings.sampling.to_json() + "\n")
    write_atomic(folder / _RUN_FILE, text + "\n")


def load_settings(run: str | Path) -> RunSettings:
    """Read what `save_settings` wrote.

    Raises:
        RunError: a file or a field is missing or unknown.
        FormatError: not a run, or one written by a newer version.
        SamplingError: `sampling.json` holds no sampling rule.
    """
    folder = Path(run)
    path = folder / _RUN_FILE
    header = dict(check_header(_read_json(path), kind=_KIND, path=path))
    values = {k: v for k, v in header.items() if k not in ("format", "kind", "version")}
    wanted = {"encoder", "bridge", "template", "knows"}
    if odd := sorted((values.keys() ^ wanted) - {"weights", "tokenizer"}):
        raise RunError(f"{path}: missing or unknown fields: {', '.join(odd)}")
    return RunSettings(
        encoder=values["encoder"],
        weights=tuple(values.get("weights", ())),
        tokenizer=values.get("tokenizer", ""),
        template=PromptTemplate(**_known(values["template"], PromptTemplate, path)),
        bridge=BridgeSettings(**_known(values["bridge"], BridgeSettings, path)),
        sampling=SamplingSpec.from_json((folder / _SAMPLING_FILE).read_text(encoding="utf-8")),
        knows=values["knows"],
    )


ModelKind = Literal["run", "image-llm"]


def find_model(name: str | Path) -> tuple[Path, ModelKind]:
    """Say where a model is, and of which family.

    Args:
        name: as `find_run`, or the folder or Hugging Face id of an image-LLM.

    Returns:
        The folder (for an id that is no folder: the id), and the kind.

    Raises:
        RunError: as `find_run`.
    """
    text = str(name)
    if text == SHIPPED or text.startswith(EMBEDDED):
        return find_run(name), "run"
    folder = Path(text).expanduser()
    if not folder.is_dir() and _may_be_an_id(text):
        return Path(text), "image-llm"
    config = folder / "config.json"
    if not config.is_file() or (folder / _RUN_FILE).is_file():
        return find_run(name), "run"
    if model_kind(folder).startswith("textreel"):
        return find_run(name), "run"
    return folder, "image-llm"


def model_kind(folder: Path) -> str:
    """Return the `model_type` of a model's `config.json`; empty where it names none."""
    values = _read_json(folder / "config.json")
    kind = values.get("model_type") if isinstance(values, dict) else None
    return kind if isinstance(kind, str) else ""


def _may_be_an_id(name: str) -> bool:
    """Return whether a name is `owner/model` and not a path that leads into a folder here."""
    return bool(_HUB_ID.fullmatch(name)) and not Path(name.split("/")[0]).is_dir()


def read_sampling(folder: Path) -> SamplingSpec | None:
    """Return the sampling rule that lies beside a model, or None.

    Raises:
        SamplingError: `sampling.json` holds no sampling rule.
    """
    path = folder / _SAMPLING_FILE
    return SamplingSpec.from_json(path.read_text(encoding="utf-8")) if path.is_file() else None


def read_template(folder: Path) -> PromptTemplate | None:
    """Return the words that questions are written in beside an image-LLM, or None.

    Raises:
        RunError: a field is missing or unknown.
        FormatError: another kind of file, or one written by a newer version.
    """
    path = folder / _TEMPLATE_FILE
    if not path.is_file():
        return None
    header = check_header(_read_json(path), kind=_TEMPLATE_KIND, path=path)
    return PromptTemplate(**_known(header.get("template"), PromptTemplate, path))


def save_image_run(
    run: str | Path, *, sampling: SamplingSpec, template: PromptTemplate | None
) -> None:
    """Write beside an image-LLM how it is asked, each file atomically.

    Args:
        run: its folder.
        sampling: which frames of a video it is shown.
        template: the words of its questions; None: those of image-LLMs as they are.
    """
    folder = Path(run)
    write_atomic(folder / _SAMPLING_FILE, sampling.to_json() + "\n")
    if template is not None:
        values = make_header(_TEMPLATE_KIND, template=asdict(template))
        text = json.dumps(values, indent=2, ensure_ascii=False)
        write_atomic(folder / _TEMPLATE_FILE, text + "\n")


def find_run(run: str | Path) -> Path:
    """Return the folder of a run.

    Args:
        run: a folder; `tiny` for the run that comes with the package; or `embedded:` and a path
            below the package's assets.

    Raises:
        RunError: no such folder, or files of a run are missing in it.
    """
    name = f"{EMBEDDED}{SHIPPED}/run" if str(run) == SHIPPED else str(run)
    folder = Path(locate(name)).expanduser()
    way_out = (
        f"Give the folder that a training wrote, `{SHIPPED}` for the run that is shipped, or the "
        f"folder or id of an image-LLM."
    )
    if not folder.is_dir():
        raise RunError(f"there is no run {run}: no such folder ({folder})", hint=way_out)
    if missing := [file for file in _NEEDED if not (folder / file).is_file()]:
        raise RunError(
            f"{folder} is not a finished run: it lacks {', '.join(missing)}",
            hint=f"Finish its training with the command that began it. {way_out}",
        )
    return folder


def _portable(encoder: str, run: Path) -> str:
    if not Path(encoder).exists():
        return encoder
    return os.path.relpath(Path(encoder).resolve(), run.resolve()).replace(os.sep, "/")


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path} is not JSON: {error}") from error


def _known(values: object, kind: type[Any], path: Path) -> Mapping[str, Any]:
    names = {field.name for field in fields(kind)}
    later = _LATER.get(kind.__name__, set())
    given = values.keys() if isinstance(values, dict) else set()
    if not isinstance(values, dict) or (names ^ given) - (later - given):
        raise RunError(
            f"{path}: {kind.__name__} has missing or unknown fields: "
            f"{', '.join(sorted((names ^ given) - (later - given)))}"
        )
    return values
