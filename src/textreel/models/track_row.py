"""`TrackRow`: one prompt with soft tokens, read from any place on by a `Thread`.

The model is a `TrackLM` or a `VideoLlama`; what stands in the places of soft tokens, pictures or
sound, makes no difference here.
"""

from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from textreel.models import decoder as decoders
from textreel.models.attention import AttentionCall
from textreel.models.batch import Batch
from textreel.models.generate import Sampling, stop_ids_of
from textreel.models.senses_batch import SensesBatch
from textreel.models.track_lm import Prompted

_VIDEO = -1


class PromptedModel(Protocol):
    """A model that writes soft tokens into prompts.

    Attributes:
        decoder: the frozen decoder.
    """

    decoder: PreTrainedModel

    def prompted(self, batch: Any, *, bridged: bool) -> Prompted:  # noqa: ANN401 - its own batch
        """See `TrackLM.prompted`."""


class TrackRow:
    """A prompt with its video.

    Args:
        model: its bridges are applied.
        batch: one row without padding, on the model's device.

    Raises:
        BatchError: see `TrackLM.prompted`.
    """

    def __init__(self, model: PromptedModel, batch: Batch | SensesBatch) -> None:
        assert len(batch.ids) == 1
        assert batch.attention_mask is None or bool(batch.attention_mask.all())
        with torch.no_grad():
            prompted = model.prompted(batch, bridged=True)
        self._decoder = model.decoder
        self._embeddings, self._call = prompted.embeddings, prompted.call
        slots = batch.video_slots[0]
        self.key: list[int] = torch.where(slots, _VIDEO, batch.input_ids[0]).tolist()
        self.video_end = int(slots.nonzero()[-1]) + 1 if bool(slots.any()) else 0
        self.stop_ids = stop_ids_of(model.decoder, Sampling())

    def head(self, hidden: Tensor) -> Tensor:
        """See `behind.Head`."""
        return decoders.logits(self._decoder, hidden)

    def read(self, start: int, end: int, cache: DynamicCache) -> Tensor:
        """See `thread.Row`."""
        embeddings = self._embeddings[:, start:end]
        columns = torch.arange(start, end, device=embeddings.device)
        call, after = self._call, self._call.after_video
        if after is not None and call.video is not None:
            call = replace(call, video=call.video[:, :end], after_video=after[:, start:end])
        out = decoders.run_body(
            self._decoder,
            embeddings,
            position_ids=columns[None],
            past_key_values=cache,
            textreel=call,
            use_cache=True,
        )
        return out.last_hidden_state[:, -1]

    def more(
        self, tokens: Tensor, *, rows: Tensor, offset: int, cache: DynamicCache, mask: Tensor | None
    ) -> Tensor:
        """See `behind.More`."""
        start = len(self.key) + offset
        columns = torch.arange(start, start + tokens.shape[1], device=tokens.device)
        out = decoders.run_body(
            self._decoder,
            self._decoder.get_input_embeddings()(tokens),
            attention_mask=mask,
            position_ids=columns.expand_as(tokens),
            past_key_values=cache,
            textreel=self._behind(tokens, start + tokens.shape[1]),
            use_cache=True,
        )
        return out.last_hidden_state

    def _behind(self, tokens: Tensor, columns: int) -> AttentionCall:
        """Say to every layer that these tokens come after the video."""
        video = self._call.video
        if video is None:
            return self._call
        missing = columns - video.shape[1]
        wide = torch.cat([video, video.new_zeros(1, missing)], dim=1).expand(len(tokens), -1)
        after = torch.full_like(tokens, self.video_end > 0, dtype=torch.bool)
        return replace(self._call, video=wide, after_video=after)
