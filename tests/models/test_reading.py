import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from textreel.models.reading import ReadingDecoder, WeightedBatch


class Certain(nn.Module):
    """Says that the next token is the last one plus 1, with log-odds `sure` over the others."""

    def __init__(self, sure: float) -> None:
        super().__init__()
        self.sure = sure
        self.words = nn.Embedding.from_pretrained(torch.eye(5))
        self.read = torch.empty(0)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.words

    def forward(self, *, inputs_embeds: Tensor, use_cache: bool) -> SimpleNamespace:
        assert not use_cache
        self.read = inputs_embeds
        return SimpleNamespace(logits=self.sure * inputs_embeds.roll(1, dims=-1))


def batch(ids: list[list[int]], weights: list[list[float]]) -> WeightedBatch:
    return WeightedBatch(
        input_ids=torch.tensor(ids), weights=torch.tensor(weights), ids=("a", "b")[: len(ids)]
    )


def test_who_knows_nothing_pays_the_logarithm_of_the_vocabulary() -> None:
    loss = ReadingDecoder(Certain(0.0)).loss(batch([[1, 2, 3]], [[0.0, 1.0, 3.0]]))
    assert loss.item() == pytest.approx(math.log(5))


def test_each_token_counts_by_its_weight_and_is_predicted_from_the_one_before() -> None:
    right = math.log(1 + 4 * math.exp(-2))
    wrong = right + 2
    two = batch([[1, 2, 4], [3, 4, 0]], [[9.0, 1.0, 3.0], [0.0, 0.5, 0.0]])
    loss = ReadingDecoder(Certain(2.0)).loss(two)
    assert loss.item() == pytest.approx((1.0 * right + 3.0 * wrong + 0.5 * right) / 4.5)


def test_what_weighs_nothing_changes_nothing() -> None:
    decoder = ReadingDecoder(Certain(2.0))
    one, other = (decoder.loss(batch([[1, 2, last]], [[0.0, 1.0, 0.0]])).item() for last in (0, 4))
    assert one == other


def test_a_batch_counts_its_targets_and_moves() -> None:
    two = batch([[1, 2, 4], [3, 4, 0]], [[0.0, 1.0, 3.0], [0.0, 0.5, 0.0]])
    assert two.num_tokens == 3
    assert two.to("meta").weights.device.type == "meta"
    assert two.to("meta").ids == ("a", "b")


def test_a_packed_position_is_the_weighted_sum_of_its_words() -> None:
    decoder = Certain(1.0)
    two = WeightedBatch(
        input_ids=torch.tensor([[1, 0, 2, 3], [1, 4, 0, 3]]),
        weights=torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]]),
        ids=("a", "b"),
        packed=torch.tensor([[False, True, False, False], [False, False, True, False]]),
        packed_ids=torch.tensor([[2, 3, 0], [4, 0, 0]]),
        packed_weights=torch.tensor([[0.5, 1.0, 0.0], [0.25, 0.0, 0.0]]),
    )
    ReadingDecoder(decoder).loss(two)
    assert decoder.read.tolist() == [
        [[0, 1, 0, 0, 0], [0, 0, 0.5, 1, 0], [0, 0, 1, 0, 0]],
        [[0, 1, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0.25]],
    ]
    assert two.to("meta").packed_weights.device.type == "meta"  # type: ignore[union-attr]
