"""Checkpoints of Video-LLaMA's released code: what a branch's tensors are called, and their shapes.

    video_frame_position_embedding.weight (T, F)   positions.weight
    video_query_tokens (1, Q, width)               qformer.queries
    video_Qformer.bert.*                           qformer.body.*
    llama_proj.{weight,bias} (D, width)            project.*

and the same with `audio_` for the sound branch. A released file holds what was trained in its stage
and every buffer of the whole model; a file of the picture branch holds one branch, a file of the
sound branch the other. Buffers are passed over by name; everything else must fit.

The number of attention heads stands in no tensor: 12 in every released file.

Source: Video-LLaMA@64888c0, video_llama/runners/runner_base.py `_save_checkpoint`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from textreel.models.published_files import PublishedFileError, fit, read_weights
from textreel.models.qformer import our_name
from textreel.models.qformer_connector import QFormerConnector, QFormerConnectorConfig

Branch = Literal["image", "sound"]
_PREFIX: dict[Branch, str] = {"image": "video", "sound": "audio"}
_TABLE: dict[Branch, str] = {
    "image": "video_frame_position_embedding.weight",
    "sound": "audio_position_embedding.weight",
}
_PROJECT: dict[Branch, str] = {"image": "llama_proj.", "sound": "audio_llama_proj."}
_BUFFERS = (
    r".*\.position_ids",
    r"llama_model\..*\.inv_freq",
    r"audio_encoder\.modality_preprocessors\.text\.mask",
    r"audio_encoder\.modality_postprocessors\.\w+\.1\.log_logit_scale",
)
HEADS = 12


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BranchWeights:
    """One branch of a released checkpoint.

    Attributes:
        config: the connector's shape.
        model_dim: D, width of the decoder it was trained on.
        tensors: our names to float32 tensors.
    """

    config: QFormerConnectorConfig
    model_dim: int
    tensors: Mapping[str, Tensor]


def read_branch(
    path: str | Path, *, branch: Branch, vectors_per_step: int, heads: int = HEADS
) -> BranchWeights:
    """Read one branch of a released checkpoint.

    Args:
        path: such as `VL_LLaMA_2_7B_Finetuned.pth` or `AL_LLaMA_2_7B_Finetuned.pth`.
        branch: which one the file holds.
        vectors_per_step: of the features it reads: 32 of a frame, 1 of a clip of sound.
        heads: attention heads of its Q-Former.

    Raises:
        PublishedFileError: no such file, the other branch's file, or tensors that do not fit.
    """
    what = f"the {branch} branch of Video-LLaMA"
    tensors = read_weights(path, what=what)
    config, model_dim = _shape(tensors, branch, path, vectors_per_step, heads)
    wanted = QFormerConnector(config, model_dim=model_dim, generator=None).state_dict()
    weights = fit(tensors, wanted, rename=lambda name: _rename(name, branch), path=path, what=what)
    floats = {name: tensor.float() for name, tensor in weights.items()}
    return BranchWeights(config=config, model_dim=model_dim, tensors=floats)


def _rename(published: str, branch: Branch) -> str | None:
    if any(re.fullmatch(buffer, published) for buffer in _BUFFERS):
        return None
    prefix = _PREFIX[branch]
    if published == _TABLE[branch]:
        return "positions.weight"
    if published == f"{prefix}_query_tokens":
        return "qformer.queries"
    if published.startswith(_PROJECT[branch]):
        return published.replace(_PROJECT[branch], "project.")
    if published.startswith(f"{prefix}_Qformer."):
        ours = our_name(published.removeprefix(f"{prefix}_Qformer."))
        return None if ours is None else f"qformer.body.{ours}"
    return published


def _shape(
    tensors: Mapping[str, Tensor],
    branch: Branch,
    path: str | Path,
    vectors_per_step: int,
    heads: int,
) -> tuple[QFormerConnectorConfig, int]:
    """Return a branch's shape and the decoder's width, from its tensors."""
    prefix = _PREFIX[branch]
    layer = f"{prefix}_Qformer.bert.encoder.layer."
    names = (
        f"{prefix}_query_tokens",
        _TABLE[branch],
        f"{_PROJECT[branch]}weight",
        f"{layer}0.intermediate_query.dense.weight",
    )
    if missing := [name for name in names if name not in tensors]:
        other = next(b for b in _PREFIX if b != branch)
        swapped = f"{_PREFIX[other]}_query_tokens" in tensors
        raise PublishedFileError(
            f"{path} does not hold the {branch} branch of Video-LLaMA: {missing[0]} is not in it"
            + (f", but the {other} branch is" if swapped else ""),
            hint="the picture branch is in the VL file, the sound branch in the AL file",
        )
    for name, dims in zip(names, (3, 2, 2, 2), strict=True):
        if tensors[name].dim() != dims:
            raise PublishedFileError(
                f"{path}: {name} has shape {tuple(tensors[name].shape)}, not {dims} dimensions; it "
                f"is no {branch} branch of Video-LLaMA",
                hint="give a released file",
            )
    queries, table, project, hidden = (tensors[name] for name in names)
    if queries.shape[2] % heads:
        raise PublishedFileError(
            f"{path} holds a Q-Former of width {queries.shape[2]}, which does not split into "
            f"{heads} heads; the {branch} branch of Video-LLaMA is 768 wide",
            hint="give a released file",
        )
    depth = {name[len(layer) :].split(".")[0] for name in tensors if name.startswith(layer)}
    config = QFormerConnectorConfig(
        feature_dim=table.shape[1],
        vectors_per_step=vectors_per_step,
        queries=queries.shape[1],
        width=queries.shape[2],
        layers=len(depth),
        heads=heads,
        mlp_hidden=hidden.shape[0],
        max_steps=table.shape[0],
    )
    return config, int(project.shape[0])
