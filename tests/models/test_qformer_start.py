"""Open eyes: every query looks at its own step, sees what is there, and says what is wanted."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from textreel.models.errors import ModelConfigError
from textreel.models.qformer_connector import QFormerConnector, QFormerConnectorConfig
from textreel.models.qformer_start import _signs, fit_last_map, open_eyes
from textreel.models.senses_batch import Track

STEPS, COLUMNS, RANK = 3, 2, 6
SHAPE = QFormerConnectorConfig(
    feature_dim=16,
    vectors_per_step=1,
    queries=STEPS * COLUMNS,
    width=32,
    heads=4,
    mlp_hidden=64,
    max_steps=STEPS,
    dropout=0.0,
)
TIMES_S = torch.tensor([0.5, 1.5, 2.5])


def tracks(count: int = 200) -> Tensor:
    """Features (N, T, 1, F) that fill `RANK` of 16 directions, around a mean."""
    generator = torch.Generator().manual_seed(1)
    axes = torch.linalg.qr(torch.randn(16, 16, generator=generator))[0][:RANK]
    return 0.1 * torch.randn(count, STEPS, 1, RANK, generator=generator) @ axes + axes[0]


def opened(
    config: QFormerConnectorConfig = SHAPE, *, times_s: Tensor = TIMES_S
) -> QFormerConnector:
    generator = torch.Generator().manual_seed(0)
    model = QFormerConnector(config, model_dim=5, generator=generator).eval()
    vectors = tracks().flatten(0, 1)
    open_eyes(model, vectors, times_s=times_s, noise=0.0, generator=generator)
    return model


@torch.no_grad()
@pytest.mark.parametrize("positions", ["table", "interpolated", "time"])
def test_every_query_sees_its_own_step_and_no_other(positions) -> None:
    model = opened(replace(SHAPE, positions=positions))
    shown, other = tracks().split(100)
    times_s = TIMES_S.expand(100, -1)
    before = model.hidden(shown, times_s=times_s)
    for step in range(STEPS):
        changed = shown.clone()
        changed[:, step] = other[:, step]
        moved = (model.hidden(changed, times_s=times_s) - before).norm(dim=-1).mean(0)
        own = torch.arange(STEPS * COLUMNS) // COLUMNS == step
        assert moved[own].min() > 20 * moved[~own].max()


@torch.no_grad()
def test_where_a_step_has_a_vector_for_each_column_a_query_sees_its_own() -> None:
    shape = replace(SHAPE, vectors_per_step=COLUMNS)
    generator = torch.Generator().manual_seed(3)
    marks = torch.randn(COLUMNS, 16, generator=generator)
    shown = tracks() + marks
    model = QFormerConnector(shape, model_dim=5, generator=generator).eval()
    open_eyes(model, shown.flatten(0, 1), times_s=TIMES_S, noise=0.0, generator=generator)
    changed = shown.clone()
    changed[:, 1, 1] = tracks()[:, 0, 0] + marks[1]
    moved = (model.hidden(changed) - model.hidden(shown)).norm(dim=-1).mean(0)
    own = 1 * COLUMNS + 1
    assert moved[own] > 20 * max(m for i, m in enumerate(moved) if i != own)


@torch.no_grad()
def test_without_positions_all_steps_are_one_to_it() -> None:
    model, shown = opened(replace(SHAPE, positions="none")), tracks()
    torch.testing.assert_close(model(shown), model(shown.flip(1)), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(model(shown[:1]), model(shown[1:2]), atol=1e-2)


@torch.no_grad()
def test_between_two_steps_a_position_is_between_them() -> None:
    longer = opened(replace(SHAPE, positions="interpolated"))
    place = longer.place(torch.zeros(1, 5, 1, 16), mask=None, times_s=None)[0]
    torch.testing.assert_close(place[1], (place[0] + place[2]) / 2)
    timed = opened(replace(SHAPE, positions="time"))
    seconds = torch.tensor([[0.5, 1.0, 1.5]])
    first, between, second = timed.place(torch.zeros(1, 3, 1, 16), mask=None, times_s=seconds)[0]
    torch.testing.assert_close(between, (first + second) / 2, atol=0.05, rtol=0)
    assert abs(first @ second) < 0.05 and first.norm() == pytest.approx(1.0, abs=0.05)


@torch.no_grad()
def test_the_last_map_is_fitted_to_what_is_wanted() -> None:
    model, shown = opened(), tracks()
    generator = torch.Generator().manual_seed(2)
    words = (shown @ torch.randn(16, 5, generator=generator)).repeat_interleave(COLUMNS, dim=1)
    words = words.reshape(len(shown), STEPS * COLUMNS, 5)
    track = Track(features=shown)
    rest = (model(shown) - words).var() / words.var()
    fit_last_map(model, track, words, ridge=0.01)
    assert (model(shown) - words).var() / words.var() < 0.2 < rest
    model.train()
    fit_last_map(model, track, words)
    assert model.training, "as it was"


def test_more_steps_than_a_head_is_wide_have_signs_too() -> None:
    signs = _signs(2, 3, 5, torch.Generator().manual_seed(0))
    assert signs.shape == (2, 3, 5)
    assert signs.square().sum(1).mean() == pytest.approx(1.0)


def test_shapes_without_room_are_refused() -> None:
    with pytest.raises(ModelConfigError, match="6 queries cannot look at 4 steps, as many at each"):
        opened(times_s=torch.arange(4.0))
    for positions in ("table", "interpolated"):
        short = replace(SHAPE, positions=positions, max_steps=2)
        with pytest.raises(ModelConfigError, match="3 steps to look at, but positions for 2"):
            opened(short)
    with pytest.raises(ModelConfigError, match="has no room for 3 steps and 2 columns"):
        opened(replace(SHAPE, width=8))
