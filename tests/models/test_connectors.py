"""Connectors: numbers by hand, counts known before running, and what does not fit."""

import math

import pytest
import torch

from textreel.models.connectors import (
    LONGEST_PERIOD_S,
    NUM_WAVES,
    SHORTEST_PERIOD_S,
    ConnectorConfig,
    LinearConnector,
    waves,
)
from textreel.models.errors import BatchError, ModelConfigError


def make(model_dim: int = 2, *, embedding_rms: float = 1.0, **fields) -> LinearConnector:
    return LinearConnector(
        ConnectorConfig(**{"feature_dim": 2, **fields}),
        model_dim=model_dim,
        generator=torch.Generator().manual_seed(0),
        embedding_rms=embedding_rms,
    )


def test_one_token_per_frame_plus_its_slot() -> None:
    connector = make()
    with torch.no_grad():
        connector.project.weight.copy_(torch.tensor([[1.0, 2.0], [0.0, -1.0]]))
        connector.slots.weight[:2] = torch.tensor([[10.0, 20.0], [30.0, 40.0]])
    out = connector(torch.tensor([[[[1.0, 1.0]], [[2.0, 0.0]]]]))
    assert out.tolist() == [[[13.0, 19.0], [32.0, 40.0]]]


def test_order_is_time_then_vector_then_token() -> None:
    connector = make(temporal="none", vectors_per_frame=2, tokens_per_vector=2)
    with torch.no_grad():  # token 0 copies the vector, token 1 negates it
        connector.project.weight.copy_(torch.cat([torch.eye(2), -torch.eye(2)]))
    features = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]])
    out = connector(features)
    assert connector.num_soft_tokens(2) == out.shape[1] == 8
    assert out[0, :, 0].tolist() == [1, -1, 3, -3, 5, -5, 7, -7]


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_a_norm_gives_tokens_the_size_of_embeddings(norm) -> None:
    connector = make(64, norm=norm, embedding_rms=0.05)
    out = connector(torch.randn(3, 4, 1, 2, generator=torch.Generator().manual_seed(1)))
    sizes = out.square().mean(-1).sqrt()
    torch.testing.assert_close(sizes, torch.full((3, 4), 0.05), atol=1e-3, rtol=0)


def test_the_published_start() -> None:
    connector = make(256, feature_dim=768)
    assert connector.project.bias is None
    assert connector.project.weight.std().item() == pytest.approx(0.0208, abs=2e-4)
    assert connector.slots.weight.shape == (10, 256)
    assert connector.slots.weight.std().item() == pytest.approx(1.0, abs=0.05)


def test_waves_of_seconds() -> None:
    got = waves(torch.tensor([0.0, 0.125]))
    assert got.shape == (2, 2 * NUM_WAVES)
    assert got[0].tolist() == [0.0] * NUM_WAVES + [1.0] * NUM_WAVES
    assert got[1, 0].item() == pytest.approx(math.sin(2 * math.pi * 0.125 / SHORTEST_PERIOD_S))
    slowest = math.cos(2 * math.pi * 0.125 / LONGEST_PERIOD_S)
    assert got[1, -1].item() == pytest.approx(slowest)


def test_positions_from_seconds_depend_on_seconds_only() -> None:
    connector = make(4, temporal="time")
    features = torch.ones(1, 30, 1, 2)  # more than any table holds
    times_s = torch.arange(30.0)[None]
    out = connector(features, times_s=times_s)
    torch.testing.assert_close(connector(features[:, 7:8], times_s=times_s[:, 7:8]), out[:, 7:8])
    assert (out[0, 0] - out[0, 1]).abs().max() > 1e-3
    spread = make(512, temporal="time").from_seconds(waves(torch.arange(50.0)))
    assert spread.std().item() == pytest.approx(1.0, abs=0.15)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ModelConfigError, match="must be at least 1, got"):
        ConnectorConfig(feature_dim=0)
    with pytest.raises(BatchError, match="11 frames, but this connector has 10 temporal slots"):
        make()(torch.zeros(1, 11, 1, 2))
    with pytest.raises(BatchError, match="features have 2 vectors of width 3 per frame, the conn"):
        make()(torch.zeros(1, 1, 2, 3))
    with pytest.raises(BatchError, match="places frames by their seconds; none were given"):
        make(temporal="time")(torch.zeros(1, 1, 1, 2))
