"""`FrameRow`: one prompt of a `FrameLM`, read from any place behind its pictures by a `Thread`."""

from torch import Tensor
from transformers import DynamicCache

from textreel.models.generate import Sampling, stop_ids_of
from textreel.models.image_mllm.batch import FrameBatch
from textreel.models.image_mllm.frame_lm import Continuation, FrameLM


class FrameRow:
    """A prompt with its pictures.

    Args:
        model: the model.
        batch: one row without padding, on the model's device.
    """

    def __init__(self, model: FrameLM, batch: FrameBatch) -> None:
        assert len(batch.ids) == 1 and bool(batch.attention_mask.all())
        self._model, self._batch = model, batch
        self._positions = model.positions(batch.input_ids, batch.pixels)
        pictures = (batch.input_ids[0] == model.family.image_token_id).nonzero()
        self.key: list[int] = batch.input_ids[0].tolist()
        self.video_end = int(pictures[-1]) + 1 if len(pictures) else 0
        self.more = Continuation(model, self._positions[..., -1] + 1)
        self.head = model.head
        self.stop_ids = stop_ids_of(model.model, Sampling())

    def read(self, start: int, end: int, cache: DynamicCache) -> Tensor:
        """See `thread.Row`."""
        hidden = self._model.read(
            self._batch.input_ids[:, start:end],
            pixels={} if start else self._batch.pixels,
            positions=self._positions[..., start:end],
            cache=cache,
        )
        return hidden[:, -1]
