"""`Budget`: what one run may spend, in dollars, tokens and minutes; reached, it ends with code 4.

Every request first reserves the most that it can cost, and is settled with what it did cost. So the
limits hold with any number of requests under way: what is spent and what is reserved never pass
them together, as far as the estimate of a prompt's tokens holds.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textreel.data.errors import HintedError


class BudgetReachedError(HintedError, RuntimeError):
    """A run has spent what it was allowed; what was received is kept."""

    exit_code: ClassVar[int] = 4


class BudgetError(HintedError, ValueError):
    """Limits that are none, or that cannot be watched."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """Dollars per million tokens, in and out."""

    usd_per_mtok_in: float
    usd_per_mtok_out: float

    def usd(self, tokens_in: float, tokens_out: float) -> float:
        """Return what tokens cost.

        >>> Prices(usd_per_mtok_in=1.0, usd_per_mtok_out=4.0).usd(500_000, 250_000)
        1.5
        """
        return (tokens_in * self.usd_per_mtok_in + tokens_out * self.usd_per_mtok_out) / 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a run may spend; None is no limit.

    Attributes:
        max_usd: dollars; needs prices.
        max_tokens: in and out together.
        max_minutes: after them no new request is sent; those under way are waited for.
    """

    max_usd: float | None = None
    max_tokens: int | None = None
    max_minutes: float | None = None


class Budget:
    """The account of one run.

    Args:
        limits: what may be spent.
        prices: of the model; needed for dollars.
        clock: seconds.

    Raises:
        BudgetError: a limit below zero, or one in dollars without prices.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        prices: Prices | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits, self.prices = limits or Limits(), prices
        for name in ("max_usd", "max_tokens", "max_minutes"):
            if (limit := getattr(self.limits, name)) is not None and not limit > 0:
                raise BudgetError(f"{name}={limit} allows nothing: it must be above 0")
        if self.limits.max_usd is not None and prices is None:
            raise BudgetError(
                "a limit in dollars cannot be watched without prices",
                hint="give --usd-per-mtok IN OUT, dollars per million tokens",
            )
        self.tokens_in = self.tokens_out = 0
        self._held_in = self._held_out = 0
        self._clock, self._start_s = clock, clock()

    @property
    def usd(self) -> float | None:
        """Return the dollars spent, None without prices."""
        return None if self.prices is None else self.prices.usd(self.tokens_in, self.tokens_out)

    @property
    def minutes(self) -> float:
        """Return the minutes since the run began."""
        return (self._clock() - self._start_s) / 60

    def reserve(self, tokens_in: int, tokens_out: int) -> str:
        """Set aside what a request can cost at most.

        Returns:
            Nothing if there is room, and then it is reserved; else which limit stands against it.
        """
        all_in = self.tokens_in + self._held_in + tokens_in
        all_out = self.tokens_out + self._held_out + tokens_out
        limits = self.limits
        if limits.max_tokens is not None and all_in + all_out > limits.max_tokens:
            return f"{limits.max_tokens} tokens"
        if limits.max_usd is not None and self.prices is not None:
            if self.prices.usd(all_in, all_out) > limits.max_usd:
                return f"{limits.max_usd:g} USD"
        if limits.max_minutes is not None and self.minutes >= limits.max_minutes:
            return f"{limits.max_minutes:g} minutes"
        self._held_in += tokens_in
        self._held_out += tokens_out
        return ""

    def release(self, tokens_in: int, tokens_out: int) -> None:
        """Give back what was reserved."""
        self._held_in -= tokens_in
        self._held_out -= tokens_out

    def spend(self, tokens_in: int, tokens_out: int) -> None:
        """Note what an answer did cost."""
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out

    def told(self) -> str:
        """Return what was spent, for people."""
        money = "" if self.usd is None else f", {self.usd:.4f} USD"
        return f"{self.tokens_in} tokens in, {self.tokens_out} out{money}, {self.minutes:.1f} min"

    def error(self, limit: str, *, done: int, total: int) -> BudgetReachedError:
        """Return the error that ends a run at a limit, after `done` of `total` units."""
        return BudgetReachedError(
            f"the budget of {limit} is reached after {done} of {total} topics ({self.told()})",
            hint="what was received is kept; the same command goes on, with a budget of its own",
        )
