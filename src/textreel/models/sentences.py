"""Any sentence encoder of Hugging Face, by name: texts to unit vectors.

The mean of the last hidden states over the real tokens, made length 1: the pooling of the
sentence-transformers models of the MPNet, MiniLM, E5 and BGE kinds (BGE's own takes the first
token; the mean is close, and figures that are compared must come from one way).
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from textreel.models.decoder import locate
from textreel.models.errors import DecoderNotFoundError
from textreel.models.missing import way_out, why_missing

BATCH_TEXTS = 64
MAX_TOKENS = 512


def load_sentence_encoder(
    name: str, *, device: str = "cpu"
) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """Return a function from N texts to vectors, float32 (N, D), each of length 1.

    Args:
        name: a Hugging Face directory or id.
        device: where it runs.

    Raises:
        DecoderNotFoundError: nothing of that name here, and it cannot be fetched.
    """
    where = locate(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(where)
        model = AutoModel.from_pretrained(where, dtype=torch.float32).to(device).eval()
    except (OSError, ValueError) as error:
        raise DecoderNotFoundError(
            f"no sentence encoder {name!r} ({why_missing(where, error)})",
            hint=way_out(
                where,
                otherwise="give a Hugging Face directory or id; without one, hashed n-grams are "
                "used",
            ),
        ) from error
    limit = min(MAX_TOKENS, getattr(model.config, "max_position_embeddings", MAX_TOKENS))

    @torch.inference_mode()
    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        rows = []
        for start in range(0, len(texts), BATCH_TEXTS):
            inputs = tokenizer(
                list(texts[start : start + BATCH_TEXTS]),
                padding=True,
                truncation=True,
                max_length=limit,
                return_tensors="pt",
            ).to(device)
            hidden = model(**inputs).last_hidden_state.float()
            mask = inputs["attention_mask"].unsqueeze(-1).float()
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            rows.append(torch.nn.functional.normalize(mean, dim=-1).cpu().numpy())
        return np.concatenate(rows)

    return embed
