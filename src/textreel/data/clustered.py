"""The mean of numbers that come in groups, with its standard error; see `evaluate.choices`.

Questions about one video stand or fall together, so the video is the unit that was drawn. With y_i
of type k(i), n_k numbers of type k, K types, r_k the mean of type k, and w_i = 1 / (K n_k(i)):

    mean  =  mean over k of r_k
    u_g   =  sum over i of group g of  w_i (y_i - r_k(i))      (linearisation)
    var   =  G / (G - 1) * sum_g u_g^2                          (G groups)

Sources: clustered standard errors for evaluations, Miller 2024, arXiv:2411.00640, eq. 4; the
factor G / (G - 1), Cameron and Miller 2015, J. Human Resources 50(2), section II.B. The sandwich
of a mean of ratios is ordinary Taylor linearisation (Cochran, Sampling Techniques, 1977, 6.4).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence


def clustered_mean(
    values: Sequence[float], *, groups: Sequence[Hashable], types: Sequence[str] | None = None
) -> tuple[float, float, int]:
    """Return (mean, standard error, groups); the error of a single group is nan.

    Args:
        values: y_i; at least one.
        groups: the group of each, such as its video.
        types: the type of each, all of which count alike; None: all are of one.
    """
    types = [""] * len(values) if types is None else types
    counts = Counter(types)
    sums: defaultdict[str, float] = defaultdict(float)
    for kind, value in zip(types, values, strict=True):
        sums[kind] += value
    means = {kind: sums[kind] / count for kind, count in counts.items()}
    residuals: defaultdict[Hashable, float] = defaultdict(float)
    for group, kind, value in zip(groups, types, values, strict=True):
        residuals[group] += (value - means[kind]) / (len(counts) * counts[kind])
    clusters = len(residuals)
    if clusters < 2:
        stderr = math.nan
    else:
        square = math.fsum(u * u for u in residuals.values())
        stderr = math.sqrt(clusters / (clusters - 1) * square)
    return math.fsum(means.values()) / len(means), stderr, clusters
