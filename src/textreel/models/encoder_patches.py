"""Patch tokens of a picture tower: one vector for each square of a frame.

    CLIP, MetaCLIP 2   last hidden state without the class token, through the layer norm and the
                       projection that its pooled vector takes, to unit length: the shared space
    SigLIP             last hidden state, which its layer norm has been over; the tower's own space

CLIP's patches have unit length because they live where pooled vectors and captions do, and only
angles mean anything there. SigLIP's pooled vector is no projection of single patches but a learned
attention over all of them, so there is no shared space to put one into; its patches stay as the
layer norm leaves them, which is what its own pooling head sees. To compare directions, divide by
the length.

Only towers that are known are read: whether the norm is still to come and which tokens are no
squares is nothing that a model tells.
"""

from typing import Any

from torch import Tensor
from torch.nn.functional import normalize
from transformers import PreTrainedConfig, PreTrainedModel

from textreel.models.encoder_errors import EncoderError

_SHARED_SPACE = ("clip", "metaclip_2")
_OWN_SPACE = ("siglip",)


class PatchTower:
    """The picture tower of a dual encoder, asked for its patch tokens.

    Attributes:
        dim: width of a patch vector.
        num_patches: P, patch vectors of one frame.
    """

    def __init__(self, model: PreTrainedModel, *, name: str) -> None:
        config: PreTrainedConfig = model.config
        if config.model_type not in _SHARED_SPACE + _OWN_SPACE:
            raise EncoderError(
                f"{name} is a {type(model).__name__}, whose picture tower gives no patch tokens",
                hint="use a CLIP or SigLIP model, or pooled features (leave out --patches)",
            )
        self._model: Any = model
        self._shared = config.model_type in _SHARED_SPACE
        sizes = config.vision_config
        self.dim = int(config.projection_dim if self._shared else sizes.hidden_size)
        self.num_patches = (int(sizes.image_size) // int(sizes.patch_size)) ** 2

    def __call__(self, *, pixel_values: Tensor) -> Tensor:
        """Return float32 (N, P, F), row by row from the top left."""
        tower = self._model.vision_model
        tokens: Tensor = tower(pixel_values=pixel_values).last_hidden_state
        if not self._shared:
            return tokens.float()
        patches = self._model.visual_projection(tower.post_layernorm(tokens[:, 1:]))
        return normalize(patches.float(), dim=-1)
