"""The head start of a connector: exact solutions, ridge by hand, what cannot have one."""

import pytest
import torch

from textreel.models.connectors import ConnectorConfig, LinearConnector
from textreel.models.errors import ModelConfigError
from textreel.models.word_fit import fit_to_words


def make(**fields) -> LinearConnector:
    return LinearConnector(
        ConnectorConfig(
            **{"feature_dim": 2, "tokens_per_vector": 2, "temporal_std": 0.0, **fields}
        ),
        model_dim=3,
        generator=torch.Generator().manual_seed(0),
    )


def test_words_that_are_linear_in_the_features_are_met_exactly() -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(20, 2, generator=generator)
    words = (features @ torch.randn(2, 6, generator=generator)).view(20, 2, 3)
    connector = make()
    assert fit_to_words(connector, features, words, ridge=0.0) == pytest.approx(1.0)
    soft = connector(features[:, None, None])
    torch.testing.assert_close(soft, words, atol=1e-5, rtol=0)


def test_ridge_by_hand() -> None:
    connector = make(tokens_per_vector=1)
    features = torch.tensor([[2.0, 0.0], [0.0, 2.0]])  # X'X / N = 2 I, X'Y / N = Y
    words = torch.tensor([[[6.0, 3.0, 0.0]], [[0.0, 0.0, 9.0]]])
    share = fit_to_words(connector, features, words, ridge=1.0)
    assert connector.project.weight.tolist() == [[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]]
    assert share == pytest.approx(1 - (1 / 3) ** 2)


def test_slots_of_time_stay_as_they_are() -> None:
    connector = make(temporal_std=1.0)
    before = connector.slots.weight.clone()
    fit_to_words(connector, torch.eye(2), torch.ones(2, 2, 3), ridge=0.1)
    assert torch.equal(connector.slots.weight, before)


@pytest.mark.parametrize(
    ("fields", "said"), [({"norm": "rms"}, "norm='rms'"), ({"bias": True}, "bias=True")]
)
def test_only_a_plain_linear_map_can_be_fitted(fields, said) -> None:
    with pytest.raises(ModelConfigError, match=f"needs a plain linear map.*{said}"):
        fit_to_words(make(**fields), torch.eye(2), torch.ones(2, 2, 3), ridge=0.1)


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(
        ModelConfigError,
        match=r"features \(2, 2\) and words \(2, 3, 3\) do not fit a connector from 2 to 2 x 3",
    ):
        fit_to_words(make(), torch.eye(2), torch.ones(2, 3, 3), ridge=0.1)
