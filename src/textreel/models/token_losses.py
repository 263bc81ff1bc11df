"""The cross-entropy of every target, with logits in memory for a piece of the targets at a time.

Vocabularies are 32k to 256k wide: the logits of a large batch, and their gradient, would be the
largest thing in memory. Many targets go piece by piece, recomputed in the backward pass.

Shape letters as in `batch.py`; R targets in a batch.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad
from transformers import PreTrainedModel

from textreel.models import decoder as decoders
from textreel.models.scoring import CHUNK_LOGITS


def token_losses(
    hidden: Tensor,
    labels: Tensor,
    *,
    head: Callable[[Tensor], Tensor],
    vocabulary: int,
    multiple: int = 1,
) -> Tensor:
    """Return float32 (R,), the loss of every target in nats.

    Args:
        hidden: (R, D), what each target is predicted from.
        labels: int64 (R,), the targets.
        head: makes logits (N, V) of (N, D).
        vocabulary: V.
        multiple: rows of each piece are padded to a multiple of this.
    """

    def of_piece(hidden: Tensor, labels: Tensor) -> Tensor:
        surplus = -len(hidden) % multiple
        logits = head(pad(hidden, (0, 0, 0, surplus)) if surplus else hidden)
        return cross_entropy(logits[: len(labels)], labels, reduction="none")

    rows = max(1, CHUNK_LOGITS // vocabulary)
    if len(labels) <= rows:
        return of_piece(hidden, labels)
    pieces = [
        torch.utils.checkpoint.checkpoint(of_piece, h, y, use_reentrant=False)
        for h, y in zip(torch.split(hidden, rows), torch.split(labels, rows), strict=True)
    ]
    return torch.cat(pieces)


def decoder_losses(
    decoder: PreTrainedModel, hidden: Tensor, labels: Tensor, *, multiple: int = 1
) -> Tensor:
    """Return `token_losses` with the logits of a prepared decoder."""
    return token_losses(
        hidden,
        labels,
        head=partial(decoders.logits, decoder),
        vocabulary=decoder.config.get_text_config().vocab_size,
        multiple=multiple,
    )
