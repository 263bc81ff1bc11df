"""Reading `imagebind_huge.pth`: the published names, and which of them are needed.

Towers that were not asked for, and the three senses that are not built, are passed over; a name
that is none of the file's known ones is an error.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import torch

from textreel.models.imagebind import SENSES, ImageBind, ImageBindConfig, Sense
from textreel.models.published_files import fit, read_weights

_OURS: dict[str, Sense] = {"vision": "image", "audio": "sound", "text": "text"}
_NOT_BUILT = ("depth", "thermal", "imu")
_NAME = re.compile(
    r"modality_(preprocessors|trunks|heads|postprocessors)"
    rf"\.({'|'.join([*_OURS, *_NOT_BUILT])})\.(.+)"
)
_RENAMED = (
    ("preprocessors", r"rgbt_stem\.proj\.(?:1\.)?", "stem."),
    ("preprocessors", r"rgbt_stem\.norm_layer\.", "stem_norm."),
    ("preprocessors", r"(?:pos_embedding_helper\.)?pos_embed$", "positions"),
    ("preprocessors", r"token_embedding\.", "tokens."),
    ("trunks", r"pre_transformer_layer\.0\.", "pre_norm."),
    ("heads", r"(?:proj\.)?0\.", "norm."),
    ("heads", r"(?:proj\.1|2)\.", "project."),
    ("postprocessors", r"1\.log_logit_scale$", "log_scale"),
)
"""Group of the published name, how its rest begins, what that becomes."""


def our_name(published: str, *, senses: Sequence[Sense] = SENSES) -> str | None:
    """Return our name of a published weight; None where it is not needed.

    >>> our_name("modality_heads.audio.2.weight")
    'sound.project.weight'
    """
    found = _NAME.fullmatch(published)
    if found is None:
        return published  # unknown: left over
    group, modality, rest = found.groups()
    if modality in _NOT_BUILT or _OURS[modality] not in senses or rest == "mask":
        return None
    for where, begins, ours in _RENAMED:
        if where == group and re.match(begins, rest):
            return f"{_OURS[modality]}.{re.sub('^' + begins, ours, rest)}"
    return f"{_OURS[modality]}.{rest}"


def load_imagebind(
    path: str | Path,
    *,
    config: ImageBindConfig | None = None,
    senses: Sequence[Sense] = SENSES,
    dtype: torch.dtype = torch.float32,
) -> ImageBind:
    """Read the published weights.

    Args:
        path: `imagebind_huge.pth`.
        config: shapes, `imagebind_huge` where None.
        senses: which towers to build and read.
        dtype: of the weights.

    Raises:
        PublishedFileError: no such file, or not ImageBind's of this size.
    """
    what = "ImageBind (imagebind_huge.pth)"
    tensors = read_weights(path, what=what)
    with torch.device("meta"):
        model = ImageBind(config or ImageBindConfig(), senses=senses)
    weights = fit(
        tensors,
        model.state_dict(),
        rename=lambda name: our_name(name, senses=senses),
        path=path,
        what=what,
    )
    model.load_state_dict(weights, assign=True)
    return model.to(dtype).eval().requires_grad_(False)
