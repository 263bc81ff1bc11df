"""`Published`: the faults of TOPA's released code that change numbers, as one record.

A checkpoint was trained with them, so a run that was converted from one repeats them; nothing else
ever does. Each is described in words where ours does it right.

Source of all of them: dhg-wei/TOPA@609c482, llama/model.py, engine.py, dataloader/.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from textreel.models.errors import BatchError, DecoderUnsupportedError, ModelConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """Which faults a converted run repeats.

    Attributes:
        padded_frames: a short video is filled up with zero vectors, which count as frames: they
            get temporal slots, are attended to, and pass through the bridge (a memory turns each
            into its mean).
        skipped_layers: layers before the adapter's first one are not run at all.
        capitalized: questions go through `str.capitalize`, which lowers all but the first letter,
            and end with a question mark.
        nonzero_mean: an option's score is the sum of its token losses over the count of those that
            are not zero.
        ignored_id: targets of this id are neither trained on nor scored; it is the id of padding
            there, and in Llama-3's vocabulary an exclamation mark.
        rope_theta: base of the rotary positions in place of the decoder's own; None: its own.
            The release's training script recomputes them with 10,000 for every decoder, Llama-3
            (500,000) included.
    """

    padded_frames: bool = True
    skipped_layers: bool = True
    capitalized: bool = True
    nonzero_mean: bool = True
    ignored_id: int | None = 0
    rope_theta: float | None = None

    def __post_init__(self) -> None:
        if self.rope_theta is not None and not self.rope_theta > 0:
            raise ModelConfigError(f"Published: rope_theta={self.rope_theta} must be above 0")


def alter_decoder(
    decoder: PreTrainedModel, published: Published, *, num_layers: int | None
) -> None:
    """Change a prepared decoder, in place, into the one that the published code runs.

    Doing it twice changes nothing more.

    Args:
        decoder: a Llama, as all published ones are.
        published: which faults.
        num_layers: layers of the adapter, counted from the last; None: all.

    Raises:
        DecoderUnsupportedError: not built as a Llama.
    """
    body = decoder.base_model
    if not isinstance(getattr(body, "layers", None), nn.ModuleList):
        raise DecoderUnsupportedError(
            f"{type(decoder).__name__} has no list of layers to repeat the published code with",
            hint="published checkpoints stand on Llama decoders",
        )
    if published.skipped_layers and num_layers is not None:
        _keep_last(body, num_layers)
    if published.rope_theta is not None:
        _turn_at(body, published.rope_theta)


def _keep_last(body: PreTrainedModel, count: int) -> None:
    layers = list(body.layers)[-count:]
    for index, layer in enumerate(layers):
        layer.self_attn.layer_idx = index
    body.layers = nn.ModuleList(layers)
    body.config.num_hidden_layers = len(layers)
    if getattr(body.config, "layer_types", None) is not None:
        body.config.layer_types = body.config.layer_types[-count:]


def _turn_at(body: PreTrainedModel, theta: float) -> None:
    """Give the rotary positions another base."""
    known = getattr(body.config, "rope_parameters", None)
    if not isinstance(known, dict) or "rope_theta" not in known:
        raise DecoderUnsupportedError(
            f"{type(body).__name__} has no rotary positions with one base to change",
            hint="leave rope_theta out",
        )
    if known["rope_theta"] != theta:
        body.config.rope_parameters = {**known, "rope_theta": theta}
        body.rotary_emb = type(body.rotary_emb)(config=body.config).to(body.device)


def pad_frames(values: Tensor, mask: Tensor, *, num_frames: int) -> tuple[Tensor, Tensor]:
    """Fill videos up with zero vectors that count as frames.

    Args:
        values: (B, T, P, F).
        mask: bool (B, T).
        num_frames: T' afterwards, at least T.

    Returns:
        Values (B, T', P, F), zero wherever `mask` is false, and a mask (B, T') of ones.

    Raises:
        BatchError: more frames than that.
    """
    if (surplus := values.shape[1] - num_frames) > 0:
        raise BatchError(
            f"{values.shape[1]} frames, {surplus} more than the published model's {num_frames}",
            hint=f"sample at most {num_frames} frames",
        )
    values = values * mask[:, :, None, None]
    fill = values.new_zeros(len(values), -surplus, *values.shape[2:])
    padded = torch.cat([values, fill], dim=1)
    return padded, torch.ones(padded.shape[:2], dtype=torch.bool, device=mask.device)


def published_question(text: str) -> str:
    """Return a question as the published loaders write it.

    Source: dataloader/textvid.py, nextqa.py, egoschema.py, star.py, `_get_text`.

    >>> published_question("what does John do ")
    'What does john do?'
    """
    text = text.capitalize().strip()
    return text if text.endswith("?") else text + "?"
