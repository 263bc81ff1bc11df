"""Loading an image-LLM from a Hugging Face folder or id: model, pixels, tokenizer, chat template.

Each part is loaded alone. The composite processors of several families cannot be built without
torchvision, and none is needed: see `pictures.py`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText

from textreel.models.encoder_files import find_in_hub
from textreel.models.errors import CheckpointError, NotAnImageLLMError
from textreel.models.image_mllm.families import FAMILIES, find_family
from textreel.models.image_mllm.frame_lm import FrameLM
from textreel.models.image_mllm.pictures import PictureReader, PictureSettings
from textreel.models.precision import stored_dtype
from textreel.models.tokenizer import load_tokenizer

_ALSO_WANTED = ("chat_template.jinja", "chat_template.json", "generation_config.json")
_PIXEL_FILES = ("preprocessor_config.json", "processor_config.json")
_WAY_OUT = (
    "give the folder or id of an image-LLM, such as HuggingFaceTB/SmolVLM-256M-Instruct, or the "
    "folder of a run"
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageLLM:
    """An image-LLM with everything that prepares its input.

    Attributes:
        model: the model.
        reader: makes pixels of pictures.
        tokenizer: fast, with a chat template.
        name: the folder's own name, or the Hugging Face id.
        path: the folder.
    """

    model: FrameLM
    reader: PictureReader
    tokenizer: Any
    name: str
    path: Path

    def save_pretrained(self, directory: str | Path) -> None:
        """Write everything that `load_image_llm` reads: an image-LLM like the one loaded.

        Each part is written by transformers, the weights last: before that the folder is no model.
        """
        self.tokenizer.save_pretrained(directory)
        self.reader.processor.save_pretrained(directory)
        self.model.save_pretrained(directory)


def load_image_llm(
    name_or_path: str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    settings: PictureSettings | None = None,
) -> ImageLLM:
    """Load an image-LLM.

    Args:
        name_or_path: a folder with `config.json`, weights, image processor and tokenizer, or a
            Hugging Face id; an id that is not cached is downloaded, after its name and size are
            logged, unless HF_HUB_OFFLINE is set.
        device: where it runs.
        dtype: of its weights; None: as stored, but float32 for float16 on a processor, which
            computes that slowly.
        settings: how much of a picture it sees; None: the defaults.

    Raises:
        NotAnImageLLMError: no model, or one without eyes.
        DecoderUnsupportedError: a family that is not known here.
        CheckpointError: weights are missing.
        DecoderNotFoundError: no fast tokenizer.
        ModelConfigError: no chat template, model and tokenizer do not fit, or a setting that has
            no effect.
        EncoderError, EncoderUnavailableError: an id that cannot be had.
    """
    folder = Path(name_or_path).expanduser()
    name = folder.resolve().name if folder.is_dir() else str(name_or_path)
    if not folder.is_dir():
        folder = find_in_hub(name, what="image-LLM", also=_ALSO_WANTED)
    check_image_llm(folder)
    config = AutoConfig.from_pretrained(folder)
    tokenizer = load_tokenizer(str(folder))
    tokenizer.chat_template = _chat_template(folder, tokenizer)
    family = find_family(config, tokenizer)
    reader = PictureReader(_pixel_maker(folder), family, settings or PictureSettings())
    model = _weights(folder, dtype=_dtype(config, dtype, torch.device(device)))
    return ImageLLM(
        model=FrameLM(model.to(device), family),
        reader=reader,
        tokenizer=tokenizer,
        name=name,
        path=folder,
    )


def check_image_llm(folder: Path) -> None:
    """Refuse a folder that holds no image-LLM; reads `config.json` only.

    Raises:
        NotAnImageLLMError: no model, or one without eyes.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise NotAnImageLLMError(f"{folder} is no model: it has no config.json", hint=_WAY_OUT)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NotAnImageLLMError(f"{path} is not JSON: {error}", hint=_WAY_OUT) from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind in FAMILIES or (isinstance(config, dict) and "vision_config" in config):
        return
    if kind is None:
        raise NotAnImageLLMError(
            f"{folder} is no model: its config.json names no model_type", hint=_WAY_OUT
        )
    raise NotAnImageLLMError(
        f"{folder} is a model of kind {kind!r}, which has no eyes: it cannot be asked about a "
        f"video as it is",
        hint=f"{_WAY_OUT}; or teach it: textreel train topa_modern --set decoder={folder}",
    )


def _chat_template(folder: Path, tokenizer: Any) -> str:  # noqa: ANN401
    """Return the template of the folder: the tokenizer's, or that of older composite processors."""
    found = getattr(tokenizer, "chat_template", None)
    older = folder / "chat_template.json"
    if not found and older.is_file():
        found = json.loads(older.read_text(encoding="utf-8")).get("chat_template")
    if isinstance(found, dict):
        found = found.get("default")
    if not isinstance(found, str):
        raise CheckpointError(
            f"{folder} has no chat template, so nobody knows how to ask this model",
            hint="put the family's chat_template.jinja into the folder",
        )
    return found


def _pixel_maker(folder: Path) -> Any:  # noqa: ANN401
    if not any((folder / name).is_file() for name in _PIXEL_FILES):
        raise CheckpointError(
            f"{folder} has no {_PIXEL_FILES[0]}, so nobody knows what its pixels should be",
            hint="get the whole folder again",
        )
    try:
        return AutoImageProcessor.from_pretrained(folder, backend="pil")
    except (ImportError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{folder}: its image processor cannot be made: {reason}",
            hint="get the whole folder again",
        ) from error


def _dtype(config: Any, wanted: torch.dtype | None, device: torch.device) -> torch.dtype:  # noqa: ANN401
    if wanted is not None:
        return wanted
    stored = stored_dtype(config)
    return torch.float32 if stored == torch.float16 and device.type == "cpu" else stored


def _weights(folder: Path, *, dtype: torch.dtype) -> Any:  # noqa: ANN401
    try:
        model, loaded = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype, output_loading_info=True
        )
    except (OSError, ValueError, SafetensorError) as error:  # the last: a file that is cut off
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{folder}: its weights cannot be loaded: {reason}", hint="get the whole folder again"
        ) from error
    except RuntimeError as error:  # transformers' word for tensors of another shape
        raise CheckpointError(
            f"{folder}: its weights do not fit its config.json (the log names them)",
            hint="get the whole folder again",
        ) from error
    if absent := sorted(loaded["missing_keys"]):
        raise CheckpointError(
            f"{folder}: the files lack {len(absent)} weights of a {type(model).__name__} (first: "
            f"{absent[0]}); random ones would take their place",
            hint="get the whole folder again",
        )
    return model
