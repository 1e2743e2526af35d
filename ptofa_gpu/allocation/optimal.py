"""The certified optimum by prices: Newton on samples, then on everyone, then an exact exchange of the last few.

One form serves every case. With a bonus M on each exposure, larger than anything a change of plan can earn, the best of
all plans within quotas and slots has the most exposures, and among those the most revenue: where the constraints can
be met it is the optimum, where they cannot it serves as many as possible. Its dual has prices p >= 0:

    g(p) = sum_f d_f p_f + sum_u sum over the K largest of (E[u,f] + M - p_f), where positive.

Everything is whole numbers of units (see `ptofa_gpu.ops.price`), so the answer is exact in them: at the end the primal
and the dual value are compared as integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ptofa_gpu.allocation.dual import Choices, newton, windows, wrong_place
from ptofa_gpu.allocation.exchange import DONE, Exchange, exchange
from ptofa_gpu.ops.choices import choices, take
from ptofa_gpu.ops.price import price_pass
from ptofa_gpu.ops.swaps import collect_swaps, swap_margins

if TYPE_CHECKING:
    from ptofa_gpu.allocation.problem import AllocationProblem
    from ptofa_gpu.allocation.watch import Watch

SMALL_SAMPLE, FIRST_SAMPLE, GROWTH = 1024, 20_000, 8
PATHS_AT_A_TIME = 20_000
ALL_AT_ONCE = 400_000  # pairs: with fewer all swaps are collected


@dataclass
class Optimum:
    """A plan with the most exposures, and among those the most revenue, with what proves it."""

    funds: Any  # (U, K) int16
    price: np.ndarray  # (F,) currency per exposure
    bound: float
    complete: bool  # False: the time was up before the exchange was done
    passes: int
    moves: int


def optimal(
    problem: AllocationProblem, revenue: np.ndarray, watch: Watch, warm_start: np.ndarray | None = None
) -> Optimum:
    """The plan of greatest expected revenue, and prices that prove it.

    Parameters
    ----------
    problem : AllocationProblem
    revenue : (U, F) float32
    watch : Watch
        Stops the work when the time is up; what there is then is returned with ``complete=False``.
    warm_start : (F,) float64, optional
        Prices in currency to start from, such as an earlier plan's.
    """
    solver = _Solver(problem, revenue, watch)
    return solver.solve(warm_start)


#: revenue, tolerance, risk and mask: what every pass over the customers reads
Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]


def _every(array: np.ndarray, stride: int) -> np.ndarray:
    """Every stride-th row, laid out and writeable as the whole is: for anything else Numba would compile anew."""
    out = np.ascontiguousarray(array[::stride])
    out.setflags(write=array.flags.writeable)
    return out


class _Solver:
    def __init__(self, problem: AllocationProblem, revenue: np.ndarray, watch: Watch):
        self.problem, self.watch = problem, watch
        n_funds = problem.n_funds
        # The bonus outweighs the longest change of plan, F + 1 swaps of at most 2 max |E|; with it values stay below
        # 2^51 units, so that sums and differences of two are exact in float64.
        bonus = 4.0 * (n_funds + 2) * max(problem.max_revenue, 2.0**-100)
        self.shift = 49 - int(np.frexp(bonus)[1])
        self.scale = 2.0**self.shift
        self.bonus = float(np.rint(bonus * self.scale))
        self.data: Data = (revenue, problem.tolerance, problem.risk, problem.mask)
        self.quota = problem.quota.astype(np.float64)
        self.floating = problem.case == "exact"
        self.passes = 0

    def sample(self, price: np.ndarray, quota: np.ndarray, stride: int) -> Choices:
        """What every stride-th customer takes, the windows chosen to fit."""
        self.passes += 1
        n = self.problem.n_funds
        held, other, margin, value = choices(*self.data, self.bonus - price, self.scale, self.problem.k, stride=stride)
        held, other, margin = held.ravel(), other.ravel(), margin.ravel()
        counts = np.bincount(held, minlength=n + 1)
        # as many customers as the next, larger sample is likely to find in the wrong place
        least = max(32, math.isqrt(margin.size // n))
        delta = windows(held, other, margin, wrong_place(counts, quota, price, self.floating), least)
        close = margin < delta[held, other]
        pair = held[close].astype(np.int64) * (n + 1) + other[close]
        swaps = np.bincount(pair, minlength=(n + 1) ** 2).reshape(n + 1, n + 1)
        return Choices(counts, swaps, delta, value)

    def look(self, price: np.ndarray, delta: np.ndarray) -> Choices:
        """What every customer takes."""
        self.passes += 1
        found = price_pass(*self.data, self.bonus - price, self.scale, delta, self.problem.k)
        return Choices(found[0], found[1], delta, found[2])

    def solve(self, warm_start: np.ndarray | None) -> Optimum:
        problem, n_funds = self.problem, self.problem.n_funds
        rows, price = problem.n_customers, self._start(warm_start)
        size = max(FIRST_SAMPLE, 64 * n_funds)
        delta = None
        while True:
            stride = max(1, rows // size)
            share = self.quota * (len(range(0, rows, stride)) / rows)

            def look(p: np.ndarray, stride: int = stride, share: np.ndarray = share) -> Choices:
                return self.sample(p, share, stride)

            last = stride == 1
            # a sample's own quotas are off by about sqrt(n F) exposures: closer than that is wasted
            enough = self._enough() if last else 0.25 * math.sqrt(share.size * problem.slots / stride)
            found = newton(look, share, price, enough, self.floating, self._most_passes(), self.watch.expired)
            price, delta = found.price, found.delta
            if last:
                return self._settle(price, found.error)
            if size * GROWTH > rows:
                break
            size *= GROWTH
        found = newton(
            lambda p: self.look(p, delta), self.quota, price, self._enough(), self.floating, 12, self.watch.expired
        )
        return self._settle(found.price, found.error)

    def _most_passes(self) -> int:
        """Where ties stall Newton's method the exchange is quicker; with many funds it is not."""
        return min(60, 16 + self.problem.n_funds // 2)

    def _enough(self) -> float:
        """How many exposures in the wrong place the exchange puts right in no time."""
        return max(4.0 * self.problem.n_funds, self.problem.slots / 40_000)

    def _start(self, warm_start: np.ndarray | None) -> np.ndarray:
        level = self.bonus if self.problem.case == "under" else 0.0
        if warm_start is None:
            return self._small_exact(np.full(self.problem.n_funds, level))
        price = np.rint(np.asarray(warm_start, np.float64) * self.scale) + level
        return np.maximum(price - min(0.0, float(price.min())), 0.0)

    def _small_exact(self, price: np.ndarray) -> np.ndarray:
        """Prices of a small sample, solved exactly from scratch: Newton's method is slow far from the answer.

        The sample's quotas err on the side that a sample can meet, so that nobody's price stands for a missing fund.
        """
        problem = self.problem
        rows, n_funds = problem.n_customers, problem.n_funds
        stride = max(1, rows // max(SMALL_SAMPLE, 4 * n_funds))
        revenue, tolerance, risk, mask = self.data
        some = _every(revenue, stride)
        data = (some, _every(tolerance, stride), risk, None if mask is None else _every(mask, stride))
        share = self.quota * (len(some) / rows)
        quota = np.floor(share * 0.98) if problem.case == "under" else np.ceil(share * 1.02)
        chosen = np.empty((len(some), problem.k), np.int16)
        take(*data, self.bonus - price, self.scale, chosen)
        done = self._exchange(data, price, chosen, quota.astype(np.int64), math.inf)
        return np.maximum(price - (done.potential[:-1] - done.potential[-1]), 0.0)

    def _exchange(self, data: Data, price: np.ndarray, chosen: np.ndarray, quota: np.ndarray, theta: float) -> Exchange:
        """One exchange over the swaps that lose at most theta."""
        offset = self.bonus - price
        counts = np.bincount(chosen[chosen >= 0].astype(np.int64), minlength=quota.size)
        excess = counts - quota
        unused = np.where((excess < 0) & (price <= 0), -excess, 0)
        swaps = collect_swaps(*data, offset, self.scale, chosen, theta)
        return exchange(
            *data,
            offset,
            self.scale,
            price.astype(np.int64),
            chosen,
            excess + unused,
            unused,
            theta,
            swaps,
            PATHS_AT_A_TIME,
        )

    def _settle(self, price: np.ndarray, error: float) -> Optimum:
        """From prices that are nearly right to the plan that is exactly right."""
        problem = self.problem
        rows, n_funds = problem.n_customers, problem.n_funds
        chosen = np.empty((rows, problem.k), np.int16)
        take(*self.data, self.bonus - price, self.scale, chosen)
        quarter = rows if rows * n_funds <= ALL_AT_ONCE else rows // 4
        wanted = min(max(4096, rows // 64, 16 * n_funds, int(8 * error)), quarter)
        moves = 0
        complete = False
        while True:
            theta = self._window(self.bonus - price, chosen, wanted)
            done = self._exchange(self.data, price, chosen, problem.quota, theta)
            moves += done.moves
            potential = (done.potential[:-1] - done.potential[-1]).astype(np.float64)
            price = price - potential
            if done.status == DONE:
                complete = True
                break
            if self.watch.expired():
                break
            # where there was progress the new prices bring others within reach; else look at everyone if need be
            wanted = max(wanted, min(2 * wanted, quarter)) if done.paths else 8 * wanted
        return self._optimum(chosen, price, complete, moves)

    def _window(self, offset: np.ndarray, chosen: np.ndarray, wanted: int) -> float:
        """How much a swap may lose so that about `wanted` customers have one; infinite when that is everyone."""
        rows = self.problem.n_customers
        stride = max(1, rows // 50_000)
        margins = np.sort(swap_margins(*self.data, offset, self.scale, chosen, stride))
        if wanted >= rows:
            return math.inf
        place = math.ceil(wanted / rows * margins.size)
        return float(max(margins[min(place, margins.size - 1)], 1.0))

    def _optimum(self, chosen: np.ndarray, price: np.ndarray, complete: bool, moves: int) -> Optimum:
        problem = self.problem
        if problem.case == "under":
            price = price - self.bonus
        elif problem.case == "exact":
            price = price - price.min()
        price = np.ldexp(price, -self.shift) if problem.max_revenue else np.zeros(problem.n_funds)
        return Optimum(chosen, price, self._bound(price), complete, self.passes, moves)

    def _bound(self, price: np.ndarray) -> float:
        """g(price): no plan that meets every constraint earns more. In finer units: there is no bonus."""
        problem = self.problem
        if problem.max_revenue == 0.0:
            return 0.0
        largest = max(problem.max_revenue, float(np.abs(price).max()))
        shift = 50 - int(np.frexp(4 * largest)[1])
        units = np.rint(np.ldexp(price, shift))
        # Where every slot must be filled all values are lifted above 0, and the lift is taken off again.
        lift = 0.0 if problem.case == "under" else float(np.rint(np.ldexp(2 * largest, shift))) + 1
        never = np.zeros((problem.n_funds + 1,) * 2)
        counts, _, value = price_pass(*self.data, lift - units, 2.0**shift, never, problem.k)
        self.passes += 1
        dual = value - int(lift) * problem.slots + sum(int(p) * int(d) for p, d in zip(units, problem.quota))
        rounded = int(counts[:-1].sum())  # values of E that were rounded to units, by half a unit at most
        return math.ldexp(dual, -shift) + rounded * math.ldexp(1.0, -shift - 1)
