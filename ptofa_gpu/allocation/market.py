"""The instance as its prices see it: whole units, a bonus for each exposure, and what a step of work costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ptofa_gpu.allocation.dual import Choices, Quotas
from ptofa_gpu.ops._customers import key_bits

if TYPE_CHECKING:
    from ptofa_gpu.allocation.passes import Passes
    from ptofa_gpu.allocation.problem import AllocationProblem
    from ptofa_gpu.allocation.watch import Watch

# rough costs in nanoseconds, only to choose between another pass and another path; they never depend on the machine
_ROW, _PAIR, _SOLVE, _PATH, _NODE, _ARC = 4.0, 1.0, 0.055, 2000.0, 40.0, 0.3


class Market:
    """What all steps of the search share.

    Attributes
    ----------
    scale : float
        Units in one of the currency, 2 to the power of `shift`.
    bonus : float
        What each exposure is worth on top of its revenue, in units.
    quotas : Quotas
    floor : (F,) float64
        The lowest price of each fund, in units.
    ceiling : float
        The highest price of any fund, in units: nobody takes a fund at that, and values still fit into the passes.
    """

    def __init__(self, problem: AllocationProblem, watch: Watch):
        self.watch, self.case = watch, problem.case
        self.rows, self.funds, self.slots = problem.n_customers, problem.n_funds, problem.slots
        # The bonus outweighs the longest change of plan, F + 1 swaps of at most 2 max |E|. With it, and prices of up to
        # twice as much, values fit beside a fund's number in the keys of the passes: they stay below 2^51 units, fewer
        # beyond 2,046 funds, and sums and differences of two are exact in float64.
        bonus = 4.0 * (self.funds + 2) * (problem.max_revenue or 1.0)
        self.shift = int(60 - key_bits(self.funds + 1) - np.frexp(bonus)[1])
        self.scale = 2.0**self.shift
        self.bonus = float(np.rint(bonus * self.scale))
        low = problem.attainable(problem.quota_low) if problem.has_ranges else np.zeros(self.funds)
        high = problem.attainable(problem.quota)
        if self.case == "exact" and int(high.sum()) < self.slots:  # some fund has bought more than it can have
            self.case = "under"
        self.quotas = Quotas(low.astype(np.float64), high.astype(np.float64), self.case == "exact")
        # a fund short of its lower bound is worth a bonus of its own: its price may fall as far below 0
        self.floor = np.where(low > 0, -self.bonus, 0.0)
        self.ceiling = 2.0 * self.bonus

    @property
    def level(self) -> float:
        """Where prices start: with fewer exposures than slots a fund is worth its bonus, else no more than another."""
        return self.bonus if self.case == "under" else 0.0

    def grounded(self, price: np.ndarray) -> np.ndarray:
        """Prices between floor and ceiling; where only differences matter, with the lowest at 0."""
        if self.quotas.floating:
            price = price - price.min()
        return np.clip(price, self.floor, self.ceiling)

    def units(self, price: np.ndarray) -> np.ndarray:
        """Prices in currency as prices in units."""
        most = self.ceiling / self.scale
        return self.grounded(np.rint(np.clip(price, -most, most) * self.scale) + self.level)

    def currency(self, price: np.ndarray) -> np.ndarray:
        """Prices in units as prices in currency."""
        return np.ldexp(price - price.min() if self.quotas.floating else price - self.level, -self.shift)

    def wrong(self, counts: np.ndarray, price: np.ndarray, quotas: Quotas | None = None) -> float:
        """How many exposures are in the wrong place."""
        return float(np.abs((quotas or self.quotas).wrong_place(counts, price)).sum()) / 2

    def judge(self, some: Passes, price: np.ndarray, quotas: Quotas) -> Choices:
        """What customers take at these prices, with windows of their own."""
        return some.judge(self.bonus - price, lambda counts: quotas.wrong_place(counts, price))

    @staticmethod
    def worth(passes: Passes) -> float:
        """How many exposures the exchange puts right in the time of a step of Newton's method."""
        n = passes.funds
        return ((_ROW + _PAIR * n) * passes.rows * passes.k + _SOLVE * n**3) / Market.path(n)

    @staticmethod
    def path(n: int) -> float:
        """Nanoseconds that the exchange takes for a path between n funds, about."""
        return _PATH + _NODE * n + _ARC * n**2

    @staticmethod
    def move(n: int) -> float:
        """Nanoseconds that it takes to move a customer, about."""
        return _PATH + _NODE * n

    def enough(self, passes: Passes) -> float:
        """How many exposures in the wrong place the exchange puts right in less time than a pass takes."""
        return max(4.0, 0.1 * self.worth(passes))
