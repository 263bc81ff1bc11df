"""The vision half of a Hugging Face BLIP-2 model: its weights under our names.

Only the shards that hold the transformer, the norm or the Q-Former are read, and only those are
downloaded: a BLIP-2 model is mostly a language model that is not needed here. transformers calls
`ln_vision` the transformer's `post_layernorm`, and stores the biases of queries, keys (zero) and
values as one vector.
"""

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import Blip2Config

from textreel.models.encoder_errors import EncoderUnavailableError
from textreel.models.eva_vit import EvaConfig, round_to_half
from textreel.models.frame_qformer import FrameQFormer
from textreel.models.missing import HUB_ID, way_out
from textreel.models.published_files import PublishedFileError, fit
from textreel.models.qformer import QFormerShape

_log = logging.getLogger("textreel.models")
WHAT = "the vision half of BLIP-2"
_PARTS = ("vision_model.", "qformer.", "query_tokens")
_CONFIG, _ONE, _INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
_RENAMED = (
    (r"^qformer\.", "qformer.body."),
    (r"^query_tokens$", "qformer.queries"),
    (r"^vision_model\.post_layernorm\.", "ln_vision."),
    (r"^vision_model\.embeddings\.class_embedding$", "vit.cls_token"),
    (r"^vision_model\.embeddings\.position_embedding$", "vit.pos_embed"),
    (r"^vision_model\.embeddings\.patch_embedding\.", "vit.patch_embed.proj."),
    (r"^vision_model\.encoder\.layers\.", "vit.blocks."),
    (r"\.self_attn\.projection\.", ".attn.proj."),
    (r"\.self_attn\.", ".attn."),
    (r"\.layer_norm([12])\.", r".norm\1."),
)


def is_repository(name: str | Path) -> bool:
    """Return whether that is a folder, or looks like a Hugging Face id and is no file."""
    path = Path(name).expanduser()
    return path.is_dir() or (not path.exists() and path.suffix not in {".pth", ".safetensors"})


def find_repository(name: str | Path) -> Path:
    """Return the folder of a BLIP-2 model, fetching what is needed of a Hugging Face id.

    Args:
        name: folder or id.

    Raises:
        PublishedFileError: a folder without a model, or a name that no id has.
        EncoderUnavailableError: an id that is not cached and cannot be fetched.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if not HUB_ID.fullmatch(str(name)):
            raise PublishedFileError(
                f"no file or folder {name}, and it does not look like a Hugging Face id",
                hint="give an existing folder or an id such as Salesforce/blip2-flan-t5-xxl",
            )
        return _fetched(str(name))
    if not (folder / _CONFIG).is_file() or not any((folder / n).is_file() for n in (_ONE, _INDEX)):
        raise PublishedFileError(
            f"the folder {folder} holds no BLIP-2 model: {_CONFIG} and {_ONE} (or {_INDEX} and "
            f"its parts) are needed",
            hint="give the folder that `save_pretrained` wrote, or the two published files",
        )
    return folder


def repository_files(folder: Path) -> list[Path]:
    """Return the files that decide its features: the configuration, and the shards needed."""
    return [folder / _CONFIG, *(folder / name for name in _shards(folder))]


def load_repository(folder: Path, *, half_weights: bool = True) -> FrameQFormer:
    """Read the vision half of a BLIP-2 model; float32.

    The norms' eps are the published ones (1e-6 in the blocks, 1e-5 after them), whatever the
    configuration says.

    Args:
        folder: as `find_repository` returns it.
        half_weights: round the transformer's weights to float16, as published.

    Raises:
        PublishedFileError: not BLIP-2's weights, or keys with a bias.
    """
    try:
        config = Blip2Config.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise PublishedFileError(
            f"{folder / _CONFIG} is no BLIP-2 configuration: {error}"
        ) from error
    with torch.device("meta"):
        model = FrameQFormer(_eva_config(config), qformer=_qformer_shape(config))
    tensors = _split_biases(_read(folder), folder)
    weights = fit(tensors, model.state_dict(), rename=_our_name, path=folder, what=WHAT)
    model.load_state_dict(weights, assign=True)
    model.float()
    if half_weights:
        round_to_half(model.vit)
    return model.eval().requires_grad_(False)


def _eva_config(config: Blip2Config) -> EvaConfig:
    vision = config.vision_config
    return EvaConfig(
        image_px=vision.image_size,
        patch_px=vision.patch_size,
        width=vision.hidden_size,
        depth=vision.num_hidden_layers,
        heads=vision.num_attention_heads,
        mlp_hidden=vision.intermediate_size,
        qkv_bias=vision.qkv_bias,
    )


def _qformer_shape(config: Blip2Config) -> QFormerShape:
    own = config.qformer_config
    return QFormerShape(
        encoder_width=own.encoder_hidden_size,
        width=own.hidden_size,
        queries=config.num_query_tokens,
        layers=own.num_hidden_layers,
        heads=own.num_attention_heads,
        mlp_hidden=own.intermediate_size,
        cross_every=own.cross_attention_frequency,
    )


def _fetched(name: str) -> Path:
    try:
        config = Path(hf_hub_download(name, _CONFIG))
        try:
            hf_hub_download(name, _INDEX, revision=config.parent.name)
        except EntryNotFoundError:
            hf_hub_download(name, _ONE, revision=config.parent.name)
        for shard in _shards(config.parent):
            _log.info("%s: fetching %s into %s", name, shard, constants.HF_HUB_CACHE)
            hf_hub_download(name, shard, revision=config.parent.name)
        return config.parent
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise EncoderUnavailableError(
            f"there is no folder {name}, the BLIP-2 model {name} is not in the cache "
            f"{constants.HF_HUB_CACHE} either, and it could not be fetched: "
            f"{str(error).splitlines()[0]}",
            hint=way_out(
                name,
                otherwise="unset HF_HUB_OFFLINE or check the network, or give the two published "
                "files",
            ),
        ) from error


def _shards(folder: Path) -> list[str]:
    """Return the names of the weight files that hold something of the vision half."""
    index = folder / _INDEX
    if not index.is_file():
        return [_ONE]
    placed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    return sorted({file for name, file in placed.items() if name.startswith(_PARTS)})


def _read(folder: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for shard in _shards(folder):
        path = folder / shard
        try:
            with safe_open(path, framework="pt") as file:
                names = [name for name in file.keys() if name.startswith(_PARTS)]
                tensors |= {name: file.get_tensor(name) for name in names}
        except (OSError, SafetensorError) as error:
            raise PublishedFileError(
                f"{path} cannot be read as {WHAT}: {error}", hint="fetch it again"
            ) from error
    return tensors


def _split_biases(tensors: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    split: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if not name.endswith(".self_attn.qkv.bias"):
            split[name] = value
            continue
        query, key, rest = value.chunk(3)
        if key.any():
            raise PublishedFileError(
                f"{folder}: {name} has a bias for keys, which this transformer does not have",
                hint="this is another model than BLIP-2 with EVA ViT-g",
            )
        stem = name.removesuffix("qkv.bias")
        split |= {f"{stem}q_bias": query, f"{stem}v_bias": rest}
    return split


def _our_name(published: str) -> str:
    for theirs, ours in _RENAMED:
        published = re.sub(theirs, ours, published)
    return published
