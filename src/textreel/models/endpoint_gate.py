"""How many requests one endpoint is asked at a time: as many as it bears, found while it runs.

Additive increase, multiplicative decrease (Chiu and Jain, 1989): a sign of overload cuts the
limit to 0.7 of itself, once for all requests that were under way together; every answer raises it a
little. A server that asks to be left alone for a while is left alone for that while.
"""

from dataclasses import dataclass, field

CUT = 0.7
RISE = 2.0
"""An answer raises the limit by this over itself: about so much per round of answers."""
FIRST_REST_S, LONGEST_REST_S = 0.25, 15.0


@dataclass(kw_only=True, slots=True)
class Gate:
    """The state of one endpoint; times in seconds of one clock.

    Attributes:
        url: base URL, such as `http://127.0.0.1:8000/v1`.
        most: most requests under way at a time.
        structured: whether a JSON schema is sent along; turned off when the server refuses it.
        limit: how many it is asked at a time now.
        in_flight: under way.
        rest_until_s: not asked before.
        answered: bodies received.
    """

    url: str
    most: int
    structured: bool = True
    limit: float = 0.0
    in_flight: int = 0
    rest_until_s: float = 0.0
    answered: int = 0
    _cut_at_s: float = field(default=-1.0)
    _unreached: int = 0

    def __post_init__(self) -> None:
        self.limit = float(self.most)

    def free(self, now_s: float) -> bool:
        """Return whether it may be asked now."""
        return now_s >= self.rest_until_s and self.in_flight < int(self.limit)

    def load(self) -> float:
        """Return how busy it is, for comparing endpoints."""
        return self.in_flight / self.limit

    def answers(self) -> None:
        """Note an answer."""
        self.answered += 1
        self._unreached = 0
        self.limit = min(float(self.most), self.limit + RISE / self.limit)

    def overloaded(self, *, started_s: float, now_s: float, rest_s: float | None) -> None:
        """Note that a request was turned away for want of room, or timed out.

        Args:
            started_s: when it was sent; one sent before the last cut says nothing new.
            now_s: the time now.
            rest_s: how long the server asks to be left alone, or None.
        """
        if started_s > self._cut_at_s:
            self.limit = max(1.0, self.limit * CUT)
            self._cut_at_s = now_s
        if rest_s is not None:
            self.rest_until_s = max(self.rest_until_s, now_s + rest_s)

    def unreached(self, now_s: float) -> None:
        """Note that no connection came about; it rests, longer each time."""
        if now_s < self.rest_until_s:
            return
        rest_s = min(LONGEST_REST_S, FIRST_REST_S * 2**self._unreached)
        self._unreached += 1
        self.rest_until_s = now_s + rest_s
