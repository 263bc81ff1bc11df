"""A linear connector's head start: soft tokens that are as near as can be to given words.

    min over W of  mean |W x - y|^2 + ridge^2 |W|^2

x is a feature vector, y what its soft tokens should be (the decoder's own embeddings of words). The
closed form takes seconds on a processor where descent through the frozen decoder takes minutes:
descent first learns which words a frame has, and only much later which belong together. Where
training will add noise to the features, `ridge` is best the noise's standard deviation per
dimension (C. Bishop, Training with noise is equivalent to Tikhonov regularization, 1995).
"""

import torch
from torch import Tensor

from textreel.models.connectors import LinearConnector
from textreel.models.errors import ModelConfigError


@torch.no_grad()
def fit_to_words(
    connector: LinearConnector, features: Tensor, words: Tensor, *, ridge: float
) -> float:
    """Set the linear map of `connector`; positions in time and norm stay as they are.

    Args:
        connector: without a norm and without a bias.
        features: float (N, F), one vector each.
        words: float (N, K, D), what the K soft tokens of each vector should be.
        ridge: as above, at least 0.

    Returns:
        The share of the words' variance that the map explains, at most 1.

    Raises:
        ModelConfigError: the connector has a norm or a bias, or shapes do not fit it.
    """
    config = connector.config
    if config.norm != "none" or config.bias:
        raise ModelConfigError(
            f"a head start needs a plain linear map, this connector has norm={config.norm!r} and "
            f"bias={config.bias}",
            hint="set connector.norm=none, or leave the head start out",
        )
    weight, count, tokens = connector.project.weight, len(features), config.tokens_per_vector
    width = weight.shape[0] // tokens
    shapes = tuple(features.shape), tuple(words.shape)
    if shapes != ((count, config.feature_dim), (count, tokens, width)):
        raise ModelConfigError(
            f"features {shapes[0]} and words {shapes[1]} do not fit a connector from "
            f"{config.feature_dim} to {tokens} x {width}"
        )
    x, y = features.double(), words.double().flatten(1)
    square = x.T @ x / len(x) + ridge**2 * torch.eye(x.shape[1], dtype=x.dtype)
    solution = torch.linalg.solve(square, x.T @ y / len(x))
    weight.copy_(solution.T)
    rest = (x @ solution - y).var(0).sum() / y.var(0).sum()
    return 1.0 - rest.item()
