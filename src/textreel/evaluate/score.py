"""`Score` and `Difference`: a number, how sure it is, and what it may be compared with."""

import math
from dataclasses import dataclass

Z_95 = 1.959963984540054
"""The standard normal's 97.5% point: 95% lie within plus or minus this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A share, with its standard error.

    Attributes:
        metric: what was measured, such as `macro`, `overall` or a question type.
        value: in [0, 1].
        stderr: standard error clustered by video; nan for a single video, 0 for a known number.
        n: how many questions.
        clusters: how many videos.
        fingerprint: equal for scores that may be compared (same metric, same questions).
    """

    metric: str
    value: float
    stderr: float
    n: int
    clusters: int
    fingerprint: str

    @property
    def json_stderr(self) -> float | None:
        """The standard error, or None where it is unknown (JSON has no nan)."""
        return None if math.isnan(self.stderr) else self.stderr

    def interval(self, *, z: float = Z_95) -> tuple[float, float]:
        """Return the interval (low, high) that holds the true value 95 times in 100.

        Wilson's interval with the effective number of questions p (1 - p) / stderr^2 in the place
        of n, so that it stays within [0, 1] and leans inwards near the ends. Where all answers are
        right, or all wrong, the standard error is 0 by construction and the number of videos
        stands in. A single video tells nothing: (0, 1).

        Source: Wilson 1927, JASA 22; effective size as in Korn and Graubard 1998, Survey
        Methodology 24(2).
        """
        p = self.value
        if math.isnan(self.stderr):
            return 0.0, 1.0
        if 0 < p < 1 and self.stderr == 0:
            return p, p
        n = p * (1 - p) / self.stderr**2 if 0 < p < 1 else float(self.clusters)
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One system's score minus another's on the same questions.

    Attributes:
        metric: of both scores.
        value: in [-1, 1]; above 0 where the first system is better.
        stderr: of the paired difference, clustered by video; nan for a single video.
        n: how many questions.
        clusters: how many videos.
        fingerprint: equal for differences on the same questions.
    """

    metric: str
    value: float
    stderr: float
    n: int
    clusters: int
    fingerprint: str

    def interval(self, *, z: float = Z_95) -> tuple[float, float]:
        """Return the normal 95% interval (low, high); (-1, 1) where a single video tells nothing.

        It has no width where the two systems agree on every video.
        """
        if math.isnan(self.stderr):
            return -1.0, 1.0
        return max(-1.0, self.value - z * self.stderr), min(1.0, self.value + z * self.stderr)
