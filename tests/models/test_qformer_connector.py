"""Q-Former connectors; what published code computes: tests/parity/test_videollama_model.py."""

from dataclasses import replace

import pytest
import torch

from tests.models.published_fakes import BRANCHES, fill
from textreel.models.errors import BatchError, ModelConfigError
from textreel.models.qformer_connector import (
    PUBLISHED_SOUND,
    QFormerConnector,
    QFormerConnectorConfig,
)

SHAPE = BRANCHES["image"]


def fresh(config: QFormerConnectorConfig = SHAPE, *, seed: int = 0) -> QFormerConnector:
    generator = torch.Generator().manual_seed(seed)
    return QFormerConnector(config, model_dim=5, generator=generator).eval()


def connector(config: QFormerConnectorConfig = SHAPE) -> QFormerConnector:
    """One whose attention is not as even as it is at the start."""
    model = fresh(config)
    fill(model.qformer, seed=0)
    return model


def features(steps: int, batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, steps, 3, 12, generator=generator)


@pytest.mark.parametrize(
    ("config", "width", "wanted"),
    [
        (QFormerConnectorConfig(), 4096, 22_104_064),
        (QFormerConnectorConfig(), 5120, 22_891_520),
        (PUBLISHED_SOUND, 4096, 22_855_680),
        (PUBLISHED_SOUND, 5120, 23_643_136),
    ],
)
def test_the_published_branches_have_their_published_sizes(config, width, wanted) -> None:
    model = QFormerConnector(config, model_dim=width, generator=None)
    assert sum(parameter.numel() for parameter in model.parameters()) == wanted


def test_any_number_of_steps_becomes_the_same_number_of_tokens() -> None:
    model = connector()
    for steps in (1, 2, 4):
        assert model(features(steps)).shape == (1, 2, 5)
        assert model.num_soft_tokens(steps) == 2


def test_start_values_come_from_the_generator_alone() -> None:
    torch.manual_seed(1)
    first = fresh()
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    again, other = fresh(), fresh(seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)
    same = [torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)]
    assert all(same)
    assert not torch.equal(first.project.weight, other.project.weight)
    assert 0.7 < first.positions.weight.detach().std() < 1.3
    assert first.qformer.queries.detach().std() < 0.04
    assert (first.qformer.body.layernorm.weight == 1).all()
    assert (first.qformer.body.layernorm.bias == 0).all()


@torch.no_grad()
def test_time_is_heard_and_padding_is_not() -> None:
    model, track = connector(), features(3)
    assert not torch.allclose(model(track), model(track.flip(1)), atol=1e-3)
    padded = torch.cat([track, 9 * torch.ones(1, 1, 3, 12)], dim=1)
    mask = torch.tensor([[True, True, True, False]])
    torch.testing.assert_close(model(padded, mask=mask), model(track))
    short = torch.cat([track, track])
    rows = torch.tensor([[True, True, True], [True, True, False]])
    both = model(short, mask=rows)
    torch.testing.assert_close(both[1:], model(track[:, :2]))


@torch.no_grad()
def test_sound_beside_the_frames_is_read_too_and_its_padding_is_not() -> None:
    model, track = connector(), features(4)
    heard = torch.randn(1, 4, 12, generator=torch.Generator().manual_seed(2))
    mask = torch.tensor([[True, True, False, False]])
    cut = model(track[:, :2], heard=heard[:, :2])
    torch.testing.assert_close(model(track, heard=heard, mask=mask), cut)
    assert not torch.allclose(cut, model(track[:, :2]), atol=1e-3)


def test_more_steps_than_positions_are_an_error_with_both_ways_out() -> None:
    with pytest.raises(BatchError, match="33 steps of time, but this connector has 32") as told:
        QFormerConnectorConfig().num_soft_tokens(33)
    assert "at most 32 frames" in told.value.hint and "'interpolated' or 'time'" in told.value.hint
    with pytest.raises(BatchError, match="9 steps of time, but this connector has 8 positions"):
        PUBLISHED_SOUND.num_soft_tokens(9)
    with pytest.raises(BatchError, match="5 steps of time"):
        connector()(features(5))
    with pytest.raises(BatchError, match="a track without a single step"):
        SHAPE.num_soft_tokens(0)


@torch.no_grad()
def test_a_stretched_table_keeps_short_tracks_and_its_ends() -> None:
    plain, stretched = connector(), connector(replace(SHAPE, positions="interpolated"))
    torch.testing.assert_close(stretched(features(4)), plain(features(4)))
    table = stretched.positions.weight
    where = stretched.place(features(7), mask=None, times_s=None)
    assert torch.equal(where[0, 0], table[0]) and torch.equal(where[0, 6], table[3])
    torch.testing.assert_close(where[0, 2], table[1])
    torch.testing.assert_close(where[0, 1], (table[0] + table[1]) / 2)
    mask = torch.tensor([[True] * 7, [True] * 3 + [False] * 4])
    rows = stretched.place(features(7, batch=2), mask=mask, times_s=None)
    torch.testing.assert_close(rows[0], where[0])
    torch.testing.assert_close(rows[1, :3], table[:3])  # three steps fit the table as they are
    assert stretched(features(7, batch=2), mask=mask).isfinite().all()


@torch.no_grad()
def test_positions_from_seconds_follow_the_clock_not_the_index() -> None:
    model = connector(replace(SHAPE, positions="time"))
    track, times_s = features(3), torch.tensor([[0.0, 1.0, 2.0]])
    assert model(features(100), times_s=torch.arange(100.0)[None]).shape == (1, 2, 5)
    later = model(track, times_s=times_s + 7)
    assert not torch.allclose(model(track, times_s=times_s), later, atol=1e-4)
    order = torch.tensor([2, 0, 1])
    shuffled = model(track[:, order], times_s=times_s[:, order])
    torch.testing.assert_close(shuffled, model(track, times_s=times_s))
    with pytest.raises(BatchError, match="places steps by their seconds; none were given"):
        model(track)


def test_features_and_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BatchError, match="3 vectors of width 11 per step, this Q-Former reads 3"):
        connector()(torch.zeros(1, 2, 3, 11))
    with pytest.raises(ModelConfigError, match="positions='rotary' is none of table"):
        replace(SHAPE, positions="rotary")
    with pytest.raises(ModelConfigError, match="width=16 does not split into heads=3 equal heads"):
        replace(SHAPE, heads=3)


@torch.no_grad()
def test_a_step_may_have_fewer_vectors_where_it_is_allowed() -> None:
    model = connector(replace(SHAPE, fewer=True))
    track = features(2)
    track[:, :, 1:] = 0.0
    torch.testing.assert_close(model(track), model(track[:, :, :1]), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(connector()(track), model(track), atol=1e-3)
    padded = torch.cat([track, features(1)], dim=1)
    mask = torch.tensor([[True, True, False]])
    torch.testing.assert_close(model(padded, mask=mask), model(track), atol=1e-5, rtol=1e-5)
    with pytest.raises(BatchError, match="features have 4 vectors of width 12 per step"):
        model(torch.zeros(1, 2, 4, 12))
